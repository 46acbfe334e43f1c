"""Two makers beside each other, with people of every role: what the tests of the admin walk through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from amp.foundation import clock
from amp.foundation.models import Enterprise, Event, Merchant, Role, User
from amp.foundation.scoping import system_scope
from billing.models import Order, OrderChannel, PaymentAttempt
from billing.services.attempts import start_attempt
from billing.services.ordering import open_order
from catalog.models import Plan, Product, ThingModel
from devices.models import Command, Device, DeviceService
from tests.factories import make_device, make_enterprise, make_member, make_plan, make_product
from tests.made_once import own, within_one_transaction

LISTS = (
    "foundation_enterprise",
    "catalog_product",
    "catalog_thingmodel",
    "catalog_servicerule",
    "catalog_plan",
    "devices_device",
    "devices_deviceservice",
    "billing_order",
    "billing_paymentattempt",
    "billing_paymentexception",
    "foundation_event",
)


@dataclass
class Maker:
    """One enterprise with a product on sale, three devices (the first has expired), an order and its payment."""

    enterprise: Enterprise
    merchant: Merchant
    product: Product
    plan: Plan
    devices: list[Device]
    order: Order
    attempt: PaymentAttempt
    people: dict[Role, User] = field(default_factory=dict)

    def client(self, role: Role = Role.ENTERPRISE_ADMINISTRATOR) -> Client:
        """A browser in which a member of that role has signed in."""
        client = Client()
        client.force_login(self.person(role))
        return client

    def person(self, role: Role) -> User:
        """The member of that role, who joins when first asked for."""
        if role not in self.people:
            with system_scope():
                self.people[role] = make_member(self.enterprise, role)
        return self.people[role]

    def addresses(self) -> dict[str, str]:
        """Every page about one row of this maker."""
        device, product = self.devices[0].pk, self.product.pk
        model = ThingModel.objects.get(product=self.product)
        event = Event.objects.filter(enterprise=self.enterprise).latest("id")
        return {
            "enterprise": f"/admin/foundation/enterprise/{self.enterprise.pk}/change/",
            "product": f"/admin/catalog/product/{product}/change/",
            "tsl": f"/admin/catalog/product/{product}/tsl/",
            "thing model": f"/admin/catalog/thingmodel/{model.pk}/change/",
            "tsl file": f"/admin/catalog/thingmodel/{model.pk}/download/",
            "rule": f"/admin/catalog/product/{product}/device-service/",
            "plan": f"/admin/catalog/plan/{self.plan.pk}/change/",
            **{
                f"device {tab}": f"/admin/devices/device/{device}/change/?tab={tab}"
                for tab in ("timeline", "periods", "orders", "commands", "presence", "access")
            },
            "renew": f"/admin/billing/order/renew/?device={device}",
            "order": f"/admin/billing/order/{self.order.pk}/change/",
            "order status": f"/admin/billing/order/{self.order.pk}/status/",
            "payment": f"/admin/billing/paymentattempt/{self.attempt.pk}/change/",
            "event": f"/admin/foundation/event/{event.pk}/change/",
        }

    def changes(self) -> dict[str, str]:
        """Every address that changes something of this maker."""
        device, order = self.devices[0].pk, self.order.pk
        return {
            "merchant": f"/admin/foundation/enterprise/{self.enterprise.pk}/merchant/",
            "verify": f"/admin/foundation/enterprise/{self.enterprise.pk}/merchant/verify/",
            "publish": f"/admin/catalog/plan/{self.plan.pk}/publish/",
            "withdraw": f"/admin/catalog/plan/{self.plan.pk}/withdraw/",
            "link": f"/admin/devices/device/{device}/link/",
            "credential": f"/admin/devices/device/{device}/credential/",
            "terminate": f"/admin/devices/device/{device}/terminate/",
            "code": f"/admin/billing/order/{order}/code/",
            "cancel": f"/admin/billing/order/{order}/cancel/",
            "confirm": f"/admin/billing/order/{order}/confirm/",
        }


def make_maker(name: str) -> Maker:
    """A maker of its own; nothing is shared between two of them."""
    now = clock.now()
    enterprise = make_enterprise(name, now=now)
    product = make_product(enterprise, now=now, name=f"{name} product")
    plan = make_plan(product, name=f"{name} plan", now=now)
    devices = [make_device(product, key=f"{name}-{number}", now=now).device for number in range(3)]
    expire(devices[0])
    order = open_order(
        device_ids=[devices[0].pk],
        plan=plan,
        channel=OrderChannel.STAFF,
        created_by="test",
        once_key=None,
        now=now,
    )
    attempt = start_attempt(order=order, now=now, wall=now)
    return Maker(enterprise, plan.merchant, product, plan, devices, order, attempt)


def expire(device: Device, **changes: Any) -> None:
    """The device's service has run out."""
    now = clock.now()
    fields: dict[str, Any] = {"state": "EXPIRED", "state_since": now, "trial_ended_at": now, "level": None}
    DeviceService.objects.filter(device=device).update(**fields | changes)


@pytest.fixture(scope="module")
def made_makers(django_db_setup: None, django_db_blocker: Any) -> Iterator[tuple[Maker, Maker]]:
    """Both, for a file of tests."""
    with within_one_transaction(django_db_blocker), system_scope():
        yield make_maker("ours"), make_maker("other")


@pytest.fixture
def makers(made_makers: tuple[Maker, Maker], db: None, settings: Any) -> tuple[Maker, Maker]:
    """Ours and the other one. Nobody types a password here, so none is hashed slowly."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    ours, other = made_makers
    return own(ours), own(other)


def rows() -> dict[str, int]:
    """How much of everything there is: to show that a page changed nothing."""
    with system_scope():
        return {
            model.__name__: model.objects.count() for model in (Event, Command, Order, PaymentAttempt, Device, Plan)
        }
