"""How devices come to be known, one or fifty thousand at once, and how they end (F68, F70, F85, F92)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amp.foundation.bulk import chunks, insert_rows
from amp.foundation.models import Enterprise
from amp.foundation.services.events import EventDraft, record_about, record_events
from amp.foundation.services.refusals import Problem, Refused
from catalog.models import Product, ServiceLevel
from catalog.services.products import lock_product
from catalog.services.rules import current_rule
from devices.lifecycle import State
from devices.models import Device, DeviceService, Presence, PublicToken
from devices.models.devices import KEY_PATTERN
from devices.registration_csv import DeviceRow
from devices.services.commands import cancel_commands
from devices.services.credentials import new_password
from devices.services.disconnects import order_disconnect
from devices.services.session_ends import end_presence
from devices.services.stuck import release
from devices.services.tokens import digest_of, new_token
from devices.transports.mosquitto import hash_password

MAX_AT_ONCE = 50_000
KEY = re.compile(KEY_PATTERN)
SHOWN = 20
"""How many keys a refusal names."""


class DeviceRefused(Refused):
    """A device can't be registered like this; nothing was registered."""


class DeviceKeyTaken(DeviceRefused):
    """A live device of the product has this key (F70: a terminated one frees it)."""


class Registered(NamedTuple):
    """A new device with its secrets, which are shown once and never again."""

    device: Device
    password: str
    renewal_token: str


class NewDevice(NamedTuple):
    """One device of many, with its secrets."""

    device_id: int
    key: str
    password: str
    renewal_token: str


def register_device(
    *,
    product: Product,
    enterprise: Enterprise,
    key: str,
    serial: str = "",
    name: str = "",
    iccid: str = "",
    actor: str,
    now: datetime,
) -> Registered:
    """Register one device of `product` for `enterprise`. Raises DeviceRefused, DeviceKeyTaken."""
    row = DeviceRow(key=key, serial=serial, name=name, iccid=iccid)
    [new] = register_many(product=product, enterprise=enterprise, rows=[row], actor=actor, now=now)
    return Registered(Device.objects.get(pk=new.device_id), new.password, new.renewal_token)


@transaction.atomic
def register_many(
    *, product: Product, enterprise: Enterprise, rows: Sequence[DeviceRow], actor: str, now: datetime
) -> list[NewDevice]:
    """Register all of `rows` or none, in the order given: device, service, presence, credential, renewal link, event.

    At most 50,000 (F92). Raises DeviceRefused, DeviceKeyTaken.
    """
    _check(product, enterprise, rows)
    product = lock_product(product.pk)  # two imports of one product queue here, so a key can't be taken in between
    _refuse_taken(product, [row.key for row in rows])
    passwords = [new_password() for _row in rows]
    _insert_devices(product, enterprise, rows, passwords, now)
    ids = _ids_of(product, [row.key for row in rows])
    tokens = [new_token() for _row in rows]
    device_ids = [ids[row.key] for row in rows]
    _insert_services(product, enterprise, device_ids, now)
    _insert_tokens(enterprise, device_ids, tokens, now)
    _record_registered(product, enterprise, rows, device_ids, actor, now)
    keys = [row.key for row in rows]
    return [NewDevice(*values) for values in zip(device_ids, keys, passwords, tokens, strict=True)]


@transaction.atomic
def terminate_device(*, device: Device, actor: str, now: datetime) -> DeviceService:
    """End the service for good: voids its links and open commands, and frees its key (F70). Twice does no harm.

    From here on its topics speak for whichever device its key is registered for.
    """
    service = lock_whole_device(device.pk)
    end_presence(device_id=device.pk, now=now)
    if service.state == State.TERMINATED.value:
        return service
    before = _told(service)
    at = max(now, service.last_event_at)
    service.state, service.state_since, service.last_event_at = State.TERMINATED.value, at, at
    service.due_at = None
    service.save(update_fields=["state", "state_since", "last_event_at", "due_at"])
    Device.objects.filter(pk=device.pk).update(terminated_at=at)
    PublicToken.objects.filter(device_id=device.pk, revoked_at=None).update(revoked_at=at)
    release([device.pk])
    cancel_commands([device.pk], actor=actor, why="terminated", now=now)
    order_disconnect(service.device, now=now)
    record_about(
        service.device,
        "device_service.terminated",
        actor=actor,
        at=at,
        now=now,
        before=before,
        after=_told(service),
    )
    return service


def lock_whole_device(device_id: int) -> DeviceService:
    """The device's service with the device: presence is locked first, then the service, then the device (F23).

    Presence and service in the order in which a batch of presence takes them.
    """
    list(Presence.objects.filter(pk=device_id).select_for_update(of=("self",)).values_list("pk"))
    service: DeviceService = DeviceService.objects.select_for_update().get(pk=device_id)
    service.device = Device.objects.select_for_update(no_key=True).get(pk=device_id)
    return service


def _told(service: DeviceService) -> dict[str, Any]:
    """The part of a service that the record keeps."""
    return {
        "state": service.state,
        "ends_at": service.ends_at.isoformat() if service.ends_at else None,
        "desired_lock": service.desired_lock,
        "generation": service.generation,
    }


def _check(product: Product, enterprise: Enterprise, rows: Sequence[DeviceRow]) -> None:
    problems = []
    if not rows:
        problems.append(Problem("", _("There are no devices to register.")))
    if len(rows) > MAX_AT_ONCE:
        problems.append(Problem("", _("Register at most 50,000 devices at once. Split the list.")))
    if product.enterprise_id not in {*enterprise.ancestor_ids, enterprise.pk}:
        problems.append(Problem("enterprise", _("Choose the product's own enterprise or one below it.")))
    if problems:
        raise DeviceRefused(problems)
    problems = [problem for row in rows for problem in row_problems(row)]
    if len({row.key for row in rows}) < len(rows):
        problems.append(Problem("key", _("A device key is given twice. Keep one of the two.")))
    if problems:
        raise DeviceRefused(problems[:100])


def row_problems(row: DeviceRow) -> Iterable[Problem]:
    """What is wrong with one row by itself."""
    if not KEY.fullmatch(row.key):
        yield Problem("key", _("Use 1 to 64 letters, digits, - or _ for the device key."))
    for field, longest in (("serial", 64), ("name", 120), ("iccid", 22)):
        value = getattr(row, field)
        if len(value) > longest or "\0" in value:
            yield Problem(field, _("Give at most %(longest)d characters.") % {"longest": longest})


def _refuse_taken(product: Product, keys: Sequence[str]) -> None:
    taken = [
        key
        for chunk in chunks(keys, 5_000)
        for key in Device._base_manager.filter(product=product, key__in=chunk, terminated_at=None).values_list(
            "key", flat=True
        )
    ]
    if taken:
        message = ngettext(
            "This product already has a device with the key %(keys)s.",
            "This product already has %(count)d of these devices: %(keys)s.",
            len(taken),
        )
        named = ", ".join(sorted(taken)[:SHOWN]) + (" …" if len(taken) > SHOWN else "")
        raise DeviceKeyTaken.because(message % {"count": len(taken), "keys": named}, "key")


def _insert_devices(
    product: Product, enterprise: Enterprise, rows: Sequence[DeviceRow], passwords: Sequence[str], now: datetime
) -> None:
    columns = ("enterprise", "product", "key", "serial", "name", "iccid", "credential_hash", "credential_rotated_at",
               "created_at")  # fmt: skip
    insert_rows(
        Device,
        columns,
        [
            (enterprise.pk, product.pk, *row, hash_password(password), now, now)
            for row, password in zip(rows, passwords, strict=True)
        ],
    )


def _ids_of(product: Product, keys: Sequence[str]) -> dict[str, int]:
    return {
        key: device_id
        for chunk in chunks(keys, 5_000)
        for key, device_id in Device._base_manager.filter(
            product=product, key__in=chunk, terminated_at=None
        ).values_list("key", "id")
    }


def _insert_services(product: Product, enterprise: Enterprise, device_ids: Sequence[int], now: datetime) -> None:
    """A4: online time counts from the start where paid mode is on; otherwise from when it is switched on."""
    counts_from = 0 if current_rule(product.pk).paid_mode else None
    level_id = ServiceLevel.objects.values_list("id", flat=True).get(standard_of=product)
    insert_rows(
        DeviceService,
        SERVICE_COLUMNS,
        [
            (pk, enterprise.pk, product.pk, State.PENDING.value, now, level_id, 1, counts_from, False, 0, 0, "UNKNOWN",
             "UNKNOWN", 0, now)
            for pk in device_ids
        ],
    )  # fmt: skip
    insert_rows(Presence, ("device", "is_online", "counted"), [(pk, False, 0) for pk in device_ids])


SERVICE_COLUMNS = (
    "device",
    "enterprise",
    "product",
    "state",
    "state_since",
    "level",
    "life",
    "counts_from",
    "auto_spent",
    "anchor_months",
    "periods_made",
    "desired_lock",
    "reported_lock",
    "generation",
    "last_event_at",
)


def _insert_tokens(enterprise: Enterprise, device_ids: Sequence[int], tokens: Sequence[str], now: datetime) -> None:
    rows = [(enterprise.pk, pk, digest_of(token), now) for pk, token in zip(device_ids, tokens, strict=True)]
    insert_rows(PublicToken, ("enterprise", "device", "digest", "created_at"), rows)


def _record_registered(
    product: Product,
    enterprise: Enterprise,
    rows: Sequence[DeviceRow],
    device_ids: Sequence[int],
    actor: str,
    now: datetime,
) -> None:
    events = [
        EventDraft(
            kind="device.registered",
            subject=f"device:{device_id}",
            enterprise_id=enterprise.pk,
            happened_at=now,
            actor=actor,
            after={"key": row.key, "product": product.key, "state": State.PENDING.value},
        )
        for device_id, row in zip(device_ids, rows, strict=True)
    ]
    record_events(events, now=now)
