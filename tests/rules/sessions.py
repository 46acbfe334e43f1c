"""Sessions of a device, what it says about them, and the device as a service keeps it."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from devices.online_time import (
    Interval,
    Kind,
    PresenceEvent,
    PresenceState,
    Step,
    apply,
    apply_late,
    total_of,
)

DAY = datetime(2025, 3, 3, tzinfo=UTC)
SECOND = 1_000_000


def at(seconds: float) -> datetime:
    return DAY + timedelta(seconds=seconds)


def hour(clock: float) -> datetime:
    return at(clock * 3600)


def on(session, seconds, keepalive=None) -> PresenceEvent:
    return PresenceEvent(Kind.ONLINE, session, at(seconds), keepalive)


def off(session, seconds) -> PresenceEvent:
    return PresenceEvent(Kind.OFFLINE, session, at(seconds))


def uplink(seconds) -> PresenceEvent:
    return PresenceEvent(Kind.UPLINK, None, at(seconds))


def online_time(state: PresenceState, now: datetime) -> int:
    """Microseconds."""
    return total_of(state.counted, state.open_since, now)


class Device:
    """A device as a service keeps it: the state, and the closed sessions as rows."""

    def __init__(self) -> None:
        self.state = PresenceState()
        self.rows: list[Interval] = []

    def take(self, *events: PresenceEvent) -> "Device":
        for event in events:
            step = apply(self.state, event)
            if step.late:
                fixed = apply_late(self.state, event, self.rows)
                self.rows = [row for row in self.rows if row not in fixed.removed] + list(fixed.added)
                self.state = fixed.state
            else:
                self.keep(step)
        return self

    def keep(self, step: Step) -> "Device":
        self.state = step.state
        self.rows.extend(step.closed)
        return self

    def seconds(self, now: float) -> int:
        return online_time(self.state, at(now)) // SECOND


moments = st.integers(0, 1000)


@st.composite
def serial_sessions(draw):
    """Sessions one after another, each with a name of its own, and moments inside them at which the device reports."""
    cuts = draw(st.lists(st.integers(1, 10**9), min_size=2, max_size=16, unique=True).map(sorted))
    moments = [DAY + timedelta(microseconds=cut) for cut in cuts[: len(cuts) // 2 * 2]]
    return [Interval(str(n), moments[n], moments[n + 1]) for n in range(0, len(moments), 2)]


def events_of(sessions) -> list[PresenceEvent]:
    return [
        PresenceEvent(kind, part.session, moment)
        for part in sessions
        for kind, moment in ((Kind.ONLINE, part.started_at), (Kind.OFFLINE, part.ended_at))
    ]
