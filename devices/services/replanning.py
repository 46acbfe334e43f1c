"""What a changed rule does to the devices of its product (A4, A5, A25); `rule_previews` tells it beforehand.

The page that saves a rule calls this: the catalogue knows no devices. A rule holds for all devices of its product,
whoever owns them, so the work here is done without the caller's scope.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import QuerySet

from amp.foundation.bulk import chunks, update_rows
from amp.foundation.scoping import system_scope
from amp.foundation.wakeups import wake
from catalog.models import Product, ServiceRule
from catalog.services.products import lock_product
from catalog.services.rules import RuleDraft, current_rule, save_rule
from devices.brakes import LockCause
from devices.delivery import OPEN, CommandKind
from devices.lifecycle import Lock, State
from devices.models import Command, DeviceService, Presence
from devices.online_time import total_of
from devices.services.commands import cancel_commands
from devices.services.ledger import READ, Changes, ServiceRow, store
from devices.services.lock_brakes import locked_counts

CHUNK = 5_000
SWEEP = "devices.tasks.advance_due_services"
YOUNG = (State.PENDING.value, State.TRIAL.value)
MOVING = (*YOUNG, State.ACTIVE.value)
"""States that something can end by itself."""
COUNTING = ("counts_from", "counted_at_pause", "due_at")
REPLANNED = ("trial_start_seconds", "trial_end_seconds", "auto_subscribe", "auto_plan_id")
"""What of a rule moves the next moment of a device while paid mode stays on."""


class Changed(NamedTuple):
    """A saved rule, and what was done to devices; what is due by now, the sweep moves next."""

    rule: ServiceRule
    replanned: int
    locks_cancelled: int
    locks_ordered: int
    unlocks_ordered: int


@transaction.atomic
def change_rule(
    *,
    product: Product,
    draft: RuleDraft,
    unlock: bool = True,
    actor: str,
    now: datetime,
    based_on: int | None = None,
) -> Changed:
    """Save a rule and make its devices follow, in one transaction. `unlock` matters when paid mode goes off (A25).

    `based_on` is the version that the person was shown. Raises `catalog.services.rules.RuleRefused`.
    """
    lock_product(product.pk)
    rule_before = current_rule(product.pk)
    rule_after = save_rule(product=product, draft=draft, actor=actor, now=now, based_on=based_on)
    return replan_product(
        product_id=product.pk, rule_before=rule_before, rule_after=rule_after, unlock=unlock, actor=actor, now=now
    )


@transaction.atomic
def replan_product(
    *,
    product_id: int,
    rule_before: ServiceRule,
    rule_after: ServiceRule,
    unlock: bool = True,
    actor: str,
    now: datetime,
) -> Changed:
    """Make the live devices of a product follow its new rule."""
    with system_scope():
        if rule_after.paid_mode and not rule_before.paid_mode:
            return _switch_on(rule_after, now)
        if rule_before.paid_mode and not rule_after.paid_mode:
            return _switch_off(rule_after, unlock, actor, now)
        changed = any(getattr(rule_before, name) != getattr(rule_after, name) for name in REPLANNED)
        replanned = _look_again(product_id, now) if rule_after.paid_mode and changed else 0
        return Changed(rule_after, replanned, 0, 0, 0)


def _switch_on(rule: ServiceRule, now: datetime) -> Changed:
    """A4, A25: counting starts now, or goes on where it stopped; who had expired is locked again."""
    paused = dict(live_services(rule.product_id).values_list("device_id", "counted_at_pause"))
    relock = set(unlocked_services(live_services(rule.product_id)).values_list("device_id", flat=True))
    rows = _locked(live_services(rule.product_id))
    locked_counts({row.enterprise_id for row in rows if row.device_id in relock})  # all at once, in order (F23)
    for part in chunks(rows, CHUNK):
        totals = _totals(part, now)
        counting = [
            (row.device_id, totals[row.device_id] - (paused[row.device_id] or 0), None, _due(row, now)) for row in part
        ]
        update_rows(DeviceService, COUNTING, counting)
        _tell([row._replace(due_at=_due(row, now)) for row in part if row.device_id in relock], Lock.LOCKED, now)
    wake(SWEEP)
    return Changed(rule, len(rows), 0, sum(row.device_id in relock for row in rows), 0)


def _switch_off(rule: ServiceRule, unlock: bool, actor: str, now: datetime) -> Changed:
    """A25: states stay as they are, nothing is due, waiting locks are taken back, locked devices opened if wanted."""
    rows = _locked(live_services(rule.product_id))
    cancelled = 0
    DeviceService.objects.filter(product_id=rule.product_id, counts_from=None).update(due_at=None)
    opened = {row.device_id for row in rows if unlock and row.desired_lock == Lock.LOCKED.value}
    for part in chunks(rows, CHUNK):
        ids = [row.device_id for row in part]
        cancelled += cancel_commands(ids, kind=CommandKind.LOCK, actor=actor, why="paid_mode_off", now=now)
        totals = _totals(part, now)
        counted = [
            (row.device_id, None, max(totals[row.device_id] - row.counts_from, 0), None)
            for row in part
            if row.counts_from is not None
        ]
        update_rows(DeviceService, COUNTING, counted)
        _tell([row._replace(due_at=None) for row in part if row.device_id in opened], Lock.UNLOCKED, now)
    return Changed(rule, len(rows), cancelled, 0, len(opened))


def _look_again(product_id: int, now: datetime) -> int:
    """New thresholds or another included plan: the sweep looks at every device before the end of its trial."""
    rows = _locked(live_services(product_id).filter(state__in=YOUNG))
    update_rows(DeviceService, ("due_at",), [(row.device_id, now) for row in rows])
    wake(SWEEP)
    return len(rows)


def _due(row: ServiceRow, now: datetime) -> datetime | None:
    return now if row.state in MOVING else None


def _tell(rows: Sequence[ServiceRow], lock: Lock, now: datetime) -> None:
    changes = Changes()
    for row in rows:
        changes.move(changes.tell(row, lock, LockCause.RULE if lock is Lock.LOCKED else None))
    store(changes, now=now)


def live_services(product_id: int) -> QuerySet[DeviceService]:
    """Services of a product that are not terminated."""
    services: QuerySet[DeviceService] = DeviceService.objects.filter(product_id=product_id)
    return services.exclude(state=State.TERMINATED.value)


def unlocked_services(services: QuerySet[DeviceService]) -> QuerySet[DeviceService]:
    """Expired devices that nothing keeps locked: opened, or never told, while paid mode was off."""
    return services.filter(state=State.EXPIRED.value).exclude(
        desired_lock=Lock.LOCKED.value, reported_lock=Lock.LOCKED.value
    )


def _locked(services: QuerySet[DeviceService]) -> list[ServiceRow]:
    """Rows locked in the order of their devices, as everywhere (F23)."""
    return [ServiceRow(*values) for values in services.order_by("device_id").select_for_update().values_list(*READ)]


def waiting_locks(product_id: int) -> QuerySet[Command]:
    """LOCKs of a product that are still open (A25)."""
    waiting: QuerySet[Command] = Command.objects.filter(
        device__product_id=product_id,
        kind=CommandKind.LOCK.value,
        status__in=[status.value for status in OPEN],
    )
    return waiting


def _totals(rows: Sequence[ServiceRow], now: datetime) -> dict[int, int]:
    """Online time of each device up to `now`, microseconds."""
    presence = presence_of(row.device_id for row in rows)
    return {row.device_id: total_of(*presence.get(row.device_id, (0, None)), now) for row in rows}


def presence_of(device_ids: Iterable[int]) -> dict[int, tuple[int, datetime | None]]:
    """Closed online time in microseconds, and since when the device is online, by device."""
    found = Presence.objects.filter(device_id__in=list(device_ids))
    return {
        device_id: (counted, open_since)
        for device_id, counted, open_since in found.values_list("device_id", "counted", "open_since")
    }
