"""Facts → alarms, without a database (P8, A11, F13, F15)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from amp.alarms.rules import CALM, LATE, OVERDUE, Facts, Hold, Kind, Sweep, alarms

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
WALL = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def kinds(**facts: object) -> list[Kind]:
    return [alarm.kind for alarm in alarms(Facts(**facts), now=NOW, wall=WALL)]  # type: ignore[arg-type]


def test_nothing_wrong_is_no_alarm() -> None:
    hourly = Sweep("forget_answers", WALL - 3 * HOUR, False, every=HOUR)
    sweeps = [Sweep("advance_due_services", WALL - LATE, False), hourly]
    due = {"services": NOW - OVERDUE, "orders": None}
    assert kinds(sweeps=sweeps, due=due, dead={"orders": 0}, kept_trials=0) == []


@pytest.mark.parametrize(
    ("facts", "kind", "since"),
    [
        ({"holds": [Hold(3, "Pumps", 240, NOW - HOUR)]}, Kind.LOCKS_HELD, NOW - HOUR),
        ({"away": [("amp-bridge", NOW - HOUR)]}, Kind.BRIDGE_AWAY, NOW - HOUR),
        ({"sweeps": [Sweep("close_commands", WALL - LATE - SECOND, False)]}, Kind.SWEEP_LATE, NOW - LATE - SECOND),
        ({"sweeps": [Sweep("close_commands", WALL - SECOND, True)]}, Kind.SWEEP_FAILED, NOW - SECOND),
        ({"sweeps": [Sweep("close_commands", WALL - HOUR, True)]}, Kind.SWEEP_LATE, NOW - HOUR),
        ({"sweeps": [Sweep("a", WALL - 3 * HOUR - SECOND, False, HOUR)]}, Kind.SWEEP_LATE, NOW - 3 * HOUR - SECOND),
        ({"off": ["devices.tasks.dispatch_commands"]}, Kind.SWEEP_OFF, NOW),
        ({"due": {"services": NOW - OVERDUE - SECOND}}, Kind.WORK_OVERDUE, NOW - OVERDUE - SECOND),
        ({"dead": {"orders": 2}}, Kind.DEAD_ROWS, NOW),
        ({"kept_trials": 5, "kept_since": NOW - HOUR}, Kind.PLAN_CANT_START, NOW - HOUR),
    ],
)
def test_each_fact_raises_its_alarm(facts: dict, kind: Kind, since: datetime) -> None:
    [alarm] = alarms(Facts(**facts), now=NOW, wall=WALL)
    assert (alarm.kind, alarm.since) == (kind, since)


def test_red_comes_first_then_the_oldest() -> None:
    found = kinds(
        dead={"orders": 1},
        kept_trials=1,
        kept_since=NOW - 9 * HOUR,
        away=[("b", NOW - HOUR)],
        holds=[Hold(1, "Pumps", 1, NOW - 2 * HOUR)],
    )
    assert found == [Kind.LOCKS_HELD, Kind.BRIDGE_AWAY, Kind.PLAN_CANT_START, Kind.DEAD_ROWS]


def test_what_a_move_of_the_test_clock_made_due_has_some_minutes() -> None:
    due = {"services": NOW - 300 * HOUR}
    assert kinds(due=due, clock_moved_at=WALL - CALM + SECOND) == []
    assert kinds(due=due, clock_moved_at=WALL - CALM) == [Kind.WORK_OVERDUE]


def test_an_alarm_keeps_its_name_while_its_number_changes() -> None:
    keys = {
        alarms(Facts(holds=[Hold(3, "Pumps", number, NOW)]), now=NOW, wall=WALL)[0].key for number in (1, 2)
    }  # fmt: skip
    assert keys == {"locks_held:3"}
