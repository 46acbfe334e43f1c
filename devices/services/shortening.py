"""Taking paid time back from devices, as refunds do: told beforehand, then done once (A14, R2, R9).

The ledger stays append-only: the device's last period gets an early end with the refund's own source ("refund:7").
Where nothing is left ahead, the device expires by the usual rules, with its LOCK (A17, A22).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, QuerySet, When

from amp.foundation.bulk import among, insert_rows
from devices.lifecycle import Facts, State, Terms
from devices.models import DeviceService, EarlyEnd, Period
from devices.periods import Cut, cut, unused_time
from devices.services.ledger import READ, Changes, ServiceRow, store
from devices.services.lifecycle import advance, load_facts
from devices.services.terms import terms_for

COLUMNS = ("enterprise", "device", "number", "previous_ends_at", "ends_at", "source", "created_at")
NOTHING = timedelta()


class Spared(StrEnum):
    """Why a device loses no time by a refund: what it runs on isn't what the payer bought."""

    OTHER_ENTERPRISE = "other_enterprise"
    MOVED = "moved"
    OTHER_LIFE = "other_life"


class PeriodTime(NamedTuple):
    """How one paid period stands: its `length`, what of it lies ahead, and what is `left` of the device's service.

    `ends_at` is the service's end where it runs; None where there is nothing to take.
    """

    length: timedelta
    unused: timedelta
    left: timedelta
    ends_at: datetime | None
    state: State
    spared: Spared | None = None


class Shortening(NamedTuple):
    """Take `wanted` from one device, everything ahead where it is None; `source` makes it happen once.

    `period` is the source of the period that is paid back: what was paid in a later life (A6), or since its rest was
    moved away (A26), is none of it. `enterprise_id` is whose device was paid for: what another enterprise has since is
    none of it either (F36).
    """

    device_id: int
    source: str
    wanted: timedelta | None
    period: str
    enterprise_id: int


class Shortened(NamedTuple):
    """What was taken, and the end that the device has since; nothing and None where it had no time left."""

    device_id: int
    source: str
    taken: timedelta
    ends_at: datetime | None


def period_times(owners: Mapping[str, int], *, now: datetime) -> dict[str, PeriodTime]:
    """How the periods that these sources have made stand at `now`; two queries, changes nothing.

    `owners` says for each source which enterprise's device was paid for. A period of an earlier life, one whose rest
    was moved away, or of a device that is another enterprise's by now, has nothing left.
    """
    rows = list(_periods(owners).values_list("source", "device_id", "own_life", "starts_at", "ends_at"))
    services = DeviceService.objects.filter(among("device_id", [row[1] for row in rows]))
    columns = ("life", "state", "ends_at", "enterprise_id")
    standing = {values[0]: _Standing(*values[1:]) for values in services.values_list("device_id", *columns)}
    return {
        source: _time(starts_at, ends_at, _spared(life, owners[source], standing[device_id]), standing[device_id], now)
        for source, device_id, life, starts_at, ends_at in rows
    }


@transaction.atomic
def shorten_services(wishes: Sequence[Shortening], *, why: str, actor: str, now: datetime) -> list[Shortened]:
    """Take time back from devices, each named once: services locked in id order (F23), set-based writes.

    A wish whose source has cut its device already is answered from that cut and changes nothing (R2).
    """
    ids = sorted({wish.device_id for wish in wishes})
    locked = DeviceService.objects.filter(device_id__in=ids).order_by("device_id").select_for_update()
    rows = {values[0]: ServiceRow(*values) for values in locked.values_list(*READ)}
    known = EarlyEnd.objects.filter(among("source", [wish.source for wish in wishes]))
    done = {each.source: each for each in known}
    terms = terms_for({row.place for row in rows.values()}, now=now)
    facts = load_facts(list(rows.values()), terms)
    lives = dict(_periods([wish.period for wish in wishes]).values_list("source", "own_life"))
    changes, cuts, answers = Changes(), [], []
    for wish in sorted(wishes):
        row = rows[wish.device_id]
        if before := done.get(wish.source):
            taken = before.previous_ends_at - before.ends_at
            answers.append(Shortened(wish.device_id, wish.source, taken, before.ends_at))
            continue
        if _spared(lives.get(wish.period), wish.enterprise_id, row):
            answers.append(Shortened(wish.device_id, wish.source, NOTHING, None))
            continue
        made = _shorten(row, facts[row.device_id], terms[row.place], wish, changes, why=why, actor=actor, now=now)
        answers.append(Shortened(row.device_id, wish.source, made.taken if made else NOTHING, made and made.ends_at))
        if made:
            cuts.append(_cut_row(row, made, wish.source, now))
    store(changes, now=now)
    insert_rows(EarlyEnd, COLUMNS, cuts)
    return answers


def _periods(sources: Iterable[str]) -> QuerySet[Any]:
    """The periods of these sources with `own_life`, the life whose time they are; None where a transfer has moved the
    rest: it takes all that was paid ahead (A26)."""
    moved = EarlyEnd.objects.filter(
        device_id=OuterRef("device_id"), number__gte=OuterRef("number"), source__startswith="transfer:"
    )
    own_life = Case(When(Exists(moved), then=None), default=F("life"))
    rows: QuerySet[Any] = Period.objects.filter(among("source", list(sources))).annotate(own_life=own_life)
    return rows


class _Standing(NamedTuple):
    """What a device runs on; named as `ServiceRow` names it."""

    life: int
    state: str
    ends_at: datetime | None
    enterprise_id: int


def _spared(own_life: int | None, enterprise_id: int, standing: _Standing | ServiceRow) -> Spared | None:
    if standing.enterprise_id != enterprise_id:
        return Spared.OTHER_ENTERPRISE
    if own_life is None:
        return Spared.MOVED
    return None if own_life == standing.life else Spared.OTHER_LIFE


def _time(
    starts_at: datetime, ends_at: datetime, spared: Spared | None, standing: _Standing, now: datetime
) -> PeriodTime:
    runs = standing.state == State.ACTIVE.value and spared is None and standing.ends_at is not None
    left = max(NOTHING, standing.ends_at - now) if runs and standing.ends_at else NOTHING
    unused = unused_time(starts_at, ends_at, now=now) if left else NOTHING
    ends = standing.ends_at if left else None
    return PeriodTime(ends_at - starts_at, unused, left, ends, State(standing.state), spared)


def _shorten(
    row: ServiceRow,
    facts: Facts,
    terms: Terms,
    wish: Shortening,
    changes: Changes,
    *,
    why: str,
    actor: str,
    now: datetime,
) -> Cut | None:
    """First what was due before, then the cut, then what is due because of it: an end that is now (A17)."""
    row, facts = advance(row, facts, terms, changes, until=now, now=now)
    made = cut(facts, wanted=wish.wanted, now=now)
    if made is None:
        return None
    at = max(now, row.last_event_at)
    before = row
    row = row._replace(anchor=made.ends_at, anchor_months=0, ends_at=made.ends_at, last_event_at=at)
    changes.note(before, row, "device_service.shortened", at=at, why=why, actor=actor)
    facts = facts._replace(anchor=row.anchor, anchor_months=0, ends_at=row.ends_at, last_event_at=at)
    advance(row, facts, terms, changes, until=at, now=now)
    return made


def _cut_row(row: ServiceRow, made: Cut, source: str, now: datetime) -> tuple[object, ...]:
    previous = made.ends_at + made.taken
    return row.enterprise_id, row.device_id, row.periods_made, previous, made.ends_at, source, now
