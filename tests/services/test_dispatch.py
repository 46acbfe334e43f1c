"""Claiming, publishing and closing commands (A20–A23; F15, F21, F53–F59; R3)."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from devices.delivery import TRY_NOW_WITHIN
from devices.models import Command, Presence
from devices.services import dispatch
from devices.services.dispatch import claim, close_stale, close_unanswered, dispatch_commands
from devices.services.waking import wake_commands
from devices.transports.base import BrokerUnavailable, Downlink, Outcome, Receipt
from devices.transports.recorded import RecordedTransport
from tests.services.fleet import LOCK, NOW, SECOND, UNLOCK, WEEK, Fleet, command, events_of, make_fleet, newest, pay

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def transport() -> RecordedTransport:
    return RecordedTransport()


class Answering(RecordedTransport):
    """Gives the same receipt to every message."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__()
        self.receipt = Receipt(outcome, reason)

    def publish(self, messages: list[Downlink], *, timeout: float = 10.0) -> list[Receipt]:
        return [self.receipt] * len(messages)


def run(transport: RecordedTransport, now=NOW, limit: int = 2_000) -> int:
    return dispatch_commands(now=now, transport=transport, limit=limit)


# --- publishing -------------------------------------------------------------------------------------------------------


def test_a_due_command_goes_out_once_as_the_wire_format_says(transport: RecordedTransport) -> None:
    fleet = make_fleet()
    [lock] = fleet.tell(LOCK)
    assert run(transport) == 1
    assert run(transport) == 0
    [sent] = transport.published
    assert sent.topic == "amp/heater/d0/down/attr"
    assert json.loads(sent.payload) == {
        "ticket": str(lock.ticket),
        "generation": 1,
        "type": "MATTR",
        "subtype": "WRITE",
        "data": {"kv": {"service_lock": "true"}},
    }
    row = command(lock.ticket)
    assert (row.status, row.attempts, row.sent_at, row.due_at) == ("SENT", 1, NOW, NOW + 5 * SECOND)


def test_an_offline_device_gets_exactly_one_lock_when_it_is_back(transport: RecordedTransport) -> None:
    """F53."""
    fleet = make_fleet(online=False)
    [lock] = fleet.tell(LOCK)
    assert run(transport, now=NOW + timedelta(minutes=1)) == 1  # the second look
    row = command(lock.ticket)
    assert (row.status, row.due_at, row.attempts) == ("PENDING", None, 0)
    back = NOW + timedelta(days=6)
    fleet.go(online=True)
    for _ in range(3):
        wake_commands(fleet.ids, now=back)
        run(transport, now=back)
    assert [json.loads(each.payload)["ticket"] for each in transport.published] == [str(lock.ticket)]


def test_a_device_that_came_online_while_its_command_was_written_is_found_by_the_second_look(
    transport: RecordedTransport,
) -> None:
    """The bridge saw no command and the order saw no device: neither transaction could see the other."""
    fleet = make_fleet(online=False)
    fleet.tell(LOCK)
    fleet.go(online=True)  # committed in between, and nobody woke anything
    run(transport, now=NOW + 15 * SECOND)
    assert len(transport.published) == 1


def test_a_device_that_was_renewed_while_offline_gets_only_the_unlock(transport: RecordedTransport) -> None:
    """F55."""
    fleet = make_fleet(online=False)
    fleet.tell(LOCK)
    pay(fleet.ids[0])
    [unlock] = fleet.tell(UNLOCK, now=NOW + timedelta(days=1))
    fleet.go(online=True)
    wake_commands(fleet.ids, now=NOW + timedelta(days=2))
    for minutes in range(10):
        run(transport, now=NOW + timedelta(days=2, minutes=minutes))
    [sent] = [json.loads(each.payload) for each in transport.published]
    assert (sent["ticket"], sent["generation"]) == (str(unlock.ticket), 2)
    assert sent["data"]["kv"] == {"service_lock": "false"}


def test_after_the_cache_time_no_lock_goes_out_but_a_paid_unlock_does(transport: RecordedTransport) -> None:
    """A23, F54."""
    locked, paid = make_fleet(online=False), make_fleet(online=False, name="Cooler")
    [lock] = locked.tell(LOCK)
    pay(paid.ids[0])
    paid.tell(UNLOCK)
    back = NOW + WEEK + SECOND
    assert close_stale(now=back) == 2
    assert command(lock.ticket).status == "STALE"
    assert events_of(lock.device_id) == ["command.created", "command.stale"]
    assert Event.objects.get(kind="command.stale", subject=f"device:{lock.device_id}").happened_at == NOW + WEEK
    for fleet in (locked, paid):
        fleet.go(online=True)
    wake_commands(locked.ids + paid.ids, now=back)
    run(transport, now=back)
    assert [each.topic for each in transport.published] == ["amp/cooler/d0/down/attr"]


def test_a_command_at_the_very_end_of_its_cache_time_still_goes_out_and_a_microsecond_later_not(
    transport: RecordedTransport,
) -> None:
    """A20: the bound is inclusive. The claim itself closes what is late, whether or not anything else has run."""
    fleet = make_fleet(2)
    first, second = fleet.tell(LOCK)
    Command.objects.filter(pk=second.pk).update(due_at=NOW + WEEK + timedelta(microseconds=1))
    run(transport, now=NOW + WEEK)
    assert close_stale(now=NOW + WEEK) == 0
    run(transport, now=NOW + WEEK + timedelta(microseconds=1))
    assert [command(row.ticket).status for row in (first, second)] == ["SENT", "STALE"]
    assert events_of(second.device_id)[-1] == "command.stale"


def test_cache_time_0_is_one_attempt_at_once_and_then_over(transport: RecordedTransport) -> None:
    """A20."""
    fleet = make_fleet(online=False, cache=timedelta(0))
    [lock] = fleet.tell(LOCK)
    assert close_stale(now=NOW + SECOND) == 0  # the one attempt is still to come
    run(transport, now=NOW + SECOND)
    assert len(transport.published) == 1
    assert close_unanswered(now=NOW + 7 * SECOND) == 1
    assert command(lock.ticket).status == "STALE"


def test_cache_time_0_that_nobody_dispatched_in_time_is_over(transport: RecordedTransport) -> None:
    fleet = make_fleet(cache=timedelta(0))
    [lock] = fleet.tell(LOCK)
    late = NOW + TRY_NOW_WITHIN + SECOND
    assert close_stale(now=late) == 1
    assert run(transport, now=late) == 0
    assert command(lock.ticket).status == "STALE"


# --- answers that don't come ------------------------------------------------------------------------------------------


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


def test_an_older_command_in_flight_holds_the_newer_one_until_it_can_no_longer_arrive(
    transport: RecordedTransport,
) -> None:
    """R3."""
    fleet = make_fleet()
    fleet.tell(LOCK)
    run(transport)
    [unlock] = fleet.tell(UNLOCK, now=NOW + SECOND)
    assert run(transport, now=NOW + 4 * SECOND) == 0
    assert run(transport, now=NOW + 5 * SECOND) == 1
    assert json.loads(transport.published[-1].payload)["ticket"] == str(unlock.ticket)


def test_publishing_ends_before_the_wait_for_the_ack_does() -> None:
    """R3: a newer command waits for 5 s from the claim, so nothing may leave later."""
    assert dispatch.CONNECT_WITHIN + dispatch.PUBLISH_WITHIN < 5


def test_the_oldest_go_first_and_a_slice_is_a_slice(transport: RecordedTransport) -> None:
    fleet = make_fleet(5)
    rows = fleet.tell(LOCK)
    for age, row in enumerate(rows):
        Command.objects.filter(pk=row.pk).update(due_at=NOW - age * SECOND)
    assert run(transport, limit=2) == 2
    assert [each.topic for each in transport.published] == [fleet.topic(pk) for pk in (fleet.ids[4], fleet.ids[3])]
    assert run(transport, limit=2) == 2
    assert run(transport, limit=2) == 1


# --- the database refuses ---------------------------------------------------------------------------------------------


def two_open_at_once(fleet: Fleet, status: str) -> None:
    [lock] = fleet.tell(LOCK)
    Command.objects.filter(pk=lock.pk).update(status=status)
    lock.pk, lock.generation = None, 99
    lock.ticket = "00000000-0000-4000-8000-000000000000"
    lock.status = status
    with transaction.atomic():
        lock.save(force_insert=True)


@pytest.mark.parametrize("status", ["PENDING", "SENT"])
def test_the_database_refuses_a_second_open_command(status: str) -> None:
    """F21."""
    with pytest.raises(IntegrityError):
        two_open_at_once(make_fleet(), status)


def test_without_its_partial_indexes_the_database_would_take_two_in_flight() -> None:
    """The control for F21: it is these constraints that refuse, nothing else."""
    fleet = make_fleet()
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT bare")
        cursor.execute("DROP INDEX one_open_command_per_slot")
        cursor.execute("DROP INDEX one_command_in_flight")
        two_open_at_once(fleet, "SENT")
        assert Command.objects.filter(device_id=fleet.ids[0], status="SENT").count() == 2
        cursor.execute("ROLLBACK TO SAVEPOINT bare")
    with pytest.raises(IntegrityError):
        two_open_at_once(fleet, "SENT")


# --- many at once -----------------------------------------------------------------------------------------------------


def in_two_threads(work) -> list[object]:
    """Results of `work(gate)` in two threads; the first holds its transaction open until the second is done."""
    results: list[object] = []
    first_has_claimed, second_is_done = threading.Event(), threading.Event()

    def first() -> None:
        with system_scope(), transaction.atomic():
            results.append(work())
            first_has_claimed.set()
            second_is_done.wait(20)
        connection.close()

    def second() -> None:
        first_has_claimed.wait(20)
        try:
            with system_scope(), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '500ms'")
                results.append(work())
        except Exception as refused:  # noqa: BLE001 (the control shows which)
            results.append(refused)
        finally:
            second_is_done.set()
            connection.close()

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.mark.django_db(transaction=True)
def test_two_workers_claim_every_command_once_and_neither_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """F12, F21: SKIP LOCKED."""
    fleet = make_fleet(30)
    fleet.tell(LOCK)
    claim_inside = claim.__wrapped__  # the threads hold the transactions themselves

    def take() -> list[int]:
        return [claimed.row.device_id for claimed in claim_inside(now=NOW, limit=20).sent]

    first, second = in_two_threads(take)
    assert (len(first), len(second)) == (20, 10)
    assert sorted(first + second) == fleet.ids
    assert set(Command.objects.values_list("status", "attempts")) == {("SENT", 1)}


@pytest.mark.django_db(transaction=True)
def test_without_SKIP_LOCKED_the_second_worker_waits_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control for the test above."""
    make_fleet(30).tell(LOCK)

    def blocking(commands, limit):
        return list(commands.select_for_update().values_list("id", flat=True)[:limit])

    monkeypatch.setattr(dispatch, "claimed_rows", blocking)
    due = Command.objects.filter(status="PENDING", due_at__lte=NOW).order_by("due_at")
    first, second = in_two_threads(lambda: dispatch.claimed_rows(due, 20))
    assert len(first) == 20
    assert "lock timeout" in str(second)


# --- what it costs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 80])
def test_a_slice_costs_three_statements_whatever_its_size(size: int, transport: RecordedTransport) -> None:
    make_fleet(size).tell(LOCK)
    with CaptureQueriesContext(connection) as seen:
        assert run(transport) == size
    assert len(real(seen)) == 3
    with CaptureQueriesContext(connection) as idle:
        assert run(transport) == 0
    assert len(real(idle)) == 1
    with CaptureQueriesContext(connection) as closing:
        close_unanswered(now=NOW + 6 * SECOND)
        close_stale(now=NOW + 6 * SECOND)
    assert len(real(closing)) == 4


def real(seen: CaptureQueriesContext) -> list[str]:
    """Statements but those of the savepoints that a test's transaction makes of transactions."""
    return [query["sql"] for query in seen if "SAVEPOINT" not in query["sql"]]


def test_idle_sweeps_probe_one_partial_index_each(transport: RecordedTransport) -> None:
    """Among 8,000 commands, of which 2,000 wait for offline devices, nothing is scanned."""
    fleet = make_fleet(2_000, online=False)
    fleet.tell(LOCK)
    Command.objects.update(due_at=None)
    for generation in (100, 101, 102):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO devices_command (enterprise_id, device_id, slot, kind, generation, ticket, values, "
                "rule_version, confirms_by_report, status, attempts, refusals, created_at, stale_at) "
                "SELECT enterprise_id, device_id, slot, kind, %s, gen_random_uuid(), values, rule_version, true, "
                "'CONFIRMED', 1, 0, created_at, stale_at FROM devices_command WHERE generation = 1",
                [generation],
            )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE devices_command")
    with CaptureQueriesContext(connection) as seen:
        assert run(transport, now=NOW + SECOND) == 0
        assert close_unanswered(now=NOW + SECOND) == 0
        assert close_stale(now=NOW + SECOND) == 0
    probes = real(seen)
    assert len(probes) == 3
    for statement, index in zip(probes, ("command_due", "one_command_in_flight", "command_stale"), strict=True):
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON, BUFFERS) {statement}")
            [plan] = cursor.fetchone()[0]
        assert index in json.dumps(plan), json.dumps(plan, indent=1)
        assert "Seq Scan" not in json.dumps(plan)
        read = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        assert read <= 40, read


def test_presence_decides_and_a_device_without_it_counts_as_offline(transport: RecordedTransport) -> None:
    fleet = make_fleet()
    fleet.tell(LOCK)
    Presence.objects.all().delete()
    run(transport)
    assert transport.published == []
