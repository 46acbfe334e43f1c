"""What saving a rule would do to the devices of its product, told before the button (A4, A5, A25). Changes nothing.

Cost: a fixed number of statements and one more for each 5,000 devices that the rule could move (in PENDING or TRIAL, or
active past their end): the pure rule is asked for each of those; all other devices are only counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from django.db.models import Count, Q, QuerySet

from amp.foundation.bulk import chunks
from amp.foundation.scoping import system_scope
from catalog.models import Product, ServiceRule
from catalog.services.rules import FIELDS, RuleDraft, current_rule
from devices.delivery import OPEN
from devices.lifecycle import Lock, State, Terms, after, due_transition
from devices.models import Command, Device, DeviceService
from devices.online_time import total_of
from devices.services.ledger import READ, ServiceRow, facts_of
from devices.services.replanning import (
    CHUNK,
    YOUNG,
    live_services,
    presence_of,
    unlocked_services,
    waiting_locks,
)
from devices.services.terms import terms_of

SAMPLES = 10


class Effect(StrEnum):
    """What an edit means for devices that don't move at once (A5); pages have the words. Stable codes (API)."""

    WAIT_FOR_NEW_START = "wait_for_new_start"
    GET_NEW_TRIAL_END = "get_new_trial_end"
    KEEP_THEIR_TRIAL_END = "keep_their_trial_end"
    GET_INCLUDED_PLAN = "get_included_plan"
    STOP_AT_TRIAL_END = "stop_at_trial_end"
    MAY_RENEW_IN_TRIAL = "may_renew_in_trial"
    WAIT_WITH_RENEWAL = "wait_with_renewal"
    KEEP_THEIR_CACHE_TIME = "keep_their_cache_time"
    UNLOCK_IN_OLD_WORDS = "unlock_in_old_words"
    LOCK_IN_NEW_WORDS = "lock_in_new_words"
    CLOSED_BY_SILENCE = "closed_by_silence"
    NOT_CLOSED_BY_SILENCE = "not_closed_by_silence"
    FROZEN = "frozen"
    COUNT_FROM_NOW = "count_from_now"


class Sample(NamedTuple):
    """One device that moves: its id and key, its state now and then."""

    device_id: int
    key: str
    before: str
    after: str


class RulePreview(NamedTuple):
    """What saving a rule would do, in numbers of devices.

    `version` is the rule that it was compared with, `changed` the fields that differ. `by_state` counts all live
    devices, `moves` those whose service changes at once, by (state now, state then); `samples` names the first of
    them. `effects` are what the change means for the others, only those that concern any device.
    """

    version: int
    changed: tuple[str, ...]
    by_state: dict[str, int]
    moves: dict[tuple[str, str], int]
    locks_cancelled: int
    locks_ordered: int
    unlocks_ordered: int
    samples: tuple[Sample, ...] = ()
    effects: tuple[tuple[Effect, int], ...] = ()

    @property
    def moved(self) -> int:
        """Devices whose service would change at once."""
        return sum(self.moves.values())


class _Counts(NamedTuple):
    pending: int
    trial: int
    young_unspent: int
    expired: int
    live: int
    locked: int
    online: int
    open_commands: int


def rule_preview(*, product: Product, draft: RuleDraft, unlock: bool = True, now: datetime) -> RulePreview:
    """What `devices.services.replanning.change_rule` with the same draft would do now."""
    with system_scope():
        rule = current_rule(product.pk)
        was_on, services = rule.paid_mode, live_services(product.pk)
        changed = tuple(name for name in FIELDS if getattr(rule, name) != getattr(draft, name))
        by_state = dict(services.order_by().values_list("state").annotate(number=Count("pk")))
        effects = _told(rule, draft, changed, _counts(product.pk, services)) if changed else ()
        if draft.paid_mode:
            seen = _foreseen(services, _proposed(product, draft, now), was_on, now)
            locks = seen.locks + (0 if was_on else unlocked_services(services).count())
            return RulePreview(
                rule.version, changed, by_state, dict(seen.moves), 0, locks, 0, _samples(seen.first), effects
            )
        cancelled = waiting_locks(product.pk).count() if was_on else 0
        unlocks = services.filter(desired_lock=Lock.LOCKED.value).count() if was_on and unlock else 0
        return RulePreview(rule.version, changed, by_state, {}, cancelled, 0, unlocks, (), effects)


class _Foreseen(NamedTuple):
    moves: Counter[tuple[str, str]]
    locks: int
    first: list[tuple[int, str, str]]


def _foreseen(services: QuerySet[DeviceService], terms: Terms, was_on: bool, now: datetime) -> _Foreseen:
    """Moves by (from, to) and the number of locks: the rule itself is asked, device by device."""
    moves: Counter[tuple[str, str]] = Counter()
    locks = 0
    first: list[tuple[int, str, str]] = []
    due = services.filter(Q(state__in=YOUNG) | Q(state=State.ACTIVE.value, ends_at__lte=now))
    values = due.order_by("device_id").values_list(*READ, "counted_at_pause")
    for part in chunks(values.iterator(chunk_size=CHUNK), CHUNK):
        # Presence is read by id, not joined: right after an import the database knows nothing about the tables' sizes.
        presence = presence_of(columns[0] for columns in part)
        for *columns, paused in part:
            row = ServiceRow(*columns)
            counted, open_since = presence.get(row.device_id, (0, None))
            if not was_on:
                row = row._replace(counts_from=total_of(counted, open_since, now) - (paused or 0))
            state, locked = _final(row, counted, open_since, terms, now)
            locks += locked
            if state != row.state:
                moves[row.state, state] += 1
                if len(first) < SAMPLES:
                    first.append((row.device_id, row.state, state))
    return _Foreseen(moves, locks, first)


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


def _samples(first: list[tuple[int, str, str]]) -> tuple[Sample, ...]:
    keys = dict(Device.objects.filter(pk__in=[pk for pk, *_states in first]).values_list("pk", "key")) if first else {}
    return tuple(Sample(pk, keys[pk], before, then) for pk, before, then in first)


def _proposed(product: Product, draft: RuleDraft, now: datetime) -> Terms:
    zone = product.enterprise.time_zone
    return terms_of(draft, maker_id=product.enterprise_id, thresholds_since=now, time_zone=zone, now=now)


def _counts(product_id: int, services: QuerySet[DeviceService]) -> _Counts:
    young = Q(state__in=YOUNG)
    numbers: dict[str, Any] = services.aggregate(
        pending=Count("pk", filter=Q(state=State.PENDING.value)),
        trial=Count("pk", filter=Q(state=State.TRIAL.value)),
        young_unspent=Count("pk", filter=young & Q(auto_spent=False)),
        expired=Count("pk", filter=Q(state=State.EXPIRED.value)),
        live=Count("pk"),
        locked=Count("pk", filter=Q(desired_lock=Lock.LOCKED.value)),
        online=Count("pk", filter=Q(device__presence__is_online=True)),
    )
    waiting = Command.objects.filter(
        device__product_id=product_id, status__in=[status.value for status in OPEN]
    ).count()
    return _Counts(**numbers, open_commands=waiting)


def _told(
    rule: ServiceRule, draft: RuleDraft, changed: tuple[str, ...], counts: _Counts
) -> tuple[tuple[Effect, int], ...]:
    return tuple((effect, number) for effect, number in _effects(rule, draft, set(changed), counts) if number)


def _effects(rule: ServiceRule, draft: RuleDraft, changed: set[str], counts: _Counts) -> Iterator[tuple[Effect, int]]:
    """What each changed field means; while paid mode is off, it means nothing until it is on."""
    if not draft.paid_mode:
        if rule.paid_mode:
            yield Effect.FROZEN, counts.live
        return
    if not rule.paid_mode:
        yield Effect.COUNT_FROM_NOW, counts.pending
    if "trial_start_seconds" in changed:
        yield Effect.WAIT_FOR_NEW_START, counts.pending
    if "trial_end_seconds" in changed:
        yield Effect.GET_NEW_TRIAL_END, counts.pending
        yield Effect.KEEP_THEIR_TRIAL_END, counts.trial
    if {"auto_subscribe", "auto_plan_id"} & changed:
        yield (Effect.GET_INCLUDED_PLAN if draft.auto_subscribe else Effect.STOP_AT_TRIAL_END), counts.young_unspent
    if "renewal_before_trial_end" in changed:
        effect = Effect.MAY_RENEW_IN_TRIAL if draft.renewal_before_trial_end else Effect.WAIT_WITH_RENEWAL
        yield effect, counts.pending + counts.trial
    yield from _effects_on_devices(draft, changed, counts)


def _effects_on_devices(draft: RuleDraft, changed: set[str], counts: _Counts) -> Iterator[tuple[Effect, int]]:
    if "cache_seconds" in changed:
        yield Effect.KEEP_THEIR_CACHE_TIME, counts.open_commands
    if {"lock_action", "unlock_action"} & changed:
        yield Effect.UNLOCK_IN_OLD_WORDS, counts.locked
        yield Effect.LOCK_IN_NEW_WORDS, counts.live - counts.locked
    if "heartbeat_seconds" in changed:
        yield (Effect.CLOSED_BY_SILENCE if draft.heartbeat_seconds else Effect.NOT_CLOSED_BY_SILENCE), counts.online
