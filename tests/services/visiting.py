"""Somebody who has scanned the code on a device, and the device behind it."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from django.db import models
from django.http import HttpResponse
from django.test import Client

from amp.foundation.models import Enterprise
from billing.models import MerchantAccount, Order, PaymentAttempt, SandboxTrade
from catalog.models import Plan, Product, ServiceLevel
from devices.models import Command, DeviceService, Period
from devices.services.lifecycle import advance_due_services
from devices.services.registration import Registered
from devices.services.renewal import RenewalRequest, renew_services
from devices.services.uplinks import Inbound, apply_batch
from tests.factories import HOUR, make_device, make_plan, make_product
from tests.services.shop import NOW
from tests.stack.browsing import PHONE

DAY = timedelta(days=1)
BEFORE = NOW - 400 * DAY


class Visit:
    """One device and somebody who has scanned its code."""

    def __init__(self, product: Product | None = None, *, enterprise: Enterprise | None = None, **device: Any) -> None:
        self.product = product or make_product(now=BEFORE, trial_start=HOUR, trial_end=10 * HOUR)
        registered: Registered = make_device(self.product, enterprise=enterprise, now=BEFORE, **device)
        self.device, self.token = registered.device, registered.renewal_token
        self.browser = Client(headers={"user-agent": PHONE})

    @property
    def path(self) -> str:
        return f"/r/{self.token}"

    @property
    def service(self) -> DeviceService:
        return DeviceService.objects.get(pk=self.device.pk)

    def plan(self, **terms: Any) -> Plan:
        return make_plan(self.product, now=BEFORE, **terms)

    def look(self, query: str = "", **headers: Any) -> str:
        response = self.browser.get(self.path + query, **headers)
        assert response.status_code == 200
        return words(response)

    def choose(self, plan: Plan | int | str, **extra: Any) -> HttpResponse:
        chosen = plan.pk if isinstance(plan, Plan) else plan
        return self.browser.post(f"{self.path}/pay", {"plan": chosen, **extra})

    def press_pay(self, signed: str, trouble: str = "") -> HttpResponse:
        """The button of the gateway's page."""
        return self.browser.post(re.sub("^https?://[^/]+", "", signed), {"trouble": trouble})

    def say(self, tail: str, body: dict[str, Any], at: Any = NOW) -> None:
        topic = f"amp/{self.product.key}/{self.device.key}/{tail}"
        apply_batch([Inbound(topic, json.dumps(body).encode(), False, at, False)], now=at)

    def online(self, at: Any = NOW - DAY) -> None:
        self.say("status", {"value": 1, "session": 7}, at)

    def offline(self, at: Any = NOW - DAY) -> None:
        self.say("status", {"value": 0, "session": 7}, at)

    def report(self, locked: bool, at: Any = NOW) -> None:
        data = {"kv": {"service_lock": "true" if locked else "false"}}
        self.say("up/attr", {"ticket": "t", "type": "MATTR", "subtype": "REPORT", "data": data}, at)

    def over(self) -> Visit:
        """Past its trial: EXPIRED."""
        self.say("status", {"value": 1, "session": 1}, BEFORE)
        self.say("status", {"value": 0, "session": 1}, BEFORE + timedelta(hours=11))
        while advance_due_services(now=BEFORE + timedelta(hours=11)).found:
            pass
        return self

    def renewed(self, months: int, at: Any) -> Visit:
        level = ServiceLevel.objects.get(standard_of=self.product)
        request = RenewalRequest(self.device.pk, months, level.pk, "Plan", f"test:{self.device.pk}:{at}", at)
        renew_services([request], actor="test", now=at)
        return self


def words(response: Any) -> str:
    """Text of a page, without markup, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode())).strip()


def rows() -> dict[str, int]:
    """Number of rows of every table that a visitor could make grow."""
    kinds: tuple[type[models.Model], ...] = (Order, PaymentAttempt, MerchantAccount, SandboxTrade, Command, Period)
    return {kind.__name__: kind._default_manager.count() for kind in kinds}


def newest_order() -> Order:
    return Order.objects.latest("pk")
