"""Why a service is as it is, and its life as a bar (G2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devices.lifecycle import SECOND, Lock, State
from devices.story import LastCommand, Part, Say, Situation, Stretch, Tone, life_bar, tell

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ENDED = NOW - 27 * DAY


def situation(**changes: Any) -> Situation:
    plain = Situation(
        state=State.EXPIRED,
        since=ENDED,
        paid_mode=True,
        early_renewal=False,
        trial_held=False,
        trial_expiry=False,
        online_time=0,
        counts_from=0,
        trial_start=300,
        trial_end=600,
        ends_at=ENDED,
        desired=Lock.LOCKED,
        reported=Lock.LOCKED,
        command=None,
    )
    return plain._replace(**changes)


def command(status: str, kind: str = "LOCK") -> LastCommand:
    sent = ENDED + timedelta(seconds=7)
    return LastCommand(kind, status, sent, sent, sent + timedelta(seconds=2), NOW + DAY)


def test_a_locked_device_says_since_when_and_gives_the_proof() -> None:
    story = tell(situation(command=command("CONFIRMED")), NOW)
    assert (story.tone, story.headline.say, story.headline.at) == (Tone.RED, Say.LOCKED_PERIOD, ENDED)
    [proof] = story.proof
    assert (proof.say, proof.at, proof.then) == (
        Say.COMMAND_CONFIRMED,
        ENDED + timedelta(seconds=7),
        ENDED + timedelta(seconds=9),
    )
    assert story.outlook is not None
    assert story.outlook.say is Say.RENEWAL_STARTS_AND_UNLOCKS


def test_a_device_is_called_locked_only_where_it_said_so() -> None:
    """The wanted lock is never taken for the reported one (spec: never infer one from the other)."""
    story = tell(situation(reported=Lock.UNKNOWN, command=command("PENDING")), NOW)
    assert story.headline.say is Say.EXPIRED_PERIOD
    assert story.proof[0].say is Say.COMMAND_WAITS


def test_a_paid_device_that_still_reports_locked_is_pointed_out() -> None:
    story = tell(
        situation(
            state=State.ACTIVE, ends_at=NOW + 300 * DAY, desired=Lock.UNLOCKED, command=command("STALE", "UNLOCK")
        ),
        NOW,
    )
    assert [sentence.say for sentence in story.proof] == [Say.COMMAND_STALE, Say.LOCK_DIFFERS]


@pytest.mark.parametrize(("left", "say"), [(31 * DAY, Say.RUNS_UNTIL), (30 * DAY, Say.ENDS_SOON)])
def test_an_end_within_30_days_is_amber(left: timedelta, say: Say) -> None:
    story = tell(situation(state=State.ACTIVE, ends_at=NOW + left, desired=Lock.UNKNOWN), NOW)
    assert story.headline.say is say


@pytest.mark.parametrize(("early", "say"), [(False, Say.RENEWAL_OPENS_AFTER_TRIAL), (True, Say.RENEWAL_ENDS_TRIAL)])
def test_a_trial_says_when_renewal_opens_A12_A13(early: bool, say: Say) -> None:
    facts = situation(state=State.TRIAL, early_renewal=early, online_time=400 * SECOND, counts_from=100 * SECOND)
    story = tell(facts, NOW)
    assert (story.headline.say, story.headline.have, story.headline.need) == (Say.IN_TRIAL, 300, 600)
    assert story.outlook is not None
    assert story.outlook.say is say


def test_nothing_is_said_of_locks_where_paid_mode_is_off_A1() -> None:
    story = tell(situation(state=State.PENDING, paid_mode=False), NOW)
    assert (story.headline.say, story.outlook) == (Say.PAID_MODE_OFF, None)


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("status", ["PENDING", "SENT", "ACKED", "CONFIRMED", "FAILED", "STALE", "CANCELLED"])
def test_every_state_with_every_command_has_a_story(state: State, status: str) -> None:
    assert tell(situation(state=state, command=command(status)), NOW).headline.say in Say


def test_a_life_shows_trial_periods_and_the_stop_between_them() -> None:
    start = NOW - 400 * DAY
    paid = [
        Stretch(Part.INCLUDED, start + 10 * DAY, start + 100 * DAY, "Included year"),
        Stretch(Part.PAID, start + 150 * DAY, start + 300 * DAY, "Yearly"),
    ]
    life = life_bar(
        registered_at=start,
        trial_started_at=start + 2 * DAY,
        trial_ended_at=start + 10 * DAY,
        stretches=paid,
        terminated_at=None,
        now=NOW,
    )
    assert [segment.part for segment in life.segments] == [
        Part.PENDING,
        Part.TRIAL,
        Part.INCLUDED,
        Part.EXPIRED,
        Part.PAID,
        Part.EXPIRED,
    ]
    assert life.now_share == 100


moments = st.integers(0, 2_000).map(lambda days: NOW - 1_000 * DAY + days * DAY)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 400)), max_size=6),
    st.integers(0, 30),
    st.one_of(st.none(), moments),
)
@example([(0, 1), (1, 1)], 0, NOW - 998 * DAY)  # ended in the moment in which a period was to begin
def test_a_life_has_no_gap_and_no_overlap(
    pieces: list[tuple[int, int]], trial: int, terminated: datetime | None
) -> None:
    start = NOW - 1_000 * DAY
    at, stretches = start + trial * DAY, []
    for gap, length in pieces:
        stretches.append(Stretch(Part.PAID, at + gap * DAY, at + (gap + length) * DAY, ""))
        at = stretches[-1].ends_at
    life = life_bar(
        registered_at=start,
        trial_started_at=start if trial else None,
        trial_ended_at=start + trial * DAY if trial else None,
        stretches=stretches,
        terminated_at=terminated,
        now=NOW,
    )
    assert life.segments[0].starts_at == start
    assert life.segments[-1].ends_at == life.ends_at >= NOW
    assert all(one.ends_at == two.starts_at for one, two in zip(life.segments, life.segments[1:], strict=False))
    assert abs(sum(segment.share for segment in life.segments) - 100) < 0.1
    assert 0 <= life.now_share <= 100
