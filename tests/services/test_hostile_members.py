"""What a signed-in member may try on pages and addresses of others: 404 or 400, never a 500 (R6, F71, F72, F73)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from amp.foundation.scoping import system_scope
from billing.models import Order
from tests.services.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shops() -> tuple[Shop, Shop, Client]:
    """The own shop, another tenant's, and the browser of the own administrator."""
    with system_scope():
        own, other = open_shop(name="Maker"), open_shop(name="Other")
    browser = Client()
    browser.force_login(own.user)
    return own, other, browser


def test_addresses_of_another_tenant_answer_as_missing_ones_F71_F73(shops: tuple[Shop, Shop, Client]) -> None:
    own, other, browser = shops
    with system_scope():
        payment = other.attempt()
    order, device, enterprise = payment.order_id, other.ids[0], other.enterprise.pk
    for path in (
        f"billing/order/{order}/change/",
        f"billing/order/{order}/status/",
        f"billing/paymentattempt/{payment.pk}/change/",
        f"billing/order/renew/?device={device}",
        f"devices/device/{device}/change/",
        f"foundation/enterprise/{enterprise}/change/",
    ):
        assert browser.get(f"/admin/{path}").status_code == 404, path
    mixed = {"device": [own.ids[0], device], "plan": own.plan.pk}
    merchant = {"name": "Thief", "merchant_id": "THIEF"}
    posts: tuple[tuple[str, dict[str, Any]], ...] = (
        *((f"billing/order/{order}/{verb}/", {}) for verb in ("code", "cancel", "confirm")),
        ("billing/order/renew/", mixed),
        (f"foundation/enterprise/{enterprise}/merchant/", merchant),
        (f"foundation/enterprise/{enterprise}/merchant/verify/", merchant | {"merchant": other.merchant.pk}),
    )
    for path, data in posts:
        assert browser.post(f"/admin/{path}", data).status_code == 404, path
    with system_scope():
        assert Order.objects.get().status == "PENDING"


def test_another_tenants_plan_orders_nothing_F73(shops: tuple[Shop, Shop, Client]) -> None:
    own, other, browser = shops
    for plan in (str(other.plan.pk), "9" * 5_000, "²", "-1", ""):
        answer = browser.post("/admin/billing/order/renew/", {"device": own.ids[0], "plan": plan})
        assert answer.status_code == 200
        assert "Choose a plan first." in answer.content.decode()
    with system_scope():
        assert not Order.objects.exists()


def test_a_merchant_id_of_junk_is_no_error_500(shops: tuple[Shop, Shop, Client]) -> None:
    own, _, browser = shops
    for merchant in ("abc", "9" * 5_000, "²", ""):
        path = f"/admin/foundation/enterprise/{own.enterprise.pk}/merchant/verify/"
        assert browser.post(path, {"merchant": merchant}).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "billing/order/?status=%00",
        "billing/paymentexception/?kind=%00",
        "devices/device/?state=%00",
        "catalog/plan/?status=%00",
        "billing/order/?plan__enterprise__name__startswith=a",
        "billing/paymentattempt/?account__sealed_secret__startswith=a",
        "foundation/event/?enterprise__merchants__merchant_id__startswith=B",
    ],
)
def test_a_filter_that_nobody_offers_is_refused_F72(shops: tuple[Shop, Shop, Client], path: str) -> None:
    assert shops[2].get(f"/admin/{path}").status_code == 400


@pytest.mark.parametrize("table", ["billing/merchantaccount", "foundation/user"])
def test_secrets_and_accounts_have_no_list_to_browse(shops: tuple[Shop, Shop, Client], table: str) -> None:
    assert shops[2].get(f"/admin/{table}/").status_code == 404
