"""What can be given back of an order, and what a refund would do to each device: told before anything is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import F, Sum

from billing.models import LineStatus, Order, OrderLine, RefundLine
from billing.refunds import DAY, Effect, LineShare, shared, suggested, time_for
from billing.services.fulfilment import is_stuck
from devices.services.shortening import PeriodTime, Spared, period_times

NOTHING = timedelta()


class QuotedLine(NamedTuple):
    """One order line with what can be given back of it; `ends_at` is its device's end where the device runs.

    `spared` says why the device keeps its time whatever is given back.
    """

    line: OrderLine
    share: LineShare
    suggested: int
    ends_at: datetime | None
    spared: Spared | None = None


class RefundQuote(NamedTuple):
    """What can be given back of an order now, line by line."""

    lines: list[QuotedLine]

    @property
    def refundable(self) -> int:
        """At most so much, minor units."""
        return sum(each.share.refundable for each in self.lines)

    @property
    def suggested(self) -> int:
        """What the unused time is worth, minor units."""
        return sum(each.suggested for each in self.lines)


class PlannedLine(NamedTuple):
    """What a refund gives back of one line, how many seconds it takes (None: all that is left), and both ends."""

    line: OrderLine
    amount: int
    seconds: int | None
    ends_at: datetime | None
    new_ends_at: datetime | None


def quote_refund(*, order: Order, now: datetime, line_ids: Sequence[int] | None = None) -> RefundQuote:
    """What can be given back of the order, or of some of its lines; changes nothing. Four queries.

    Lines of which a refund is on its way are left out, and so is what is given back already. Lines that still wait for
    the worker count once it has given the order up.
    """
    rows = OrderLine.objects.filter(order=order, refunded__lt=F("amount"))
    given_up = [LineStatus.QUEUED.value] if is_stuck(order) else []
    rows = rows.filter(status__in=[LineStatus.APPLIED.value, LineStatus.UNAPPLIED.value, *given_up])
    rows = rows.exclude(pk__in=RefundLine.objects.filter(line__order=order, is_live=True).values("line_id"))
    if line_ids is not None:
        rows = rows.filter(pk__in=list(line_ids))
    lines = list(rows.select_related("device").order_by("pk"))
    applied = [line for line in lines if line.status == LineStatus.APPLIED.value]
    times = period_times({_source(line): line.enterprise_id for line in applied}, now=now)
    taken = RefundLine.objects.filter(line__order=order, taken_seconds__gt=0).values_list("line_id").order_by()
    gone = dict(taken.annotate(sum=Sum("taken_seconds")))
    shares = [_share(line, times.get(_source(line)), gone.get(line.pk, 0)) for line in lines]
    found = zip(lines, shares, suggested(shares), strict=True)
    return RefundQuote([_quoted(line, share, usual, times.get(_source(line))) for line, share, usual in found])


def plan_refund(
    quoted: RefundQuote, *, amount: int, effect: Effect, days: int | None, now: datetime
) -> list[PlannedLine]:
    """The lines of a refund of `amount`; those that get nothing back are left out. Ends are as they would be now."""
    parts = shared(amount, [each.share for each in quoted.lines])
    return [_planned(each, part, effect, days, now) for each, part in zip(quoted.lines, parts, strict=True) if part]


def _planned(each: QuotedLine, part: int, effect: Effect, days: int | None, now: datetime) -> PlannedLine:
    seconds = _wanted(effect, part, days, each)
    return PlannedLine(each.line, part, seconds, each.ends_at, _new_end(each.ends_at, seconds, now))


def _new_end(ends_at: datetime | None, seconds: int | None, now: datetime) -> datetime | None:
    if ends_at is None or seconds is None:
        return now if ends_at else None
    return max(now, ends_at - timedelta(seconds=seconds)) if seconds else ends_at


def _wanted(effect: Effect, amount: int, days: int | None, each: QuotedLine) -> int | None:
    """Seconds to take; what was never applied has no time to take."""
    if effect is Effect.KEEP or each.line.status != LineStatus.APPLIED.value:
        return 0
    if effect is Effect.STOP:
        return None
    time = days * DAY if days is not None else time_for(amount, each.share)
    return int(time.total_seconds()) + (1 if time.microseconds else 0)


def _share(line: OrderLine, time: PeriodTime | None, gone: int) -> LineShare:
    left = line.amount - line.refunded
    if time is None:
        return LineShare(line.amount, left, NOTHING, NOTHING)
    unused = min(max(NOTHING, time.unused - timedelta(seconds=gone)), time.left)
    return LineShare(line.amount, left, time.length, unused)


def _quoted(line: OrderLine, share: LineShare, usual: int, time: PeriodTime | None) -> QuotedLine:
    return QuotedLine(line, share, usual, time.ends_at, time.spared) if time else QuotedLine(line, share, usual, None)


def _source(line: OrderLine) -> str:
    return f"line:{line.pk}"
