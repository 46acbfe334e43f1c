"""A restored database catches up with devices and gateways that went on without it (X7)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from billing.invariants import violations
from billing.models import Order, PaymentException
from billing.services.polling import expire_due_orders, poll_due_attempts
from billing.services.sandbox import Trouble, pay
from devices.models import Bridge, Command, CommandKind, DeviceService, Presence
from devices.services import restoring
from devices.services.commands import CommandOrder, order_commands
from devices.services.registration import terminate_device
from devices.services.restoring import LEAP
from tests.services.shop import ACTOR, NOW, Loopback, Shop, open_shop
from tests.talking_devices import at, make_fleet, tell

HOUR = timedelta(hours=1)
BACKUP = (NOW - HOUR).isoformat()


@pytest.fixture(autouse=True)
def system_wide(db: None) -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Loopback:
    return Loopback.installed(monkeypatch)


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=5)


def restored(backup: str = BACKUP) -> str:
    """What the command tells."""
    out = io.StringIO()
    call_command("after_restore", backup_of=backup, stdout=out)
    return out.getvalue()


def test_devices_hear_generations_beyond_all_that_was_lost_and_what_waited_is_ordered_anew_X7(
    shop: Shop, wire: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "SLICE", 2)
    gone, locked, *others = DeviceService.objects.order_by("device_id")
    terminate_device(device=gone.device, actor=ACTOR, now=NOW)
    order_commands(
        [CommandOrder(locked.pk, shop.enterprise.pk, shop.product.pk, CommandKind.LOCK, locked.generation)],
        now=NOW - HOUR,
    )
    told = restored()
    assert "Services whose commands are numbered beyond what was lost: 4" in told
    assert "Commands that were unfinished and are ordered anew: 1" in told
    after = dict(DeviceService.objects.values_list("device_id", "generation"))
    assert after[gone.pk] == DeviceService.objects.get(pk=gone.pk).generation < LEAP
    assert [after[each.pk] - each.generation for each in (locked, *others)] == [LEAP] * 4
    [old, new] = Command.objects.filter(device_id=locked.pk).order_by("id")
    assert (old.status, new.status, new.generation) == ("SUPERSEDED", "PENDING", after[locked.pk])
    restored()  # once more does no harm
    assert Command.objects.filter(device_id=locked.pk, status="PENDING").count() == 1


def test_who_paid_after_the_backup_is_served_though_the_order_has_expired_meanwhile_X7(
    shop: Shop, wire: Loopback
) -> None:
    """In the backup the code is open. It was paid; then the database was lost, and all late checks passed by."""
    attempt = shop.attempt()
    pay(signed=attempt.code.rsplit("/", 1)[1], trouble=Trouble.DROPPED, now=NOW, wall=wire.wall)
    now, wall = wire.at(timedelta(days=3))
    type(attempt).objects.filter(pk=attempt.pk).update(status="CLOSED", due_at=None)
    Order.objects.filter(pk=attempt.order_id).update(status="EXPIRED", due_at=None, closed_at=NOW + HOUR)
    assert poll_due_attempts(now=now, wall=wall) == 0, "nobody would ever ask again"
    assert "Payments that their gateways are asked about: 1" in restored()
    assert poll_due_attempts(now=now, wall=wall) == 1
    assert Order.objects.get(pk=attempt.order_id).status == "PAID"
    assert PaymentException.objects.get(attempt=attempt).kind == "LATE"
    expire_due_orders(now=now, wall=wall)
    assert violations() == []


def test_sessions_of_devices_end_at_the_last_sign_of_the_broker_in_the_backup_X7(wire: Loopback) -> None:
    fleet = make_fleet()
    tell(fleet.online("d1", at("09:00"), 1))
    Bridge.objects.create(name="bridge", broker_alive_at=at("10:30"))
    wire.now = at("18:00")
    assert "closed at the last sign of the broker: 1" in restored(at("10:30").isoformat())
    [session] = fleet.sessions()
    assert (session.ended_at, session.estimated) == (at("10:30"), True)
    assert not Presence.objects.get().is_online


def test_everybody_signs_in_again_and_the_record_tells_of_it_X7(shop: Shop, wire: Loopback) -> None:
    client = Client()
    client.force_login(shop.user)
    assert Session.objects.count() == 1
    told = restored()
    assert "Sign-ins ended, since who was shut out after the backup would be in again: 1" in told
    assert Session.objects.count() == 0
    assert Event.objects.get(kind="platform.restored").after["backup_of"] == BACKUP


@pytest.mark.parametrize("moment", ["yesterday", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", "2999-01-01T00:00:00Z"])
def test_the_moment_of_the_backup_is_asked_for_and_nothing_is_touched_without_it_X7(
    shop: Shop, wire: Loopback, moment: str
) -> None:
    before = list(DeviceService.objects.values())
    with pytest.raises(CommandError, match="--backup-of"):
        restored(moment)
    assert list(DeviceService.objects.values()) == before
