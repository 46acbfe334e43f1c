"""One command to a device that does whatever hypothesis likes (A20–A22, F53–F56)."""

from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devices.delivery import (
    ACK_WITHIN,
    PACE,
    CommandStatus,
    Standing,
    answered,
    attempted,
    confirmed,
    is_confirmable,
    unanswered,
    unpublished,
    woken,
)
from tests.rules.standings import NOW, OVER, waiting


class OneCommand(RuleBasedStateMachine):
    """One command to a device that connects, vanishes, obeys, refuses or says nothing, while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.online = True
        self.standing = waiting(timedelta(hours=6))
        self.final: Standing | None = None
        self.sends: list[datetime] = []
        self.silent = False

    @rule(seconds=st.integers(0, 4 * 3600))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def dispatch_looks(self) -> None:
        before = self.standing
        if before.status is CommandStatus.PENDING and before.due_at is not None and before.due_at <= self.now:
            self.standing = attempted(before, is_online=self.online, now=self.now)
        if self.standing.attempts > before.attempts:
            if self.silent:
                assert self.now - self.sends[-1] >= PACE, "A21: at most once a minute"
            self.sends.append(self.now)
            self.silent = False

    @rule()
    def the_ack_is_overdue(self) -> None:
        standing = self.standing
        if standing.status is CommandStatus.SENT and standing.due_at is not None and standing.due_at < self.now:
            self.standing = unanswered(standing, is_online=self.online, now=self.now)
            self.silent = True

    @rule(ok=st.booleans(), times=st.integers(1, 3))
    def device_answers(self, ok: bool, times: int) -> None:
        for _ in range(times):
            self.standing = answered(self.standing, ok=ok, confirms_by_report=True, now=self.now) or self.standing

    @precondition(lambda self: self.standing.status is CommandStatus.SENT)
    @rule(has_left=st.booleans())
    def it_was_not_published(self, has_left: bool) -> None:
        self.standing = unpublished(self.standing, has_left=has_left, now=self.now)

    @rule()
    def device_comes_online(self) -> None:
        self.online = True
        self.standing = woken(self.standing, now=self.now)

    @rule()
    def device_vanishes(self) -> None:
        self.online = False

    @rule()
    def device_reports_the_value(self) -> None:
        if is_confirmable(self.standing):
            self.standing = confirmed(self.standing, now=self.now)

    @invariant()
    def nothing_is_sent_past_the_cache_time(self) -> None:
        assert all(sent_at <= self.standing.stale_at for sent_at in self.sends)

    @invariant()
    def an_end_is_an_end(self) -> None:
        if self.final is not None:
            assert self.standing == self.final
        if self.standing.status in OVER:
            self.final = self.standing
            assert self.standing.due_at is None
            assert self.standing.closed_at is not None

    @invariant()
    def three_refusals_and_only_they_fail_it(self) -> None:
        assert self.standing.refusals <= min(3, self.standing.attempts)
        assert (self.standing.status is CommandStatus.FAILED) is (self.standing.refusals == 3)

    @invariant()
    def somebody_looks_again(self) -> None:
        """No command is forgotten: it has a next moment, or it waits for its offline device, or its wait is over."""
        match self.standing.status:
            case CommandStatus.SENT:
                assert self.standing.due_at == self.sends[-1] + ACK_WITHIN
            case CommandStatus.PENDING if self.standing.attempts == 0:
                assert self.standing.due_at is not None or not self.online


OneCommand.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


TestOneCommand = OneCommand.TestCase
