"""Two people of one name in two enterprises, and what one of them left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from axes.models import AccessAttempt

from amp.foundation.models import ApiKey, Invitation, Role, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import EventDraft, record_event
from billing.fapiao import Buyer
from billing.models import Order, PaymentAttempt
from billing.services.fapiao import refuse_fapiao, request_fapiao
from tests.factories import make_enterprise, make_member
from tests.services.shop import NOW, WALL, Shop, open_shop
from tests.services.test_receipts import paid_order

EMAIL, NAME, PHONE, PAYER, IP = (
    "zhang.wei@example.com",
    "Zhang Wei",
    "13800138000",
    "oUpF8uMuAJO_M2pxb1Q9z",
    "203.0.113.9",
)
TITLE, TAX = "Zhang Wei Workshop", "91310000MA1FL0XX8A"
ROOT = "root@example.com"


@pytest.fixture(autouse=True)
def scope(db: None) -> Iterator[None]:
    with system_scope():
        yield


@dataclass
class World:
    """Two people of one name in two enterprises, and what one of them left behind."""

    shop: Shop
    user: User
    namesake: User
    order: Order


@pytest.fixture
def world() -> World:
    shop = open_shop(devices=2)
    make_member(make_enterprise("Platform"), Role.PLATFORM_ADMINISTRATOR, email=ROOT)
    user = make_member(shop.enterprise, Role.FINANCE, email=EMAIL)
    namesake = make_member(make_enterprise("Elsewhere"), Role.FINANCE, email="z.zhang.wei@example.com")
    User.objects.filter(pk__in=[user.pk, namesake.pk]).update(full_name=NAME)
    order = paid_order(shop, created_by=EMAIL)
    asked = request_fapiao(order=order, buyer=Buyer(TITLE, TAX, EMAIL), actor=EMAIL, now=NOW)
    refuse_fapiao(request=asked, reason="The name is wrong", actor=ROOT, now=NOW)
    PaymentAttempt.objects.filter(order=order).update(payer_id=PAYER, payer_ip=IP)
    key = {"enterprise": shop.enterprise, "scopes": [], "created_by": user, "created_at": NOW}
    ApiKey.objects.create(name=f"Key of {NAME}", prefix="p", key_hash="h", expires_at=WALL + timedelta(days=9), **key)
    Invitation.objects.create(
        enterprise=shop.enterprise, email=EMAIL, full_name=NAME, role="FINANCE", token_hash="t", created_at=NOW,
        expires_at=WALL, send_failure=f"SMTPRecipientsRefused: {EMAIL}",
    )  # fmt: skip
    AccessAttempt.objects.create(username=EMAIL, ip_address=IP, user_agent="x", failures_since_start=1)
    told = {"after": {"user": EMAIL, "by": "other@example.com"}, "before": {"name": NAME}, "why": f"Call {PHONE}"}
    record_event(EventDraft("order.retried", f"order:{order.pk}", shop.enterprise.pk, NOW, EMAIL, **told), now=NOW)
    return World(shop, User.objects.get(pk=user.pk), namesake, order)
