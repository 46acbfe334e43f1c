"""A shop to order in: an enterprise with a merchant, a product with paid mode on, a plan on sale, and devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from django.conf import settings
from django.test import Client

from amp.foundation.models import Enterprise, Event, Membership, Merchant, Role, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.enterprises import create_enterprise, set_merchant
from billing.models import MoneyEntry, Order, OrderChannel, PaymentAttempt
from billing.orders import GatewayFacts, GatewayState
from billing.services.attempts import start_attempt
from billing.services.ordering import open_order
from catalog.models import Plan, PlanStatus, PlanType, Product, ServiceRule, ThingModel
from catalog.services.products import create_product
from devices.lifecycle import State
from devices.models import DeviceService, Period
from devices.services.registration import DeviceRow, register_many
from tests.services.fleet import LOCKS, UNLOCKS, thing_model

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WALL = datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ACTOR = "seller@example.com"


@dataclass
class Shop:
    """One seller; `ids` are its devices, all expired."""

    enterprise: Enterprise
    user: User
    merchant: Merchant
    product: Product
    plan: Plan
    ids: list[int] = field(default_factory=list)

    def order(self, **changes: Any) -> Order:
        """An order for all devices, by staff unless said otherwise."""
        asked: dict[str, Any] = {
            "device_ids": self.ids,
            "plan": self.plan,
            "channel": OrderChannel.STAFF,
            "created_by": ACTOR,
            "once_key": None,
            "now": NOW,
        }
        return open_order(**asked | changes)

    def attempt(self, order: Order | None = None, **changes: Any) -> PaymentAttempt:
        """The open payment of an order."""
        return start_attempt(**{"order": order or self.order(), "now": NOW, "wall": WALL} | changes)

    def plan_like(self, **changes: Any) -> Plan:
        """Another published plan."""
        terms: dict[str, Any] = {
            "enterprise": self.enterprise,
            "level": self.product.standard_level,
            "merchant": self.merchant,
            "name": "Yearly",
            "plan_type": PlanType.MANUFACTURER.value,
            "amount": 19_900,
            "currency": "CNY",
            "months": 12,
            "status": PlanStatus.PUBLISHED.value,
            "created_at": NOW,
        }
        return Plan.objects.create(**terms | changes)


def open_shop(devices: int = 1, *, name: str = "Maker", **plan: Any) -> Shop:
    """A seller of its own; nothing is shared between two of them."""
    enterprise = create_enterprise(
        name=name, parent=None, time_zone="Asia/Shanghai", currency="CNY", actor=ACTOR, now=NOW
    )
    user = User.objects.create_user(f"{name.lower()}@example.com", "a long password", created_at=NOW)
    Membership.objects.create(user=user, enterprise=enterprise, role=Role.ENTERPRISE_ADMINISTRATOR.value)
    merchant = set_merchant(enterprise=enterprise, name=f"{name} Ltd", merchant_id=f"BSS-{name}", user=user, now=NOW)
    product = create_product(enterprise=enterprise, name="Heater", actor=ACTOR, now=NOW)
    ThingModel.objects.create(enterprise=enterprise, product=product, version=1, document=thing_model(), created_at=NOW)
    ServiceRule.objects.filter(product=product).update(
        paid_mode=True, paid_mode_since=NOW - timedelta(days=400), lock_action=LOCKS, unlock_action=UNLOCKS
    )
    shop = Shop(enterprise, user, merchant, product, plan=None)  # type: ignore[arg-type]
    shop.plan = shop.plan_like(**plan)
    shop.ids = add_devices(shop, devices) if devices else []
    return shop


def add_devices(shop: Shop, count: int, *, prefix: str = "d", enterprise: Enterprise | None = None) -> list[int]:
    """Expired devices of the shop's product."""
    rows = [DeviceRow(key=f"{prefix}{number}", serial="", name="", iccid="") for number in range(count)]
    owner = enterprise or shop.enterprise
    made = register_many(product=shop.product, enterprise=owner, rows=rows, actor=ACTOR, now=NOW - timedelta(days=400))
    ids = [device.device_id for device in made]
    DeviceService.objects.filter(device_id__in=ids).update(state=State.EXPIRED.value)
    return ids


def paid(attempt: PaymentAttempt, **changes: Any) -> GatewayFacts:
    """What the gateway says when exactly the right thing was paid."""
    facts = GatewayFacts(
        number=attempt.number,
        state=GatewayState.PAID,
        merchant_id=attempt.account.merchant.merchant_id,
        amount=attempt.amount,
        currency=attempt.currency,
        transaction_id=f"T{attempt.number}",
        paid_at=NOW + MINUTE,
    )
    return facts._replace(**changes)


def money(order: Order) -> dict[str, int]:
    """Sum of the ledger by movement."""
    sums: dict[str, int] = {}
    for kind, amount in MoneyEntry.objects.filter(attempt__order=order).values_list("kind", "amount"):
        sums[kind] = sums.get(kind, 0) + amount
    return sums


def kinds(subject: str) -> list[str]:
    """Kinds of the events of a subject, oldest first."""
    return list(Event.objects.filter(subject=subject).order_by("id").values_list("kind", flat=True))


def paid_periods(shop: Shop) -> int:
    """Paid periods of all devices of the shop."""
    return Period.objects.filter(device_id__in=shop.ids, kind="PAID").count()


@dataclass
class Loopback:
    """HTTP that ends in our own views without a socket, at a moment that the test sets; lists what was called."""

    now: datetime = NOW
    wall: datetime = WALL
    # Parts of paths of which the request, or the answer, is lost on the way.
    lost_requests: tuple[str, ...] = ()
    lost_answers: tuple[str, ...] = ()
    paths: list[str] = field(default_factory=list)

    @classmethod
    def installed(cls, monkeypatch: pytest.MonkeyPatch) -> Loopback:
        """In the place of `requests.post`, and of the clocks that our views read."""
        wire = cls()
        monkeypatch.setattr("requests.post", wire.post)
        monkeypatch.setattr("amp.foundation.clock.now", lambda: wire.now)
        monkeypatch.setattr("amp.foundation.clock.wall", lambda: wire.wall)
        return wire

    def at(self, later: timedelta) -> tuple[datetime, datetime]:
        """Let time pass since the start; (now, wall)."""
        self.now, self.wall = NOW + later, WALL + later
        return self.now, self.wall

    def post(self, url: str, *, data: bytes, headers: dict[str, str], timeout: float, allow_redirects: bool) -> Any:
        """One call."""
        assert 0 < timeout <= 5
        assert not allow_redirects
        assert url.startswith(settings.BASE_URL + "/")
        path = url.removeprefix(settings.BASE_URL)
        self.paths.append(path)
        if any(part in path for part in self.lost_requests):
            raise requests.ConnectTimeout
        told = Client().post(path, data=data, content_type=headers["Content-Type"], headers=headers)
        if any(part in path for part in self.lost_answers):
            raise requests.ReadTimeout
        response = requests.Response()
        response.status_code, response._content = told.status_code, told.content
        response.headers.update(told.headers)
        return response


@pytest.fixture(autouse=True)
def system_wide(db: None) -> Iterator[None]:
    """Tests of money read and write across enterprises unless they say otherwise."""
    with system_scope():
        yield


@pytest.fixture(name="shop")
def shop_of_three() -> Shop:
    """A shop with three devices."""
    return open_shop(devices=3)
