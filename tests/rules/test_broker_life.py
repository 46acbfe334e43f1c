"""A broker that has been restarted is told from one that was out of reach (P4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from devices.online_time import BrokerLife, broker_life, has_restarted

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = 3600


def heard(uptime: int, *, after: float = 0) -> BrokerLife:
    """What the broker said `after` so many seconds past noon."""
    return BrokerLife(uptime, NOON + timedelta(seconds=after))


@pytest.mark.parametrize(
    ("before", "after", "restarted"),
    [
        (None, heard(0), False),
        (heard(HOUR), heard(HOUR + 300, after=300), False),
        (heard(HOUR), heard(HOUR, after=9), False),
        (heard(HOUR), heard(0, after=5), True),
        (heard(HOUR), heard(HOUR - 1, after=2 * HOUR), True),
        (heard(20), heard(HOUR, after=2 * HOUR), True),
        (heard(20), heard(HOUR, after=HOUR), False),
        (heard(0), heard(0, after=5), False),
    ],
    ids=[
        "the first word of all",
        "the bridge was away, the broker was not",
        "what it retains is some seconds old",
        "it began anew",
        "it began anew, and long ago",
        "it runs for longer than before, yet began after it was last heard",
        "it runs for as long as it should",
        "restarted within its first seconds: not seen",
    ],
)
def test_p4_a_restart_shows_in_the_uptime(before: BrokerLife | None, after: BrokerLife, restarted: bool) -> None:
    assert has_restarted(before, after) is restarted


@pytest.mark.parametrize("step", [-3600, -30, 30, 59])
def test_p4_a_clock_that_was_set_is_no_restart(step: int) -> None:
    """Also backwards by any length, and forwards within the slack."""
    assert not has_restarted(heard(HOUR), heard(HOUR + 60, after=60 + step))


@pytest.mark.parametrize(
    ("payload", "uptime"),
    [
        (b"3600 seconds", 3600),
        (b" 0 seconds\n", 0),
        (b"17", 17),
        (b"", None),
        (b"-1 seconds", None),
        (b"3 days, 2 hours", None),
        (b"\xff", None),
        (b"9" * 40, None),
    ],
)
def test_f69_only_seconds_are_understood(payload: bytes, uptime: int | None) -> None:
    life = broker_life(payload, NOON)
    assert (life and life.uptime) == uptime
    assert life is None or life.began_at == NOON - timedelta(seconds=uptime or 0)
