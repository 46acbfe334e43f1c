"""Sessions that are no longer kept leave the online time as it is (X5, P1)."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.online_time import Interval, forgettable, union_length
from devices.online_time.sessions import union_start
from tests.rules.sessions import hour

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)), max_size=12)


def sessions_of(spans: list[tuple[int, int]]) -> list[Interval]:
    return sorted(
        (Interval("s", hour(start), hour(start + length)) for start, length in spans), key=lambda one: one[1:]
    )


@given(SPANS, st.integers(0, 50), st.none() | st.integers(0, 50))
def test_what_goes_and_what_stays_add_up_to_the_whole(spans, cutoff, opened) -> None:
    """Also where sessions overlap, touch, are empty, or reach into the interval that is open."""
    sessions, open_since = sessions_of(spans), None if opened is None else hour(opened)
    going, length = forgettable(sessions, open_since, hour(cutoff))
    assert all(part.ended_at < hour(cutoff) for part in sessions[:going])
    assert length + union_length(sessions[going:], open_since) == union_length(sessions, open_since)
    assert union_start(sessions[going:], open_since) == union_start(sessions, open_since)


@pytest.mark.parametrize(
    ("spans", "cutoff", "opened", "going"),
    [
        ([(0, 1), (2, 1), (4, 1)], 100, None, 3),
        ([(0, 1), (2, 1), (4, 1)], 5, None, 2),
        ([(0, 1), (2, 1), (4, 1)], 3, None, 1),
        ([(0, 3), (3, 3), (8, 1)], 5, None, 0),
        ([(0, 5), (1, 1), (8, 1)], 7, None, 2),
        ([(0, 1), (2, 2)], 100, 4, 1),
        ([], 100, None, 0),
    ],
)
def test_they_go_up_to_a_gap_before_the_limit(spans, cutoff, opened, going) -> None:
    open_since = None if opened is None else hour(opened)
    assert forgettable(sessions_of(spans), open_since, hour(cutoff))[0] == going


def test_online_time_of_a_gap_counts_nothing() -> None:
    _going, length = forgettable(sessions_of([(0, 1), (5, 2)]), None, hour(100))
    assert timedelta(microseconds=length) == timedelta(hours=3)
