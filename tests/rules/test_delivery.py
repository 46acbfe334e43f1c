"""How a command reaches its device (A20–A23, F53–F56), case by case."""

from datetime import datetime, timedelta

import pytest

from devices.delivery import (
    ACK_WITHIN,
    FIRST_RETRY,
    LONGEST_RETRY,
    PACE,
    REFUSED_UNLOCK_REST,
    SECOND_LOOK,
    TRY_NOW_WITHIN,
    UNREPORTED_UNLOCK_REST,
    CommandStatus,
    Standing,
    answered,
    attempted,
    back_off,
    closed,
    confirmed,
    created,
    fresh_unlock_due,
    is_awaited,
    is_confirmable,
    is_held,
    is_stale,
    next_attempt,
    unanswered,
    unpublished,
    woken,
)
from tests.rules.standings import NOW, OVER, SECOND, TINY, WEEK, sent, waiting


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 30), (2, 60), (3, 120), (4, 240), (7, 1920), (8, 3600), (9, 3600), (10**6, 3600)]
)
def test_the_wait_doubles_from_30_seconds_to_an_hour(attempts: int, seconds: int) -> None:
    assert back_off(attempts) == timedelta(seconds=seconds)


def test_a_command_to_an_online_device_is_due_at_once() -> None:
    assert waiting().due_at == NOW
    assert waiting().stale_at == NOW + WEEK


def test_a_command_to_an_offline_device_is_looked_at_once_more_and_then_waits_for_it() -> None:
    """F53. The second look finds a device that came online in the moment in which the command was written."""
    standing = waiting(is_online=False)
    assert standing.due_at == NOW + SECOND_LOOK
    looked = attempted(standing, is_online=False, now=NOW + SECOND_LOOK)
    assert (looked.status, looked.due_at, looked.attempts) == (CommandStatus.PENDING, None, 0)


def test_a_newer_command_waits_until_the_older_one_can_no_longer_arrive() -> None:
    """R3: the older one may still be on its way for as long as its ack is awaited."""
    in_flight_until = NOW + 3 * SECOND
    assert created(now=NOW, cache=WEEK, is_online=True, not_before=in_flight_until).due_at == in_flight_until
    assert created(now=NOW, cache=WEEK, is_online=True, not_before=NOW - SECOND).due_at == NOW


def test_an_attempt_is_counted_when_it_is_made_and_awaits_its_ack_for_5_seconds() -> None:
    assert sent() == waiting()._replace(
        status=CommandStatus.SENT, attempts=1, sent_at=NOW, due_at=NOW + timedelta(seconds=5)
    )


@pytest.mark.parametrize(
    ("cache", "attempts", "at", "stale"),
    [
        (WEEK, 0, NOW + WEEK, False),  # inclusive
        (WEEK, 5, NOW + WEEK, False),
        (WEEK, 0, NOW + WEEK + TINY, True),
        (timedelta(seconds=1), 0, NOW + SECOND, False),
        (timedelta(seconds=1), 0, NOW + SECOND + TINY, True),
        (timedelta(0), 0, NOW, False),  # once, now
        (timedelta(0), 0, NOW + TRY_NOW_WITHIN, False),
        (timedelta(0), 0, NOW + TRY_NOW_WITHIN + TINY, True),
        (timedelta(0), 1, NOW, True),
    ],
)
def test_the_bound_of_the_cache_time_is_inclusive_and_0_means_once(
    cache: timedelta, attempts: int, at: datetime, stale: bool
) -> None:
    """A20."""
    assert is_stale(waiting(cache)._replace(attempts=attempts), at) is stale


def test_a_command_past_its_cache_time_is_never_sent() -> None:
    """F54."""
    standing = attempted(waiting(), is_online=True, now=NOW + WEEK + TINY)
    assert (standing.status, standing.attempts, standing.closed_at) == (CommandStatus.STALE, 0, NOW + WEEK + TINY)


def test_cache_time_0_tries_once_even_if_the_device_seems_offline() -> None:
    """A20: there is no later, so presence doesn't decide."""
    standing = attempted(waiting(timedelta(0), is_online=False), is_online=False, now=NOW)
    assert standing.status is CommandStatus.SENT
    over = unanswered(standing, is_online=True, now=NOW + ACK_WITHIN + TINY)
    assert over.status is CommandStatus.STALE


def test_an_ack_leads_to_ACKED_where_a_report_can_confirm_and_to_CONFIRMED_where_it_cant() -> None:
    """A21."""
    at = NOW + 2 * SECOND
    acked = answered(sent(), ok=True, confirms_by_report=True, now=at)
    assert acked is not None
    assert (acked.status, acked.acked_at, acked.due_at, acked.closed_at) == (CommandStatus.ACKED, at, None, None)
    write_only = answered(sent(), ok=True, confirms_by_report=False, now=at)
    assert write_only is not None
    assert (write_only.status, write_only.acked_at, write_only.confirmed_at) == (CommandStatus.CONFIRMED, at, at)


@pytest.mark.parametrize("ok", [True, False])
@pytest.mark.parametrize(
    "standing",
    [waiting(), *(closed(sent(), status, NOW) for status in CommandStatus if status.value not in ("PENDING", "SENT"))],
    ids=lambda standing: standing.status,
)
def test_an_ack_for_what_was_never_sent_or_is_over_means_nothing(standing: Standing, ok: bool) -> None:
    """F56: so a late ack of a superseded command changes nothing."""
    assert not is_awaited(standing)
    assert answered(standing, ok=ok, confirms_by_report=True, now=NOW) is None


def test_a_late_ack_counts_while_the_command_waits_for_its_next_attempt() -> None:
    standing = unanswered(sent(), is_online=True, now=NOW + 6 * SECOND)
    acked = answered(standing, ok=True, confirms_by_report=True, now=NOW + 7 * SECOND)
    assert acked is not None
    assert acked.status is CommandStatus.ACKED


def test_the_third_refusal_is_final_and_silence_never_counts() -> None:
    """A21."""
    standing, at = sent(), NOW
    for _ in range(20):
        standing = unanswered(standing, is_online=True, now=at + 6 * SECOND)
        assert (standing.status, standing.refusals) == (CommandStatus.PENDING, 0)
        assert standing.due_at is not None
        at = standing.due_at
        standing = attempted(standing, is_online=True, now=at)
    for refusals in (1, 2, 3):
        refused = answered(standing, ok=False, confirms_by_report=True, now=at)
        assert refused is not None
        assert refused.refusals == refusals
        if refusals < 3:
            assert refused.status is CommandStatus.PENDING
            assert refused.due_at is not None
            at = refused.due_at
            standing = attempted(refused, is_online=True, now=at)
    assert refused.status is CommandStatus.FAILED
    assert refused.due_at is None


def test_a_repeated_fail_ack_of_one_attempt_counts_once() -> None:
    """F56: QoS 1 may deliver it any number of times."""
    first = answered(sent(), ok=False, confirms_by_report=True, now=NOW)
    assert first is not None
    assert answered(first, ok=False, confirms_by_report=True, now=NOW) is None


def test_silence_of_an_online_device_is_retried_by_the_timer_and_of_an_offline_one_when_it_is_back() -> None:
    """A21: a half-open link."""
    silent_at = NOW + 6 * SECOND
    assert unanswered(sent(), is_online=True, now=silent_at).due_at == NOW + PACE
    assert unanswered(sent(), is_online=False, now=silent_at).due_at is None
    assert next_attempt(3, NOW, is_online=True, now=silent_at) == silent_at + timedelta(seconds=120)


@pytest.mark.parametrize(
    ("due_at", "sent_at", "at", "expected"),
    [
        (None, None, NOW, NOW),  # never sent: at once
        (None, NOW - 10 * SECOND, NOW, NOW + 50 * SECOND),  # at most once a minute
        (None, NOW - PACE, NOW, NOW),
        (NOW + timedelta(hours=1), NOW - 10 * SECOND, NOW, NOW + 50 * SECOND),  # sooner than the timer says
        (NOW + 5 * SECOND, NOW - 10 * SECOND, NOW, NOW + 5 * SECOND),  # never later than it says
        (NOW - SECOND, NOW - 2 * PACE, NOW, NOW - SECOND),
    ],
)
def test_an_uplink_makes_a_waiting_command_due_at_most_once_a_minute(
    due_at: datetime | None, sent_at: datetime | None, at: datetime, expected: datetime
) -> None:
    """A21."""
    standing = waiting()._replace(due_at=due_at, sent_at=sent_at, attempts=1 if sent_at else 0)
    assert woken(standing, now=at).due_at == expected


def test_an_uplink_changes_nothing_about_a_command_that_is_out_or_over() -> None:
    for standing in (sent(), closed(sent(), CommandStatus.STALE, NOW)):
        assert woken(standing, now=NOW + WEEK) == standing


def test_our_own_trouble_with_the_broker_doesnt_slow_a_command_down() -> None:
    standing = sent()._replace(attempts=9)
    assert unpublished(standing, has_left=False, now=NOW).due_at == NOW + FIRST_RETRY
    assert unpublished(standing, has_left=True, now=NOW).due_at == NOW + LONGEST_RETRY
    assert unpublished(sent(timedelta(0)), has_left=False, now=NOW).status is CommandStatus.STALE


def test_a_report_confirms_what_was_sent_and_nothing_that_is_over() -> None:
    """A21: the report may overtake the ack."""
    assert not is_confirmable(waiting())
    assert is_confirmable(sent())
    assert is_confirmable(unanswered(sent(), is_online=True, now=NOW + 6 * SECOND))
    assert is_confirmable(sent()._replace(status=CommandStatus.ACKED))
    assert not any(is_confirmable(closed(sent(), status, NOW)) for status in OVER)
    done = confirmed(sent(), now=NOW)
    assert (done.status, done.confirmed_at, done.closed_at, done.due_at) == (CommandStatus.CONFIRMED, NOW, NOW, None)


@pytest.mark.parametrize(
    ("status", "since_created", "since_answer", "says_locked", "due"),
    [
        ("STALE", WEEK + SECOND, SECOND, False, True),
        ("STALE", PACE, SECOND, False, True),
        ("STALE", PACE - SECOND, SECOND, False, False),  # cache time 0: at most once a minute
        ("FAILED", WEEK, REFUSED_UNLOCK_REST, False, True),
        ("FAILED", WEEK, REFUSED_UNLOCK_REST - SECOND, False, False),
        ("ACKED", WEEK, REFUSED_UNLOCK_REST, True, True),  # it said yes, and reports that it is locked
        ("ACKED", WEEK, REFUSED_UNLOCK_REST - SECOND, True, False),
        ("CONFIRMED", WEEK, REFUSED_UNLOCK_REST, True, True),  # it locked itself again
        ("CONFIRMED", WEEK, REFUSED_UNLOCK_REST - SECOND, True, False),
        ("CONFIRMED", 2 * WEEK, 2 * WEEK, False, False),  # by its ack: this device can't report its lock
        ("ACKED", WEEK + SECOND, WEEK, False, True),  # nothing more was heard of it in all the cache time
        ("ACKED", WEEK, WEEK, False, False),
        ("ACKED", WEEK + SECOND, UNREPORTED_UNLOCK_REST, False, False),
        *((status, 2 * WEEK, 2 * WEEK, True, False) for status in ("PENDING", "SENT", "CANCELLED", "SUPERSEDED")),
    ],
)
def test_a_paid_unlock_is_due_again_after_the_cache_time(
    status: str, since_created: timedelta, since_answer: timedelta, says_locked: bool, due: bool
) -> None:
    """A23."""
    created_at, answered_at = NOW - since_created, NOW - since_answer
    unlock = waiting()._replace(
        status=CommandStatus(status), created_at=created_at, stale_at=created_at + WEEK, acked_at=answered_at,
        closed_at=None if status == "ACKED" else answered_at,
    )  # fmt: skip
    assert fresh_unlock_due(unlock, says_locked=says_locked, now=NOW) is due


def test_nothing_brings_a_command_forward_that_waits_for_an_older_one() -> None:
    """R3: the device may say anything before the older command reaches it."""
    until = NOW + 4 * SECOND
    for is_online in (True, False):
        held = created(now=NOW, cache=WEEK, is_online=is_online, not_before=until)
        assert woken(held, now=NOW + SECOND).due_at == until
    assert woken(held._replace(due_at=None), now=until).due_at == until
    assert not is_held(waiting(is_online=False), NOW)
