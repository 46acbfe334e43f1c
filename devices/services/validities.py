"""Setting, extending and clearing the validity of SIM and RTK services, for one device or many (N3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.bulk import among, insert_rows, update_rows
from amp.foundation.calendar import add_months, is_within_horizon
from amp.foundation.services.events import EventDraft, record_events
from amp.foundation.services.refusals import Refused
from devices.models import Device, ServiceKind, Validity
from devices.services.credentials import DeviceTerminated

COLUMNS = ("enterprise", "product", "device", "kind", "starts_at", "ends_at", "set_at", "set_by")


class ValiditySetting(NamedTuple):
    """What a service of a device is to be: valid in [starts_at, ends_at); `ends_at` None clears it."""

    device_id: int
    kind: ServiceKind
    ends_at: datetime | None
    starts_at: datetime | None = None
    why: str = ""


class ValidityRefusal(StrEnum):
    """Why a setting isn't made; the others are."""

    NO_DEVICE = "no_device"
    TERMINATED = "terminated"
    ENDS_BEFORE_START = "ends_before_start"
    TOO_FAR = "too_far"
    TWICE = "twice"


class ValidityRefused(Refused):
    """The validity can't be set like this; nothing was changed."""


class ValidityOutcome(NamedTuple):
    """What became of one setting: changed, already so (neither), or refused."""

    setting: ValiditySetting
    changed: bool = False
    refusal: ValidityRefusal | None = None


class _Place(NamedTuple):
    """Whose device it is."""

    enterprise_id: int
    product_id: int
    terminated_at: datetime | None


@transaction.atomic
def set_validities(settings: Sequence[ValiditySetting], *, actor: str, now: datetime) -> list[ValidityOutcome]:
    """Make all settings that can be made, with an event for each change; outcomes in the order given.

    The caller's scope decides which devices there are. Devices are locked in the order of their ids (F23). An end that
    stands already isn't set anew: its notices stay as they are (N4, N5).
    """
    places = _lock_devices({setting.device_id for setting in settings})
    present = _present(list(places))
    seen: set[tuple[int, str]] = set()
    outcomes = [_judge(setting, places, present, seen, now) for setting in settings]
    changed = [outcome.setting for outcome in outcomes if outcome.changed]
    _store(changed, places, present, actor, now)
    record_events([_event(each, places, present, actor, now) for each in changed], now=now)
    return outcomes


def set_validity(setting: ValiditySetting, *, actor: str, now: datetime) -> bool:
    """Make one setting; False where it is so already. Raises ValidityRefused, DeviceTerminated."""
    [outcome] = set_validities([setting], actor=actor, now=now)
    match outcome.refusal:
        case None:
            return outcome.changed
        case ValidityRefusal.TERMINATED:
            raise DeviceTerminated.because(_("This device is terminated. Register its key anew to give it services."))
        case ValidityRefusal.ENDS_BEFORE_START:
            raise ValidityRefused.because(_("The end must lie after the start. Check both dates."), "ends_at")
        case ValidityRefusal.TOO_FAR:
            raise ValidityRefused.because(_("At most 30 years ahead. Check the year."), "ends_at")
    raise ValidityRefused.because(_("The device is gone. Look for it in the list."))


def event_kinds(kind: ServiceKind) -> tuple[str, str]:
    """What the record calls a change of this service: set, and cleared."""
    return f"{kind.value.lower()}_service.set", f"{kind.value.lower()}_service.cleared"


def extended_end(ends_at: datetime | None, months: int, now: datetime, zone: str) -> datetime:
    """The end after an extension: by calendar months from the end that stands, or from now where it has passed."""
    return add_months(max(ends_at, now) if ends_at else now, months, zone)


def _lock_devices(ids: Iterable[int]) -> dict[int, _Place]:
    rows = Device.objects.filter(among("id", sorted(ids))).order_by("id").select_for_update(no_key=True)
    columns = rows.values_list("id", "enterprise_id", "product_id", "terminated_at")
    return {pk: _Place(enterprise_id, product_id, ended) for pk, enterprise_id, product_id, ended in columns}


def _present(ids: Sequence[int]) -> dict[tuple[int, str], tuple[int, datetime | None, datetime]]:
    rows = Validity.objects.filter(among("device_id", ids)) if ids else Validity.objects.none()
    return {
        (device_id, kind): (pk, starts_at, ends_at)
        for pk, device_id, kind, starts_at, ends_at in rows.values_list(
            "id", "device_id", "kind", "starts_at", "ends_at"
        )
    }


def _judge(
    setting: ValiditySetting,
    places: dict[int, _Place],
    present: dict[tuple[int, str], tuple[int, datetime | None, datetime]],
    seen: set[tuple[int, str]],
    now: datetime,
) -> ValidityOutcome:
    key = (setting.device_id, setting.kind.value)
    refusal = ValidityRefusal.TWICE if key in seen else _refusal(setting, places.get(setting.device_id), now)
    if refusal:
        return ValidityOutcome(setting, refusal=refusal)
    seen.add(key)
    _pk, *standing = present.get(key, (None, None, None))
    wanted = [setting.starts_at if setting.ends_at else None, setting.ends_at]
    return ValidityOutcome(setting, changed=standing != wanted)


def _refusal(setting: ValiditySetting, place: _Place | None, now: datetime) -> ValidityRefusal | None:
    if place is None:
        return ValidityRefusal.NO_DEVICE
    if place.terminated_at:
        return ValidityRefusal.TERMINATED
    if setting.ends_at and setting.starts_at and setting.starts_at >= setting.ends_at:
        return ValidityRefusal.ENDS_BEFORE_START
    if setting.ends_at and not is_within_horizon(now, setting.ends_at):
        return ValidityRefusal.TOO_FAR
    return None


def _store(
    changed: Sequence[ValiditySetting],
    places: dict[int, _Place],
    present: dict[tuple[int, str], tuple[int, datetime | None, datetime]],
    actor: str,
    now: datetime,
) -> None:
    by = actor[:160]
    kept = [(present.get((each.device_id, each.kind.value)), each) for each in changed]
    gone = [old[0] for old, each in kept if old and each.ends_at is None]
    if gone:
        Validity.objects.filter(among("id", gone)).delete()
    moved = [(old[0], each.starts_at, each.ends_at, now, by) for old, each in kept if old and each.ends_at]
    update_rows(Validity, ("starts_at", "ends_at", "set_at", "set_by"), moved)
    fresh = [
        (*places[each.device_id][:2], each.device_id, each.kind.value, each.starts_at, each.ends_at, now, by)
        for old, each in kept
        if not old
    ]
    insert_rows(Validity, COLUMNS, fresh)


def _event(
    setting: ValiditySetting,
    places: dict[int, _Place],
    present: dict[tuple[int, str], tuple[int, datetime | None, datetime]],
    actor: str,
    now: datetime,
) -> EventDraft:
    old = present.get((setting.device_id, setting.kind.value))
    return EventDraft(
        kind=event_kinds(setting.kind)[setting.ends_at is None],
        subject=f"device:{setting.device_id}",
        enterprise_id=places[setting.device_id].enterprise_id,
        happened_at=now,
        actor=actor,
        why=setting.why,
        before=_told(*old[1:]) if old else None,
        after=_told(setting.starts_at, setting.ends_at) if setting.ends_at else None,
    )


def _told(starts_at: datetime | None, ends_at: datetime) -> dict[str, Any]:
    return {"starts_at": starts_at.isoformat() if starts_at else None, "ends_at": ends_at.isoformat()}
