"""Tables of the devices: `devices` (with public tokens), `service` (with periods), `presence`, `commands`."""

from devices.models.commands import Command, CommandKind, CommandSlot, CommandStatus
from devices.models.devices import Device, PublicToken
from devices.models.presence import Bridge, Presence, PresenceSession
from devices.models.service import DeviceService, Period, PeriodKind

__all__ = [
    "Bridge",
    "Command",
    "CommandKind",
    "CommandSlot",
    "CommandStatus",
    "Device",
    "DeviceService",
    "Period",
    "PeriodKind",
    "Presence",
    "PresenceSession",
    "PublicToken",
]
