"""What people call a device and what is stuck to it: name, serial number, SIM. None of it touches its service (A6)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from amp.foundation.services.events import record_about
from devices.models import Device
from devices.registration_csv import DeviceRow
from devices.services.registration import DeviceRefused, row_problems

EDITABLE = ("serial", "name", "iccid")


@transaction.atomic
def edit_device(*, device: Device, serial: str, name: str, iccid: str, actor: str, now: datetime) -> Device:
    """Store what changed, and record it; nothing where nothing changed. Raises DeviceRefused."""
    if problems := list(row_problems(DeviceRow(key=device.key, serial=serial, name=name, iccid=iccid))):
        raise DeviceRefused(problems)
    locked: Device = Device.objects.select_for_update(no_key=True).get(pk=device.pk)
    wanted = {"serial": serial, "name": name, "iccid": iccid}
    before = {field: getattr(locked, field) for field in EDITABLE if getattr(locked, field) != wanted[field]}
    if not before:
        return locked
    after = {field: wanted[field] for field in before}
    for field, value in after.items():
        setattr(locked, field, value)
    locked.save(update_fields=list(after))
    record_about(locked, "device.edited", actor=actor, now=now, before=before, after=after)
    return locked
