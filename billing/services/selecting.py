"""Selections: chosen by ticking, by a filter or by a file, kept for a day as rows, ordered once at a time (Q1, F32)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from amp.foundation.access import Action, may
from amp.foundation.bulk import among, insert_rows
from amp.foundation.models import Enterprise, User
from amp.foundation.services.refusals import Refused
from billing.models import Order, OrderChannel, OrderLine, RenewalSelection, SelectedDevice, SelectionSource
from billing.orders import ENDED_UNPAID, MAX_LINES, OrderStatus
from billing.selection_csv import NamedDevice, read_keys
from billing.services.naming import Found, find_devices
from billing.services.ordering import common_enterprise, open_order
from catalog.models import Plan
from devices.models import Device
from devices.sheets import MAX_PROBLEMS, SheetRefused

KEPT = timedelta(hours=24)
COLUMNS = ("selection", "line", "device", "key", "product_key", "problem")
SHOWN_ORDERS = 3


class SelectionRefused(Refused):
    """These devices can't be renewed together; nothing was kept."""


class OpenOrder(NamedTuple):
    """An order of somebody that waits for payment and holds devices of a selection, too."""

    pk: int
    number: str
    created_by: str
    devices: int


class _Chosen(NamedTuple):
    """What is to be kept. `ids` leads from each device to the line that named it first."""

    ids: dict[int, NamedDevice]
    unknown: Sequence[Found] = ()
    repeated: int = 0
    source: SelectionSource = SelectionSource.LIST
    file_name: str = ""


def select_devices(*, device_ids: Iterable[int], owner: User, now: datetime, wall: datetime) -> RenewalSelection:
    """Keep devices that were ticked or that match a filter. Raises SelectionRefused, OrderRefused (unrelated owners).

    Devices are looked up in the caller's scope; one outside it refuses them all (F78).
    """
    given = list(device_ids)
    ids = {pk: NamedDevice(place, "") for place, pk in enumerate(dict.fromkeys(given), 1)}
    return _kept(_Chosen(ids, repeated=len(given) - len(ids)), owner, now, wall)


def select_from_file(*, content: bytes, file_name: str, owner: User, now: datetime, wall: datetime) -> RenewalSelection:
    """Keep the devices that a file names by their keys; lines that name none stay, with what is wrong (Q1).

    Raises SheetRefused where no line names a device, SelectionRefused, OrderRefused (unrelated owners).
    """
    found = find_devices(read_keys(content))
    named = [each for each in found if each.device_id is not None]
    unknown = [each for each in found if each.device_id is None]
    if not named:
        raise SheetRefused(*(each.problem for each in unknown[:MAX_PROBLEMS] if each.problem))
    ids: dict[int, NamedDevice] = {}
    for each in named:
        ids.setdefault(int(each.device_id or 0), each.named)
    chosen = _Chosen(ids, unknown, len(named) - len(ids), SelectionSource.FILE, _clean(file_name)[:200] or "?")
    return _kept(chosen, owner, now, wall)


def device_ids_of(selection: RenewalSelection) -> list[int]:
    """The devices in the order in which they were chosen."""
    rows = SelectedDevice.objects.filter(selection=selection, device__isnull=False).order_by("pk")
    return [pk for pk in rows.values_list("device_id", flat=True) if pk is not None]


@transaction.atomic
def order_selection(
    *, selection: RenewalSelection, plan: Plan, created_by: str, expected: int, now: datetime
) -> tuple[Order, bool]:
    """Order what can be renewed of the selection; the order, and whether this call has made it (F32, F33).

    A double click, a second tab, or another plan meanwhile lead to the order that waits or was paid: a selection makes
    the next one only after its last one was cancelled or has expired. `expected` is the number of devices that the
    person saw would be renewed. Raises DevicesNotEligible where it is another one by now, OrderRefused.
    """
    locked = RenewalSelection.objects.select_for_update(no_key=True).get(pk=selection.pk)
    if standing := _standing(locked, now):
        return standing, False
    order = open_order(
        device_ids=device_ids_of(locked),
        plan=plan,
        channel=OrderChannel.STAFF,
        created_by=created_by,
        once_key=None,  # the lock on the selection does it
        now=now,
        continue_without_refused=True,
        expected=expected,
    )
    locked.order = order
    locked.save(update_fields=["order"])
    return order, True


def open_orders(*, selection: RenewalSelection, now: datetime) -> list[OpenOrder]:
    """The newest orders that wait for payment and hold devices of the selection, whoever made them (F32)."""
    chosen = SelectedDevice.objects.filter(selection=selection, device__isnull=False).values("device_id")
    waiting = OrderLine.objects.filter(
        device_id__in=chosen, order__status=OrderStatus.PENDING.value, order__expires_at__gt=now
    ).exclude(order=selection.order_id)
    counted = waiting.values_list("order_id", "order__number", "order__created_by").annotate(n=Count("pk"))
    return [OpenOrder(*values) for values in counted.order_by("-order_id")[:SHOWN_ORDERS]]


@transaction.atomic
def forget_selections(*, wall: datetime, limit: int = 20) -> int:
    """Throw away selections whose day is over; orders that were made of them stay. How many."""
    over = RenewalSelection.objects.filter(clear_at__lte=wall).order_by("clear_at")
    ids = list(over.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    SelectedDevice.objects.filter(selection_id__in=ids).delete()
    RenewalSelection.objects.filter(pk__in=ids).delete()
    return len(ids)


def _standing(selection: RenewalSelection, now: datetime) -> Order | None:
    """The order of the selection that is paid, or can be."""
    order = Order.objects.filter(pk=selection.order_id).first() if selection.order_id else None
    if order is None or order.status in ENDED_UNPAID:
        return None
    is_over = order.status == OrderStatus.PENDING.value and order.expires_at <= now
    return None if is_over else order


@transaction.atomic
def _kept(chosen: _Chosen, owner: User, now: datetime, wall: datetime) -> RenewalSelection:
    enterprises = _checked(chosen.ids, owner)
    selection: RenewalSelection = RenewalSelection.objects.create(
        enterprise_id=common_enterprise(enterprises),
        owner=owner,
        source=chosen.source.value,
        file_name=chosen.file_name,
        devices=len(chosen.ids),
        repeated=chosen.repeated,
        unknown=len(chosen.unknown),
        created_at=now,
        clear_at=wall + KEPT,
    )
    known = [(selection.pk, name.line, pk, name.key, name.product, None) for pk, name in chosen.ids.items()]
    insert_rows(SelectedDevice, COLUMNS, [*known, *(_unknown_row(selection, each) for each in chosen.unknown)])
    return selection


def _checked(ids: dict[int, NamedDevice], owner: User) -> set[int]:
    """Ids of the enterprises of the devices, in all of which the owner may renew. Raises SelectionRefused."""
    if not ids:
        raise SelectionRefused.because(_("Choose devices first."))
    if len(ids) > MAX_LINES:
        raise SelectionRefused.because(
            _("At most %(most)s devices are renewed together. Choose fewer: filter the list, or split the file.")
            % {"most": f"{MAX_LINES:,}"}
        )
    owners = dict(Device.objects.filter(among("pk", ids)).values_list("pk", "enterprise_id"))
    if len(owners) != len(ids):
        raise SelectionRefused.because(_("Some of these devices are not there any more. Choose again."))
    enterprises = Enterprise.objects.filter(pk__in=set(owners.values()))
    if closed := [each.name for each in enterprises if not may(owner, Action.RENEW, each)]:
        raise SelectionRefused.because(
            _("Your role does not include renewing devices of %(names)s. Leave them out.")
            % {"names": ", ".join(sorted(closed)[:5])}
        )
    return set(owners.values())


def _unknown_row(selection: RenewalSelection, found: Found) -> tuple[object, ...]:
    name, problem = found.named, found.problem
    told = [_clean(part) for part in (problem.code, *problem.arguments)] if problem else []
    return selection.pk, name.line, None, _clean(name.key), _clean(name.product), told


def _clean(text: str) -> str:
    return text.replace("\0", "").encode(errors="replace").decode()
