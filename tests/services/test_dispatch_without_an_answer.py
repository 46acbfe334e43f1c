"""Commands that nobody answers: silence, a broker that is away, a crash (A21; F15, F58; R3)."""

import pytest

from devices.models import Command
from devices.services.dispatch import close_unanswered
from devices.transports.base import BrokerUnavailable, Downlink, Outcome, Receipt
from devices.transports.recorded import RecordedTransport
from tests.services.dispatching import run, transport
from tests.services.fleet import LOCK, NOW, SECOND, UNLOCK, command, make_fleet, newest, scope

__all__ = ["scope", "transport"]
pytestmark = pytest.mark.django_db


class Answering(RecordedTransport):
    """Gives the same receipt to every message."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__()
        self.receipt = Receipt(outcome, reason)

    def publish(self, messages: list[Downlink], *, timeout: float = 10.0) -> list[Receipt]:
        return [self.receipt] * len(messages)


def test_silence_for_5_seconds_puts_the_command_back_to_wait(transport: RecordedTransport) -> None:
    """A21: online devices are retried by the timer, offline ones when they are back."""
    fleet = make_fleet(2)
    here, gone = fleet.tell(LOCK)
    run(transport)
    fleet.go(online=False, ids=[gone.device_id])
    assert close_unanswered(now=NOW + 5 * SECOND) == 0  # an ack at the last moment still counts
    assert close_unanswered(now=NOW + 6 * SECOND) == 2
    here, gone = command(here.ticket), command(gone.ticket)
    assert (here.status, here.due_at, here.refusals) == ("PENDING", NOW + 60 * SECOND, 0)
    assert (gone.status, gone.due_at, gone.refusals) == ("PENDING", None, 0)


def test_a_silent_online_device_is_retried_ever_more_rarely(transport: RecordedTransport) -> None:
    [lock] = make_fleet().tell(LOCK)
    now, waits = NOW, []
    for _ in range(10):
        assert run(transport, now=now) == 1
        close_unanswered(now=now + 6 * SECOND)
        due = command(lock.ticket).due_at
        assert due is not None
        waits.append(round((due - now).total_seconds()))
        now = due
    assert waits == [60, 66, 126, 246, 486, 966, 1926, 3606, 3606, 3606]
    assert command(lock.ticket).attempts == 10


@pytest.mark.parametrize(
    ("outcome", "seconds"), [(Outcome.NOT_SENT, 30), (Outcome.REFUSED, 240), (Outcome.NO_SUBSCRIBER, 240)]
)
def test_what_reached_nobody_waits_and_says_why(outcome: Outcome, seconds: int) -> None:
    """F58. Our own trouble with the broker doesn't slow it down."""
    [lock] = make_fleet().tell(LOCK)
    Command.objects.update(attempts=3)
    found = run(Answering(outcome, "so it is"))
    assert found == (0 if outcome is Outcome.NOT_SENT else 1)
    row = command(lock.ticket)
    assert (row.status, row.attempts, row.problem) == ("PENDING", 4, "so it is")
    assert row.due_at == NOW + seconds * SECOND
    run(RecordedTransport(), now=row.due_at)
    assert (command(lock.ticket).status, command(lock.ticket).problem) == ("SENT", "")


def test_what_may_have_arrived_awaits_its_ack() -> None:
    [lock] = make_fleet().tell(LOCK)
    run(Answering(Outcome.UNCONFIRMED, "the broker fell silent"))
    assert command(lock.ticket).status == "SENT"


def test_a_broker_that_is_away_costs_an_attempt_and_no_command(transport: RecordedTransport) -> None:
    """R3: everything goes out within a minute of its return."""
    fleet = make_fleet(3)
    fleet.tell(LOCK)
    transport.reachable = False
    assert run(transport, limit=3) == 0  # the sweep stops, instead of burning attempts
    assert set(Command.objects.values_list("status", "attempts", "due_at")) == {("PENDING", 1, NOW + 30 * SECOND)}
    transport.reachable = True
    assert run(transport, now=NOW + 30 * SECOND) == 3
    assert len(transport.published) == 3


def test_a_crash_between_claim_and_publish_is_a_missing_ack(transport: RecordedTransport) -> None:
    """F15: the attempt is counted before the work, and nothing is lost."""
    [lock] = make_fleet().tell(LOCK)

    class Crashing(RecordedTransport):
        def publish(self, messages: list[Downlink], *, timeout: float = 10.0) -> list[Receipt]:
            raise SystemExit("killed")

    with pytest.raises(SystemExit):
        run(Crashing())
    assert (command(lock.ticket).status, command(lock.ticket).attempts) == ("SENT", 1)
    close_unanswered(now=NOW + 6 * SECOND)
    run(transport, now=NOW + 60 * SECOND)
    assert len(transport.published) == 1


def test_a_command_that_was_superseded_while_it_was_published_stays_superseded() -> None:
    fleet = make_fleet()
    [lock] = fleet.tell(LOCK)

    class Slow(RecordedTransport):
        def publish(self, messages: list[Downlink], *, timeout: float = 10.0) -> list[Receipt]:
            fleet.tell(UNLOCK)
            raise BrokerUnavailable("gone")

    run(Slow())
    assert command(lock.ticket).status == "SUPERSEDED"
    assert newest(lock.device_id).status == "PENDING"
