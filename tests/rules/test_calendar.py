"""Periods counted in calendar months from an anchor (A14, A15, F40)."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp.foundation.calendar import (
    MAX_MONTHS,
    UnknownZone,
    add_months,
    check_zone,
    is_within_horizon,
)

ZONES = [
    "UTC",
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kathmandu",
]
zones = st.sampled_from(ZONES)
anchors = st.datetimes(datetime(2015, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def local(zone: str, *parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("anchor", "months", "end"),
    [
        ((2025, 1, 31, 10), 1, (2025, 2, 28, 10)),
        ((2025, 1, 31, 10), 2, (2025, 3, 31, 10)),
        ((2024, 1, 31, 10), 1, (2024, 2, 29, 10)),
        ((2024, 2, 29, 10), 12, (2025, 2, 28, 10)),
        ((2024, 2, 29, 10), 48, (2028, 2, 29, 10)),
        ((2025, 5, 31, 0), 1, (2025, 6, 30, 0)),
        ((2025, 12, 31, 23, 59), 2, (2026, 2, 28, 23, 59)),
        ((2025, 1, 1), 24, (2027, 1, 1)),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_the_nth_end_keeps_the_anchors_day_where_the_month_has_it(anchor, months, end, zone):
    """A14, F40: 31 January, 28 or 29 February, 31 March."""
    assert add_months(local(zone, *anchor), months, zone) == local(zone, *end)


def test_chained_ends_would_drift_and_anchored_ends_do_not():
    """A14: the negative control of the rule: adding a month to the last end loses the 31st."""
    anchor = local("Asia/Shanghai", 2025, 1, 31)
    chained = add_months(add_months(anchor, 1, "Asia/Shanghai"), 1, "Asia/Shanghai")
    assert chained == local("Asia/Shanghai", 2025, 3, 28)
    assert add_months(anchor, 2, "Asia/Shanghai") == local("Asia/Shanghai", 2025, 3, 31)


def test_the_month_is_counted_in_the_enterprises_zone_and_not_in_utc():
    """A14: 1 March 00:30 in Shanghai is still 28 February in UTC."""
    anchor = local("Asia/Shanghai", 2025, 3, 1, 0, 30)
    assert add_months(anchor, 1, "Asia/Shanghai") == local("Asia/Shanghai", 2025, 4, 1, 0, 30)
    assert add_months(anchor, 1, "UTC") == datetime(2025, 3, 28, 16, 30, tzinfo=UTC)


def test_the_wall_clock_stays_the_same_across_a_change_of_clocks():
    assert add_months(local("Europe/Berlin", 2025, 1, 15, 12), 6, "Europe/Berlin") == local(
        "Europe/Berlin", 2025, 7, 15, 12
    )


def test_a_wall_time_in_a_gap_moves_forward_by_the_gap():
    """Berlin has no 02:30 on 30 March 2025."""
    gap = add_months(local("Europe/Berlin", 2025, 1, 30, 2, 30), 2, "Europe/Berlin")
    assert gap == datetime(2025, 3, 30, 1, 30, tzinfo=UTC) == local("Europe/Berlin", 2025, 3, 30, 3, 30)


def test_a_wall_time_that_exists_twice_is_the_first_unless_the_anchor_is_in_the_second():
    """New York has 01:30 twice on 2 November 2025."""
    zone = "America/New_York"
    first, second = local(zone, 2025, 11, 2, 1, 30), local(zone, 2025, 11, 2, 1, 30, fold=1)
    assert second - first == timedelta(hours=1)
    assert add_months(local(zone, 2025, 10, 2, 1, 30), 1, zone) == first
    assert add_months(second, 0, zone) == second


def test_an_anchor_in_the_second_of_two_wall_times_still_moves_forward_in_a_gap():
    """Berlin has 02:30 twice on 26 October 2025 and not at all on 26 March 2028."""
    second = local("Europe/Berlin", 2025, 10, 26, 2, 30, fold=1)
    assert add_months(second, 29, "Europe/Berlin") == local("Europe/Berlin", 2028, 3, 26, 3, 30)


@given(anchors, st.integers(0, 360), zones)
def test_a_longer_period_never_ends_earlier(anchor, months, zone):
    assert add_months(anchor, months, zone) < add_months(anchor, months + 1, zone)


@given(anchors, zones)
def test_no_months_change_nothing(anchor, zone):
    assert add_months(anchor, 0, zone) == anchor


@given(anchors, st.integers(0, 360), zones)
def test_the_local_day_is_the_anchors_or_the_last_of_its_month(anchor, months, zone):
    """Where no clock change moved the wall time, the day is the anchor's, or the month is shorter."""
    start, end = anchor.astimezone(ZoneInfo(zone)), add_months(anchor, months, zone).astimezone(ZoneInfo(zone))
    tomorrow = (end.replace(tzinfo=None) + timedelta(days=1)).day
    if start.time() == end.time():
        assert end.day == start.day or (tomorrow == 1 and end.day < start.day)


@pytest.mark.parametrize("months", [-1, MAX_MONTHS + 1, 10**30])
def test_months_out_of_range_are_refused(months):
    with pytest.raises(ValueError, match="between"):
        add_months(datetime(2025, 1, 1, tzinfo=UTC), months, "UTC")


@pytest.mark.parametrize("months", [1.5, True, "3", None])
def test_months_that_are_no_whole_number_are_refused(months):
    with pytest.raises(TypeError):
        add_months(datetime(2025, 1, 1, tzinfo=UTC), months, "UTC")


def test_a_naive_anchor_is_refused():
    with pytest.raises(ValueError, match="aware"):
        add_months(datetime(2025, 1, 1), 1, "UTC")  # noqa: DTZ001


@pytest.mark.parametrize(
    "name", ["", "Asia", "../etc/passwd", "Mars/Base", "asia/shanghai", "a" * 5000, "UTC\0", None, 8, "/etc/localtime"]
)
def test_an_unknown_zone_is_refused_with_a_sentence(name):
    with pytest.raises(UnknownZone, match="time zone"):
        check_zone(name)


def test_known_zones_are_accepted():
    assert [check_zone(name) for name in ZONES] == ZONES


def test_the_horizon_is_thirty_years_inclusive():
    """A15."""
    now = datetime(2025, 3, 1, 12, tzinfo=UTC)
    edge = datetime(2055, 3, 1, 12, tzinfo=UTC)
    assert is_within_horizon(now, edge)
    assert not is_within_horizon(now, edge + timedelta(microseconds=1))
