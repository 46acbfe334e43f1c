"""The closed sessions of a device: their union, and what a late event changes in them (P1, P3, P6, P7)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from devices.online_time.events import Kind, PresenceEvent

MICROSECOND = timedelta(microseconds=1)


class Interval(NamedTuple):
    """A closed session `[started_at, ended_at)`; `estimated` where no message told its end."""

    session: str | None
    started_at: datetime
    ended_at: datetime
    estimated: bool = False


def union(intervals: Iterable[Interval], before: datetime | None = None) -> list[tuple[datetime, datetime]]:
    """The intervals merged where they touch or overlap, oldest first; with `before`, only what lies before it (P1)."""
    merged: list[tuple[datetime, datetime]] = []
    for started_at, ended_at in sorted((part.started_at, part.ended_at) for part in intervals):
        until = ended_at if before is None else min(ended_at, before)
        if until <= started_at:
            continue
        if merged and started_at <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until))
        else:
            merged.append((started_at, until))
    return merged


def union_length(intervals: Iterable[Interval], before: datetime | None = None) -> int:
    """Length of the union in microseconds; an empty or reversed interval counts nothing."""
    return sum((ended_at - started_at) // MICROSECOND for started_at, ended_at in union(intervals, before))


def union_start(sessions: Iterable[Interval], started_at: datetime | None) -> datetime | None:
    """Where the uninterrupted interval begins that holds a session open since `started_at`."""
    if started_at is None:
        return None
    return next((first for first, last in union(sessions) if first <= started_at <= last), started_at)


def amended(sessions: list[Interval], event: PresenceEvent) -> list[Interval]:
    """The closed sessions as they look with a late connect or disconnect taken up (P6)."""
    if event.kind == Kind.OFFLINE and event.session:
        return _ended(sessions, event.session, event.at)
    if event.kind == Kind.ONLINE and event.session:
        return _begun(sessions, event.session, event.at)
    return sessions


def _begun(sessions: list[Interval], session: str, at: datetime) -> list[Interval]:
    """A connect starts the disconnect that waits for it; else it is an empty session that waits for its end (P1)."""
    own = [part for part in sessions if part.session == session and part.ended_at >= at]
    if any(part.started_at <= at for part in own):
        return sessions
    waiting = [part for part in own if part.started_at == part.ended_at and not part.estimated]
    if waiting:
        first = min(waiting, key=lambda part: part.ended_at)
        return [part._replace(started_at=at) if part is first else part for part in sessions]
    return [*sessions, Interval(session, at, at, estimated=True)]


def _ended(sessions: list[Interval], session: str, at: datetime) -> list[Interval]:
    """A disconnect ends its own session, and one without a name that goes on beyond it (P1, P3)."""
    own = max(
        (part for part in sessions if part.session == session and part.started_at <= at),
        key=lambda part: part.started_at,
        default=None,
    )
    ended = [_ended_one(part, at, is_own=part is own) for part in sessions]
    return ended if own else [*ended, Interval(session, at, at)]


def _ended_one(part: Interval, at: datetime, *, is_own: bool) -> Interval:
    if is_own and part.estimated:
        return part._replace(ended_at=at, estimated=False)
    if (is_own or not part.session) and part.started_at <= at < part.ended_at:
        return part._replace(ended_at=at)
    return part
