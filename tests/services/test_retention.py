"""Rows that have served their time go, everything else stays, and every promise still holds (X5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from alerts.models import DigestMail, InboxEntry, InboxRead, Notice, WaitingEvent, Webhook, WebhookAttempt
from alerts.models import WebhookDelivery as Delivery
from amp.foundation import clock
from amp.foundation.appendonly import KEPT_FOR_EVER, Permit, permitted
from amp.foundation.models import AlarmRow, Event, Invitation, Retention, SweepRun, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.retention import RetentionRefused, set_days_kept
from amp.retention.kinds import KINDS, forget
from amp.tasks import forget_old_rows
from devices.models import Command, Device, Disconnect, Import, ImportRow, LockHold
from tests.factories import NOW, make_device, make_enterprise, make_member, make_product
from tests.stack.waiting import at_once, failures

DAY = timedelta(days=1)
OLD, YOUNG = NOW - 3_000 * DAY, NOW - 5 * DAY


@pytest.fixture(autouse=True)
def scope(db: None) -> Iterator[None]:
    with system_scope():
        yield


def clear(limit: int = 1_000) -> None:
    """Everything that is old at NOW."""
    while forget(now=NOW, wall=NOW, limit=limit) >= limit:
        pass


def webhook_of(device: Device) -> Webhook:
    told = {"enterprise": device.enterprise, "name": "w", "url": "https://example.com", "created_by": "x"}
    return Webhook.objects.create(state_since=OLD, secret_since=OLD, created_at=OLD, **told)


def event(at: datetime, kind: str, **told: Any) -> Event:
    draft = {"subject": "device:1", "enterprise_id": None, "happened_at": at, **told}
    record_event(EventDraft(kind, **draft), now=at)
    return Event.objects.latest("id")


def deliveries(device: Device) -> Iterator[tuple[str, Any]]:
    hook = webhook_of(device)

    def row(at: datetime, status: str, ended_at: datetime | None) -> Delivery:
        about = event(at, "order.paid")
        told = {"next_attempt_at": None if ended_at else at, "ended_at": ended_at, "created_at": at, "status": status}
        made = Delivery.objects.create(enterprise=hook.enterprise, webhook=hook, event=about, type="order.paid", **told)
        WebhookAttempt.objects.create(delivery=made, number=1, started_at=at, duration_ms=1)
        return made

    yield "goes", row(OLD, "DELIVERED", OLD)
    yield "goes", row(OLD, "DEAD", OLD)
    yield "stays", row(OLD, "PENDING", None)
    yield "stays", row(OLD, "DELIVERED", YOUNG)
    yield "stays", row(YOUNG, "DELIVERED", YOUNG)


def command_of(device: Device, generation: int, at: datetime, status: str = "CONFIRMED", **told: Any) -> Command:
    closed_at = None if status in {"PENDING", "SENT"} else at
    told = {"kind": "LOCK", "sent_at": at, "slot": "LOCK", "closed_at": closed_at, "stale_at": at + DAY, **told}
    row = {"device": device, "enterprise": device.enterprise, "generation": generation, "values": {}, "created_at": at}
    return Command.objects.create(rule_version=1, status=status, **row, **told)


def notice_of(device: Device, at: datetime, days: int, status: str = "SENT", **told: Any) -> Notice:
    told = {"closed_at": at, "ends_at": at + DAY, "channel": "TSL", "noticed_at": at, "falls_due_at": at, **told}
    return Notice.objects.create(
        enterprise=device.enterprise, device=device, service="DEVICE", days=days, status=status, **told
    )


def commands(device: Device) -> Iterator[tuple[str, Any]]:
    yield "goes", command_of(device, 1, OLD)
    yield "stays: the words of the last lock that was sent undo it (A5)", command_of(device, 2, OLD)
    yield "goes: never sent, and not the last", command_of(device, 3, OLD, "CANCELLED", sent_at=None)
    yield "stays: the last one counts generations (A22)", command_of(device, 4, OLD, "CANCELLED", sent_at=None)
    yield "stays: of another kind", command_of(device, 5, OLD, kind="UNLOCK")
    notices = {"slot": "DEV_NOTICE", "kind": "NOTICE"}
    carried = command_of(device, 1, OLD, **notices)
    yield "stays: a notice reads it", carried
    notice_of(device, OLD, 30, "HANDED_OVER", command=carried, ends_at=YOUNG)
    gone = command_of(device, 2, OLD, **notices)
    yield "goes with its notice", gone
    notice_of(device, OLD, 7, "HANDED_OVER", command=gone)
    yield "stays: closed lately", command_of(device, 3, OLD, closed_at=YOUNG, **notices)
    yield "stays: open", command_of(device, 4, OLD, "PENDING", **notices)


def notices(device: Device) -> Iterator[tuple[str, Any]]:
    yield "goes", notice_of(device, OLD, 7)
    yield "stays: due", notice_of(device, OLD, 30, "DUE", closed_at=None)
    yield "stays: its end is young", notice_of(device, OLD, 30, ends_at=YOUNG)
    yield "stays: its end is to come", notice_of(device, OLD, 30, ends_at=NOW + DAY)
    waiting = command_of(device, 9, OLD, "PENDING", slot="SIM_NOTICE", kind="NOTICE")
    yield "stays: its command is open", notice_of(device, OLD, 1, "HANDED_OVER", command=waiting)


def mails(device: Device) -> Iterator[tuple[str, Any]]:
    reader = make_member(device.enterprise)
    for fate, status, at in [
        ("goes", "SENT", OLD),
        ("goes", "FAILED", OLD),
        ("stays: due", "WAITING", OLD),
        ("stays", "SENT", YOUNG),
    ]:
        told = {"counts": [], "status": status, "created_at": at}
        yield fate, DigestMail.objects.create(enterprise=device.enterprise, user=reader, **told)


def inbox(device: Device) -> Iterator[tuple[str, Any]]:
    reader = make_member(device.enterprise)
    for days, fate, at, read_at in [
        (1, "goes", OLD, OLD),
        (7, "stays: unread", OLD, None),
        (30, "stays: more came after it was read", OLD, OLD - DAY),
        (60, "stays", YOUNG, YOUNG),
    ]:
        told = {"service": "SIM", "days": days, "day": at.date(), "last_at": at}
        entry = InboxEntry.objects.create(enterprise=device.enterprise, **told)
        if read_at:
            InboxRead.objects.create(user=reader, entry=entry, read_at=read_at)
        yield fate, entry


def disconnects(device: Device) -> Iterator[tuple[str, Any]]:
    def row(owner: Device, at: datetime, status: str) -> Disconnect:
        told = {"created_at": at, "closed_at": at, "due_at": at if status == "PENDING" else None}
        return Disconnect.objects.create(
            enterprise=owner.enterprise, device=owner, client_id="c", status=status, **told
        )

    yield "goes", row(device, OLD, "DONE")
    yield "goes: ordered anew since", row(device, OLD, "DEAD")
    yield "stays: else the one before would wait for a person again", row(device, OLD, "DONE")
    other = make_device(device.product).device
    yield "stays: waits for a person", row(other, OLD, "DEAD")
    yield "stays", row(make_device(device.product).device, OLD, "PENDING")


def lock_holds(device: Device) -> Iterator[tuple[str, Any]]:
    told = {"enterprise": device.enterprise, "reason": "TOO_MANY"}
    over = {"status": "OVER", "decided_at": OLD}
    yield "goes", LockHold.objects.create(began_at=OLD, ended_at=OLD, **over, **told)
    yield "stays", LockHold.objects.create(began_at=OLD, ended_at=YOUNG, **over, **told)
    yield "stays: holds", LockHold.objects.create(began_at=OLD, **told)


def imports(device: Device) -> Iterator[tuple[str, Any]]:
    told = {"enterprise": device.enterprise, "kind": "DEVICES", "file_name": "f", "file_digest": "d", "created_by": "x"}
    yield "goes", Import.objects.create(state="DONE", created_at=OLD, **told)
    with_lines = Import.objects.create(state="DONE", created_at=OLD, **told)
    ImportRow.objects.create(job=with_lines, line=1, values={})
    yield "stays: has lines", with_lines
    yield "stays: can be tried again", Import.objects.create(state="FAILED", created_at=OLD, **told)
    yield "stays: waits for a person", Import.objects.create(state="READY", created_at=OLD, **told)
    yield "stays", Import.objects.create(state="DONE", created_at=YOUNG, **told)


def invitations(device: Device) -> Iterator[tuple[str, Any]]:
    for number, (fate, at, expires_at) in enumerate(
        [("goes", OLD, OLD + DAY), ("stays", OLD, NOW + DAY), ("stays", YOUNG, YOUNG)]
    ):
        told = {"email": f"i{number}@example.com", "role": "OPERATOR", "token_hash": str(number)}
        yield (
            fate,
            Invitation.objects.create(enterprise=device.enterprise, created_at=at, expires_at=expires_at, **told),
        )


def alarms(device: Device) -> Iterator[tuple[str, Any]]:
    yield "goes", AlarmRow.objects.create(key="a", kind="k", began_at=OLD, seen_at=OLD, cleared_at=OLD)
    yield "stays: lasts", AlarmRow.objects.create(key="b", kind="k", began_at=OLD, seen_at=OLD)
    told = {"began_at": OLD, "seen_at": OLD, "cleared_at": OLD, "due_at": OLD}
    yield "stays: to be told", AlarmRow.objects.create(key="c", kind="k", **told)


def sign_ins(device: Device) -> Iterator[tuple[str, Any]]:
    for fate, at in [("stays", YOUNG), ("goes", OLD)]:
        told = {"user_agent": "x", "username": fate, "failures_since_start": 3, "ip_address": "192.0.2.1"}
        row = AccessAttempt.objects.create(**told)
        AccessAttempt.objects.filter(pk=row.pk).update(attempt_time=at)
        yield fate, row


def events(device: Device) -> Iterator[tuple[str, Any]]:
    mine: dict[str, Any] = {"subject": f"device:{device.pk}", "enterprise_id": device.enterprise_id}
    last: dict[str, Any] = {**mine, "after": {"state": "PENDING"}}
    yield "goes", event(OLD, "device_service.restarted", **last)
    yield "stays: the last word on the state (R9)", event(OLD, "device_service.restarted", **last)
    yield "stays: what is about no state has nothing after it", event(OLD, "device_service.retried", **mine)
    yield "goes", event(OLD, "command.created", **mine)
    yield "goes", event(OLD, "device.edited", **mine)
    yield "stays", event(NOW - 400 * DAY, "command.created", **mine)
    waits = event(OLD, "command.created", **mine)
    WaitingEvent.objects.create(event=waits)
    yield "stays: nobody has looked at it for webhooks", waits
    carried = event(OLD, "command.failed", **mine)
    told = {"status": "PENDING", "created_at": OLD, "next_attempt_at": OLD}
    Delivery.objects.create(
        enterprise=device.enterprise, webhook=webhook_of(device), event=carried, type="command.failed", **told
    )
    yield "stays: a delivery carries it", carried


def audit(device: Device) -> Iterator[tuple[str, Any]]:
    yield "goes", event(OLD, "member.invited")
    yield "goes", event(OLD, "api_key.created")
    yield "stays: younger than five years", event(NOW - 1_500 * DAY, "member.invited")
    for word in KEPT_FOR_EVER:
        yield "stays: money, or the whole platform", event(OLD, f"{word}.something")


KINDS_MADE: list[Callable[[Device], Iterator[tuple[str, Any]]]] = [
    *(deliveries, notices, commands, mails, inbox, disconnects, lock_holds, imports, invitations, alarms, sign_ins),
    *(events, audit),
]


@pytest.mark.parametrize("make", KINDS_MADE, ids=lambda make: make.__name__)
def test_what_is_over_goes_and_what_is_open_or_needed_stays_X5(make: Callable[..., Any]) -> None:
    made = list(make(make_device(make_product(now=OLD), now=OLD).device))
    clear()
    there = [(fate, type(row)._base_manager.filter(pk=row.pk).exists()) for fate, row in made]
    assert [fate for fate, is_there in there if is_there is not fate.startswith("stays")] == []


def test_every_kind_has_its_table_above() -> None:
    assert {make.__name__ for make in KINDS_MADE} | {"sessions", "admin_log"} == {kept.name for kept in KINDS}


def test_slices_of_any_size_delete_the_same_and_say_how_many_X5() -> None:
    device = make_device(make_product()).device
    for generation in range(1, 12):
        command_of(device, generation, OLD)
    clear(limit=3)
    assert list(Command.objects.values_list("generation", flat=True)) == [11]
    told = Event.objects.filter(kind="platform.rows_removed", after__rows="commands").values_list("after", flat=True)
    assert sum(each["number"] for each in told) == 10


def test_what_had_to_stay_is_looked_at_again_after_a_week() -> None:
    device = make_device(make_product()).device
    row = command_of(device, 1, OLD)
    clear()
    command_of(device, 2, NOW)
    clear()
    assert Command.objects.filter(pk=row.pk).exists()
    later = NOW + 7 * DAY
    forget(now=later, wall=later)
    assert not Command.objects.filter(pk=row.pk).exists()


def test_logins_that_have_ended_go() -> None:
    Session.objects.create(session_key="over", session_data="", expire_date=NOW - DAY)
    Session.objects.create(session_key="lasts", session_data="", expire_date=NOW + DAY)
    clear()
    assert list(Session.objects.values_list("pk", flat=True)) == ["lasts"]


def test_idle_is_a_probe_for_each_table_and_a_slice_costs_the_same_for_any_number_X5() -> None:
    device = make_device(make_product()).device
    clear()
    with CaptureQueriesContext(connection) as idle:
        forget(now=NOW, wall=NOW)
    assert len(idle) == 2 + len(KINDS), [each["sql"] for each in idle]
    costs = []
    for number in (3, 60):
        Retention.objects.all().delete()
        for _ in range(number):
            notice_of(device, OLD + DAY * Notice.objects.count() - DAY * 200 * len(costs), 7)
        with CaptureQueriesContext(connection) as counted:
            forget(now=NOW, wall=NOW)
        assert Notice.objects.count() == 0
        costs.append(len(counted))
    assert costs[0] == costs[1]
    assert all("OFFSET" not in each["sql"] for each in counted)


def test_kept_for_ever_means_so_and_no_time_falls_below_its_floor() -> None:
    kept = next(each for each in KINDS if each.name == "audit")
    with pytest.raises(RetentionRefused):
        set_days_kept(kept=kept, days=365, actor="root@example.com", now=NOW)
    row = event(OLD, "member.invited")
    set_days_kept(kept=kept, days=0, actor="root@example.com", now=NOW)
    clear()
    assert Event.objects.filter(pk=row.pk).exists()
    set_days_kept(kept=kept, days=366, actor="root@example.com", now=NOW)
    told = Event.objects.filter(kind="platform.configured").latest("id")
    assert (told.before, told.after) == ({"days_kept_audit": 0}, {"days_kept_audit": 366})
    clear()
    assert not Event.objects.filter(pk=row.pk).exists()


def test_the_database_lets_nobody_else_delete_or_change_an_event_F98() -> None:
    old, money, young = event(OLD, "member.invited"), event(OLD, "order.paid"), event(clock.wall(), "a.b")
    for row in (old, money, young):
        with pytest.raises(IntegrityError), transaction.atomic():
            Event.objects.filter(pk=row.pk).delete()
    for row in (money, young):
        with pytest.raises(IntegrityError), transaction.atomic(), permitted(Permit.RETENTION):
            Event.objects.filter(pk=row.pk).delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        Event.objects.filter(pk=old.pk).update(actor="x")
    for permit, change in [(Permit.RETENTION, {"actor": "x"}), (Permit.ERASURE, {"kind": "x"})]:
        with pytest.raises(IntegrityError), transaction.atomic(), permitted(permit):
            Event.objects.filter(pk=old.pk).update(**change)
    with transaction.atomic(), permitted(Permit.ERASURE):
        Event.objects.filter(pk=old.pk).update(actor="person")
    with transaction.atomic():
        with permitted(Permit.RETENTION):
            pass
        with pytest.raises(IntegrityError), transaction.atomic():
            Event.objects.filter(pk=old.pk).delete()


@pytest.mark.parametrize("table", ["devices_period", "billing_moneyentry", "devices_earlyend"])
def test_a_ledger_is_not_deleted_with_a_permit_either_R9(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_triggerdef(t.oid), p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE tgrelid = %s::regclass AND p.proname = 'amp_append_only'",
            [table],
        )
        [(trigger, source)] = cursor.fetchall()
    assert "BEFORE DELETE OR UPDATE" in trigger
    assert "amp." not in source


def test_nothing_but_retention_and_erasure_asks_for_a_permit() -> None:
    root = Path(__file__).parents[2]
    asking = re.compile(r"permitted\(|amp\.permit|amp_permit")
    found = {
        str(path.relative_to(root))
        for app in ("amp", "catalog", "devices", "billing", "alerts")
        for path in (root / app).rglob("*.py")
        if asking.search(path.read_text())
    }
    assert found <= {
        "amp/foundation/appendonly.py",
        "amp/foundation/services/retention_kinds.py",
        "amp/personal/erasing.py",
    }


@pytest.mark.django_db(transaction=True)
def test_two_jobs_at_once_delete_the_same_as_one_X5() -> None:
    device = make_device(make_product()).device
    for generation in range(1, 62):
        command_of(device, generation, OLD)
        notice_of(device, OLD + generation * DAY, 7)
    answers = at_once(*[lambda: clear(limit=7)] * 2)
    assert failures(answers) == []
    clear(limit=7)
    assert (Command.objects.count(), Notice.objects.count()) == (1, 0)
    told = Event.objects.filter(kind="platform.rows_removed").values_list("after", flat=True)
    numbers = {"commands": 0, "notices": 0}
    for each in told:
        numbers[each["rows"]] += each["number"]
    assert numbers == {"commands": 60, "notices": 61}


def test_the_sweep_is_on_the_schedule_and_on_the_record() -> None:
    event(OLD, "member.invited")
    forget_old_rows()
    assert SweepRun.objects.get(name="forget_old_rows").found >= 1
    assert User.objects.count() == 0
    make_enterprise()
