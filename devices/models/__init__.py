"""Tables of the devices: `devices` (with public tokens), `service` (with periods), `validities`, `presence`,
`commands`, `lock_holds`, `imports`, `disconnects`, `stuck`.
"""

from devices.models.commands import Command, CommandKind, CommandSlot, CommandStatus
from devices.models.devices import Device, PublicToken
from devices.models.disconnects import Disconnect, DisconnectStatus
from devices.models.imports import Import, ImportKind, ImportMode, ImportRow, ImportState, RowStatus
from devices.models.lock_holds import HoldStatus, LockCount, LockHold
from devices.models.presence import Bridge, Presence, PresenceSession
from devices.models.service import DeviceService, EarlyEnd, Period, PeriodKind
from devices.models.stuck import StuckService
from devices.models.validities import ServiceKind, Validity

__all__ = [
    "Bridge",
    "Command",
    "CommandKind",
    "CommandSlot",
    "CommandStatus",
    "Device",
    "DeviceService",
    "Disconnect",
    "DisconnectStatus",
    "EarlyEnd",
    "HoldStatus",
    "Import",
    "ImportKind",
    "ImportMode",
    "ImportRow",
    "ImportState",
    "LockCount",
    "LockHold",
    "Period",
    "PeriodKind",
    "Presence",
    "PresenceSession",
    "PublicToken",
    "RowStatus",
    "ServiceKind",
    "StuckService",
    "Validity",
]
