"""What must always hold for devices, checked from outside: the records rebuild the state (R2, R3, R9).

Each check is a generator over set-based queries; `violations(now=…)` runs them all in the system's scope.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from amp.foundation.invariants import Violation
from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from devices.lifecycle import Lock, State
from devices.models import (
    Command,
    CommandSlot,
    CommandStatus,
    DeviceService,
    EarlyEnd,
    Period,
    Presence,
    PresenceSession,
)
from devices.models.commands import OPEN_STATUSES
from devices.online_time import Interval, union_length

PATIENCE = timedelta(minutes=10)
"""Nothing that is due may lie undone longer than this."""

ALLOWED = {
    (State.PENDING, State.TRIAL),
    (State.PENDING, State.ACTIVE),
    (State.TRIAL, State.TRIAL),  # A11: held
    (State.TRIAL, State.ACTIVE),
    (State.TRIAL, State.EXPIRED),
    (State.TRIAL, State.FREE),
    (State.ACTIVE, State.ACTIVE),
    (State.ACTIVE, State.EXPIRED),
    (State.ACTIVE, State.FREE),
    (State.FREE, State.ACTIVE),
    (State.EXPIRED, State.ACTIVE),
    *((state, State.TERMINATED) for state in State if state is not State.TERMINATED),
}
RESTARTED = "device_service.restarted"
"""Only this event leads back to PENDING (A6)."""


def violations(*, now: datetime) -> list[Violation]:
    """Every violation in the devices app."""
    with system_scope():
        return [
            *_ends(),
            *_periods(),
            *_transfers(),
            *_cuts(),
            *_locks(),
            *_commands(now),
            *_transitions(),
            *_records(),
            *_lives(),
            *_online_time(now),
            *_tenants(),
            *_undone(now),
        ]


def _ends() -> Iterator[Violation]:
    """The end of a service is the fold of its periods and of what cut the last one short."""
    last = _cut_short(Period.objects.filter(device_id=OuterRef("device_id"), life=OuterRef("life"))).order_by("-number")
    services = DeviceService.objects.annotate(folded=Subquery(last.values("really_ends_at")[:1]))
    wrong = services.filter(~Q(ends_at=F("folded")) | Q(ends_at__isnull=True, folded__isnull=False))
    for device_id, ends_at, folded in wrong.exclude(ends_at=None, folded=None).values_list(
        "device_id", "ends_at", "folded"
    ):
        yield Violation("end_is_fold_of_ledger", f"device {device_id} ends {ends_at}, its periods say {folded}")


def _cut_short(periods: QuerySet[Period]) -> QuerySet[Any]:
    """Each period with `really_ends_at`: where a transfer or refunds cut it, the last cut (A14, A26)."""
    cut = EarlyEnd.objects.filter(device_id=OuterRef("device_id"), number=OuterRef("number")).order_by("ends_at")
    return periods.annotate(really_ends_at=Coalesce(Subquery(cut.values("ends_at")[:1]), F("ends_at")))


def _periods() -> Iterator[Violation]:
    """Numbers run without a hole, and each period names the end before it and begins there or later."""
    before = _cut_short(Period.objects.filter(device_id=OuterRef("device_id"), number=OuterRef("number") - 1))
    periods = Period.objects.annotate(before=Subquery(before.values("really_ends_at")[:1])).filter(number__gt=1)
    for device_id, number in periods.filter(Q(before=None) | Q(starts_at__lt=F("before"))).values_list(
        "device_id", "number"
    ):
        yield Violation("periods_follow_each_other", f"device {device_id}, period {number}")


def _transfers() -> Iterator[Violation]:
    """What one device lost by a transfer another of its product got, to the second: no time is made or lost (A26)."""
    got = {
        source: (device_id, product_id, starts_at, ends_at)
        for source, device_id, product_id, starts_at, ends_at in Period.objects.filter(
            source__startswith="transfer:"
        ).values_list("source", "device_id", "device__product_id", "starts_at", "ends_at")
    }
    lost = EarlyEnd.objects.filter(source__startswith="transfer:").values_list(
        "source", "device_id", "device__product_id", "ends_at", "previous_ends_at"
    )
    for source, device_id, product_id, cut_at, ended_at in lost.iterator():
        taken = got.pop(source, None)
        if taken is None or taken[0] == device_id or taken[1:] != (product_id, cut_at, ended_at):
            yield Violation("transfer_moves_the_same_time", f"{source}: device {device_id} until {ended_at}")
    for source, (device_id, *_rest) in got.items():
        yield Violation("transfer_moves_the_same_time", f"{source}: device {device_id} got what nobody gave")


def _cuts() -> Iterator[Violation]:
    """A cut begins where the period ended until then: at the period's own end, or at the cut before it (A14, A26)."""
    before = EarlyEnd.objects.filter(
        device_id=OuterRef("device_id"), number=OuterRef("number"), ends_at=OuterRef("previous_ends_at")
    )
    period = Period.objects.filter(device_id=OuterRef("device_id"), number=OuterRef("number"))
    cuts = EarlyEnd.objects.annotate(before=Subquery(before.values("ends_at")[:1]))
    loose = cuts.annotate(whole=Subquery(period.values("ends_at")[:1])).filter(before=None)
    for source in loose.exclude(previous_ends_at=F("whole")).values_list("source", flat=True):
        yield Violation("a_cut_begins_at_the_end_before_it", source)


def _locks() -> Iterator[Violation]:
    """Expired with the rule on wants the lock; inside a period nothing may want it."""
    on = Q(product__rules__is_current=True, product__rules__paid_mode=True)
    services = DeviceService.objects.filter(on)
    stopped = services.filter(state=State.EXPIRED.value).exclude(desired_lock=Lock.LOCKED.value)
    running = services.filter(state=State.ACTIVE.value, desired_lock=Lock.LOCKED.value)
    for device_id in stopped.values_list("device_id", flat=True):
        yield Violation("expired_wants_lock", f"device {device_id}")
    for device_id in running.values_list("device_id", flat=True):
        yield Violation("active_wants_no_lock", f"device {device_id}")


def _commands(now: datetime) -> Iterator[Violation]:
    """One in flight per device, no older generation after a newer one, nothing open past its cache time."""
    crowded = Command.objects.filter(status=CommandStatus.SENT.value).values("device_id").annotate(n=Count("id"))
    for row in crowded.filter(n__gt=1):
        yield Violation("one_command_in_flight", f"device {row['device_id']} has {row['n']}")
    for command_id in Command.objects.filter(
        status__in=OPEN_STATUSES, hold=None, stale_at__lt=now - PATIENCE
    ).values_list("id", flat=True):
        yield Violation("nothing_open_past_its_cache_time", f"command {command_id}")
    for command_id in Command.objects.filter(hold__ended_at__isnull=False).values_list("id", flat=True):
        yield Violation("nothing_is_held_for_ever", f"command {command_id}")
    locks = Q(device__commands__slot=CommandSlot.LOCK.value)
    newest = DeviceService.objects.annotate(told=Max("device__commands__generation", filter=locks))
    for device_id in newest.filter(told__gt=F("generation")).values_list("device_id", flat=True):
        yield Violation("generation_never_goes_down", f"device {device_id}")


def _transitions() -> Iterator[Violation]:
    """Every recorded change of state is one that the rules know."""
    events = Event.objects.filter(kind__startswith="device_service.").values_list("subject", "kind", "before", "after")
    for subject, kind, before, after in events.iterator():
        if not before or not after or "state" not in before or "state" not in after:
            continue
        pair = (State(before["state"]), State(after["state"]))
        is_restart = kind == RESTARTED and pair[0] is not State.TERMINATED and pair[1] is State.PENDING
        if pair[0] is not pair[1] and pair not in ALLOWED and not is_restart:
            yield Violation("state_follows_allowed_transitions", f"{subject} {kind}: {pair[0]} to {pair[1]}")


def _records() -> Iterator[Violation]:
    """The last recorded state is the state."""
    last: dict[str, str] = {}
    events = Event.objects.filter(kind__startswith="device_service.").order_by("id").values_list("subject", "after")
    for subject, after in events.iterator():
        if after and "state" in after:
            last[subject] = after["state"]
    for device_id, state in DeviceService.objects.values_list("device_id", "state").iterator():
        recorded = last.get(f"device:{device_id}", State.PENDING.value)
        if recorded != state:
            yield Violation("state_change_has_its_record", f"device {device_id} is {state}, recorded {recorded}")


def _lives() -> Iterator[Violation]:
    """A life ends its trial once; an included period and an early renewal never both."""
    firsts: dict[tuple[int, int], list[str]] = defaultdict(list)
    for device_id, life, source in Period.objects.order_by("device_id", "number").values_list(
        "device_id", "life", "source"
    ):
        firsts[device_id, life].append(source)
    for (device_id, life), sources in firsts.items():
        included = [source for source in sources if source.startswith("auto:")]
        if len(included) > 1 or (included and sources[0] != included[0]):
            yield Violation("one_included_period_per_life", f"device {device_id}, life {life}: {sources}")


def _online_time(now: datetime) -> Iterator[Violation]:
    """Counted online time is the union of the closed sessions before the open interval, gone ones too (P1, X5)."""
    sessions: dict[int, list[Interval]] = defaultdict(list)
    stored = PresenceSession.objects.values_list("device_id", "session", "started_at", "ended_at")
    for device_id, session, started_at, ended_at in stored.iterator():
        sessions[device_id].append(Interval(session, started_at, ended_at))
    rows = Presence.objects.values_list("device_id", "counted", "forgotten", "open_since")
    for device_id, counted, forgotten, open_since in rows.iterator():
        union = forgotten + union_length(sessions.get(device_id, ()), open_since)
        if counted != union:
            yield Violation(
                "online_time_is_union_of_intervals", f"device {device_id} counts {counted} µs, sessions {union}"
            )
        if open_since and open_since > now + PATIENCE:
            yield Violation("online_time_within_wall_time", f"device {device_id} is online since {open_since}")


def _tenants() -> Iterator[Violation]:
    """A device's product belongs to its enterprise or to an ancestor; what hangs on a device shares its enterprise."""
    rows = DeviceService.objects.values_list(
        "device_id", "enterprise_id", "device__enterprise_id", "product__enterprise_id", "enterprise__path"
    )
    for device_id, enterprise_id, owner_id, maker_id, path in rows.iterator():
        if enterprise_id != owner_id or str(maker_id) not in path.strip("/").split("/"):
            yield Violation("no_reference_across_tenants", f"device {device_id}")
    for model in (Period, Command):
        foreign = model.objects.exclude(enterprise_id=F("device__enterprise_id"))
        for pk in foreign.values_list("id", flat=True):
            yield Violation("no_reference_across_tenants", f"{model.__name__.lower()} {pk}")


def _undone(now: datetime) -> Iterator[Violation]:
    """Nothing that is due lies undone."""
    late = DeviceService.objects.filter(due_at__lt=now - PATIENCE)
    for device_id, due_at in late.values_list("device_id", "due_at"):
        yield Violation("nothing_due_is_undone", f"device {device_id} was due {due_at}")
