"""What waits for a person is one number, wherever it is told: readiness, metrics, the operations page (X10)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from amp import health
from amp.foundation.models import Enterprise, Role
from amp.foundation.scoping import system_scope
from amp.operations import waiting
from amp.operations.waiting import Waiting
from billing.models import PaymentAttempt
from billing.orders import ExceptionKind
from billing.services.settlement import raise_exception
from devices.models import Command, LockHold
from tests.factories import make_enterprise, make_member
from tests.services.fleet import LOCK, make_fleet
from tests.services.shop import NOW, open_shop

pytestmark = pytest.mark.django_db


def told(enterprise: Enterprise) -> list[Waiting]:
    """As `/health/ready`, `/metrics` and the operations page tell it."""
    health.forget()
    figures = Client().get("/health/ready").json()["figures"]
    lines = dict(
        line.rsplit(" ", 1) for line in Client().get("/metrics").content.decode().splitlines() if line[0] != "#"
    )
    root = Client()
    root.force_login(make_member(enterprise, Role.PLATFORM_ADMINISTRATOR, email="root@example.com"))
    page = root.get("/admin/operations/")
    names = ("amp_held_locks", "amp_payment_exceptions", "amp_unknown_attempts")
    return [
        Waiting(figures["held_locks"], figures["open_payment_exceptions"], figures["unknown_payments"]),
        Waiting(*(int(float(lines[name])) for name in names)),
        page.context["waits"],
    ]


def test_all_three_tell_what_waits_X10(redis_server: Any) -> None:
    with system_scope():
        shop = open_shop()
        attempts = [shop.attempt() for _ in range(3)]
        facts = {"code": "paid_late", "order": "A"}
        raise_exception(attempts[0], ExceptionKind.LATE, amount=1, currency="CNY", facts=facts, now=NOW)
        pks = [attempt.pk for attempt in attempts[1:]]
        PaymentAttempt.objects.filter(pk__in=pks).update(status="UNKNOWN", due_at=NOW + timedelta(days=1))
        fleet = make_fleet(3, name="Locked")
        fleet.tell(LOCK)
        hold = LockHold.objects.create(
            enterprise_id=Command.objects.values_list("enterprise_id", flat=True)[0], reason="TOO_MANY", began_at=NOW
        )
        Command.objects.update(hold=hold, due_at=None)
        assert told(shop.enterprise) == [Waiting(3, 1, 2)] * 3


def test_they_ask_one_function_X10(redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "waiting", lambda: Waiting(7, 8, 9))
    with system_scope():
        assert told(make_enterprise("Platform")) == [Waiting(7, 8, 9)] * 3
