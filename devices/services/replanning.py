"""What a changed rule does to the devices of its product: told beforehand, then done (A4, A5, A25).

The page that saves a rule calls this: the catalogue knows no devices. A rule holds for all devices of its product,
whoever owns them, so the work here is done without the caller's scope.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, Q, QuerySet

from amp.foundation.bulk import chunks, update_rows
from amp.foundation.scoping import system_scope
from amp.foundation.wakeups import wake
from catalog.models import Product, ServiceRule
from catalog.services.products import lock_product
from catalog.services.rules import RuleDraft, current_rule, save_rule
from devices.delivery import OPEN, CommandKind
from devices.lifecycle import Lock, State, Terms, after, due_transition
from devices.models import Command, DeviceService, Presence
from devices.services.commands import cancel_commands
from devices.services.ledger import READ, Changes, ServiceRow, facts_of, store
from devices.services.terms import terms_of

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


class RulePreview(NamedTuple):
    """What saving a rule would do at once, in numbers of devices.

    `by_state` counts all live devices; `moves` those whose service changes, by (state now, state then).
    """

    by_state: dict[str, int]
    moves: dict[tuple[str, str], int]
    locks_cancelled: int
    locks_ordered: int
    unlocks_ordered: int

    @property
    def moved(self) -> int:
        """Devices whose service would change at once."""
        return sum(self.moves.values())


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


def rule_preview(*, product: Product, draft: RuleDraft, unlock: bool = True, now: datetime) -> RulePreview:
    """What `change_rule` with the same draft would do now; changes nothing."""
    with system_scope():
        was_on = current_rule(product.pk).paid_mode
        services = _live(product.pk)
        by_state = dict(services.order_by().values_list("state").annotate(number=Count("pk")))
        if draft.paid_mode:
            moves, locks = _foreseen(services, _proposed(product, draft, now), was_on, now)
            return RulePreview(by_state, moves, 0, locks + (0 if was_on else _unlocked(services).count()), 0)
        cancelled = _waiting_locks(product.pk).count() if was_on else 0
        unlocks = services.filter(desired_lock=Lock.LOCKED.value).count() if was_on and unlock else 0
        return RulePreview(by_state, {}, cancelled, 0, unlocks)


def _switch_on(rule: ServiceRule, now: datetime) -> Changed:
    """A4, A25: counting starts now, or goes on where it stopped; who had expired is locked again."""
    paused = dict(_live(rule.product_id).values_list("device_id", "counted_at_pause"))
    relock = set(_unlocked(_live(rule.product_id)).values_list("device_id", flat=True))
    rows = _locked(_live(rule.product_id))
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
    rows = _locked(_live(rule.product_id))
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
    rows = _locked(_live(product_id).filter(state__in=YOUNG))
    update_rows(DeviceService, ("due_at",), [(row.device_id, now) for row in rows])
    wake(SWEEP)
    return len(rows)


def _due(row: ServiceRow, now: datetime) -> datetime | None:
    return now if row.state in MOVING else None


def _tell(rows: Sequence[ServiceRow], lock: Lock, now: datetime) -> None:
    changes = Changes()
    for row in rows:
        changes.move(changes.tell(row, lock))
    store(changes, now=now)


def _foreseen(
    services: QuerySet[DeviceService], terms: Terms, was_on: bool, now: datetime
) -> tuple[dict[tuple[str, str], int], int]:
    """Moves by (from, to) and the number of locks: the rule itself is asked, device by device."""
    moves: Counter[tuple[str, str]] = Counter()
    locks = 0
    due = services.filter(Q(state__in=YOUNG) | Q(state=State.ACTIVE.value, ends_at__lte=now))
    values = due.order_by("device_id").values_list(*READ, "counted_at_pause")
    for part in chunks(values.iterator(chunk_size=CHUNK), CHUNK):
        # Presence is read by id, not joined: right after an import the database knows nothing about the tables' sizes.
        presence = _presence(columns[0] for columns in part)
        for *columns, paused in part:
            row = ServiceRow(*columns)
            counted, open_since = presence.get(row.device_id, (0, None))
            if not was_on:
                row = row._replace(counts_from=_total(counted, open_since, now) - (paused or 0))
            state, locked = _final(row, counted, open_since, terms, now)
            locks += locked
            if state != row.state:
                moves[row.state, state] += 1
    return dict(moves), locks


def _final(row: ServiceRow, counted: int, open_since: datetime | None, terms: Terms, now: datetime) -> tuple[str, bool]:
    """The state in which everything that is due has happened, and whether the device is locked on the way."""
    facts = facts_of(row, counted, open_since)
    locked = False
    while transition := due_transition(facts, terms, now):
        facts = after(facts, transition, terms)
        locked = transition.lock is Lock.LOCKED
        if transition.held:
            break
    return facts.state.value, locked


def _proposed(product: Product, draft: RuleDraft, now: datetime) -> Terms:
    zone = product.enterprise.time_zone
    return terms_of(draft, maker_id=product.enterprise_id, thresholds_since=now, time_zone=zone, now=now)


def _live(product_id: int) -> QuerySet[DeviceService]:
    services: QuerySet[DeviceService] = DeviceService.objects.filter(product_id=product_id)
    return services.exclude(state=State.TERMINATED.value)


def _unlocked(services: QuerySet[DeviceService]) -> QuerySet[DeviceService]:
    """Expired devices that nothing keeps locked: opened, or never told, while paid mode was off."""
    return services.filter(state=State.EXPIRED.value).exclude(
        desired_lock=Lock.LOCKED.value, reported_lock=Lock.LOCKED.value
    )


def _locked(services: QuerySet[DeviceService]) -> list[ServiceRow]:
    """Rows locked in the order of their devices, as everywhere (F23)."""
    return [ServiceRow(*values) for values in services.order_by("device_id").select_for_update().values_list(*READ)]


def _waiting_locks(product_id: int) -> QuerySet[Command]:
    waiting: QuerySet[Command] = Command.objects.filter(
        device__product_id=product_id,
        kind=CommandKind.LOCK.value,
        status__in=[status.value for status in OPEN],
    )
    return waiting


def _totals(rows: Sequence[ServiceRow], now: datetime) -> dict[int, int]:
    """Online time of each device up to `now`, microseconds."""
    presence = _presence(row.device_id for row in rows)
    return {row.device_id: _total(*presence.get(row.device_id, (0, None)), now) for row in rows}


def _presence(device_ids: Iterable[int]) -> dict[int, tuple[int, datetime | None]]:
    found = Presence.objects.filter(device_id__in=list(device_ids))
    return {
        device_id: (counted, open_since)
        for device_id, counted, open_since in found.values_list("device_id", "counted", "open_since")
    }


def _total(counted: int, open_since: datetime | None, now: datetime) -> int:
    still_open = max(now - open_since, timedelta()) if open_since else timedelta()
    return counted + still_open // timedelta(microseconds=1)
