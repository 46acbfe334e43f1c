"""Rows of every kind that retention deletes, each with its fate: "goes", or "stays" and why (X5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt

from alerts.models import DigestMail, InboxEntry, InboxRead, Notice, WaitingEvent, Webhook, WebhookAttempt
from alerts.models import WebhookDelivery as Delivery
from amp.foundation.appendonly import KEPT_FOR_EVER
from amp.foundation.models import AlarmRow, Event, Invitation
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import EventDraft, record_event
from amp.retention.kinds import forget
from devices.models import Command, Device, Disconnect, Import, ImportRow, LockHold
from tests.factories import NOW, make_device, make_member

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
