"""Requests for a fapiao, and whose the books are."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from amp.foundation.models import Event, Membership, Role
from billing.fapiao import Buyer
from billing.models import FapiaoRequest, Order, OrderChannel
from billing.services.fapiao import FapiaoRefused, issue_fapiao, refuse_fapiao, request_fapiao
from billing.services.receipts import NoReceipt
from devices.models import Device
from devices.services.tokens import issue_token
from tests.services.shop import NOW, Shop, kinds, open_shop, shop_of_three, system_wide
from tests.services.test_receipts import paid_order, refund

__all__ = ["shop_of_three", "system_wide"]
BUYER = Buyer("上海暖通科技有限公司", "91310000MA1FL0XX8A", "accounts@example.com")
FORM = BUYER._asdict()
DAY = date(2026, 3, 1)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def client_of(shop: Shop, role: Role = Role.FINANCE) -> Client:
    Membership.objects.filter(user=shop.user).update(role=role.value)
    client = Client()
    client.force_login(shop.user)
    return client


def requested(order: Order, **changes: Any) -> FapiaoRequest:
    return request_fapiao(**{"order": order, "buyer": BUYER, "actor": "ann@example.com", "now": NOW} | changes)


def test_a_fapiao_is_requested_over_what_was_paid_and_not_refunded(shop: Shop) -> None:
    order = paid_order(shop)
    refund(order, 9_700)
    asked = requested(order, buyer=BUYER._replace(tax_number=" 9131 0000 ma1f l0xx 8a"))
    assert (asked.amount, asked.currency, asked.tax_number, asked.status) == (
        50_000,
        "CNY",
        BUYER.tax_number,
        "REQUESTED",
    )
    assert kinds(f"order:{order.pk}")[-1] == "fapiao.requested"
    assert BUYER.tax_number not in str(list(Event.objects.values("after", "before", "why")))


def test_one_order_has_one_fapiao_until_it_is_refused(shop: Shop) -> None:
    order = paid_order(shop)
    first = requested(order)
    with pytest.raises(FapiaoRefused, match="asked for already"):
        requested(order)
    refuse_fapiao(request=first, reason="The name is wrong", actor="bo", now=NOW)
    second = issue_fapiao(request=requested(order), number="24312000000012345678", actor="bo", now=NOW)
    assert second.status == "ISSUED"
    with pytest.raises(FapiaoRefused, match="asked for already"):
        requested(order)
    with pytest.raises(FapiaoRefused, match="decided"):
        refuse_fapiao(request=second, reason="too late", actor="bo", now=NOW)
    assert kinds(f"order:{order.pk}")[-4:] == [
        *("fapiao.requested", "fapiao.refused", "fapiao.requested", "fapiao.issued"),
    ]


def test_the_table_itself_refuses_a_second_live_request(shop: Shop) -> None:
    first = requested(paid_order(shop))
    twin = {f.name: getattr(first, f.name) for f in FapiaoRequest._meta.fields if f.name != "id"}
    with pytest.raises(IntegrityError, match="one_live_fapiao"), transaction.atomic():
        FapiaoRequest.objects.create(**twin)


@pytest.mark.parametrize(
    ("change", "field"), [({"title": " "}, "title"), ({"tax_number": "123"}, "tax_number"), ({"email": "no"}, "email")]
)
def test_what_is_wrong_with_a_request_is_said_beside_its_field(shop: Shop, change: dict[str, str], field: str) -> None:
    order = paid_order(shop)
    with pytest.raises(FapiaoRefused) as told:
        requested(order, buyer=BUYER._replace(**change))
    assert [problem.field for problem in told.value.problems] == [field]
    answer = client_of(shop).post(f"/admin/billing/order/{order.pk}/fapiao/", FORM | change)
    assert answer.status_code == 422
    assert not FapiaoRequest.objects.exists()


def test_there_is_no_fapiao_for_what_is_unpaid_refunded_or_foreign(shop: Shop) -> None:
    with pytest.raises(NoReceipt):
        requested(shop.order())
    refunded = paid_order(shop, device_ids=shop.ids[:1], plan=shop.plan_like(name="Another"))
    refund(refunded, refunded.total)
    with pytest.raises(FapiaoRefused, match="nothing to issue"):
        requested(refunded)
    foreign = open_shop(name="Abroad", currency="USD")
    with pytest.raises(FapiaoRefused, match="CNY only"):
        requested(paid_order(foreign))


def test_finance_issues_or_refuses_and_the_payer_reads_it(shop: Shop) -> None:
    order = paid_order(shop, device_ids=shop.ids[:1], channel=OrderChannel.PUBLIC)
    token = issue_token(device=Device.objects.get(pk=shop.ids[0]), actor="test", now=NOW)
    path = f"/r/{token}/orders/{order.number}"
    wrong = Client().post(f"{path}/fapiao", FORM | {"tax_number": "12"})
    assert wrong.status_code == 422
    assert "15 to 20" in wrong.content.decode()
    assert Client().post(f"{path}/fapiao", FORM).status_code == 302
    asked = FapiaoRequest.objects.get()
    assert asked.requested_by == "renewal page"
    page = Client().get(f"{path}/receipt").content.decode()
    assert "sends it to the e-mail address" in page
    assert BUYER.tax_number not in page  # the sticker is on a device that others can scan
    assert BUYER.email not in page
    client = client_of(shop)
    client.post(f"/admin/billing/fapiaorequest/{asked.pk}/issue/", {"number": "x"})
    assert FapiaoRequest.objects.get().status == "REQUESTED"
    client.post(f"/admin/billing/fapiaorequest/{asked.pk}/issue/", {"number": "2431 2000 0000 1234 5678"})
    assert FapiaoRequest.objects.get().number == "24312000000012345678"
    assert "24312000000012345678" in Client().get(f"{path}/receipt").content.decode()
    for page in (f"/admin/billing/fapiaorequest/{asked.pk}/change/", "/admin/billing/fapiaorequest/"):
        assert BUYER.title in client.get(page).content.decode()


BOOKS = (
    "/admin/billing/totals/",
    "/admin/billing/moneyentry/",
    "/admin/billing/fapiaorequest/",
    "/admin/billing/bill/",
    "/admin/billing/billrow/",
    "/admin/billing/bill/upload/",
)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.READ_ONLY, Role.ACCOUNT_MANAGER])
def test_the_books_are_for_those_who_keep_them(shop: Shop, role: Role) -> None:
    asked, client = requested(paid_order(shop)), client_of(shop, role)
    assert {page: client.get(page).status_code for page in BOOKS} == dict.fromkeys(BOOKS, 403)
    for export in ("moneyentry", "fapiaorequest", "bill", "billrow"):
        assert client.post(f"/admin/billing/{export}/export/", {"format": "csv"}).status_code == 403
    for verb in ("issue", "refuse"):
        answer = client.post(f"/admin/billing/fapiaorequest/{asked.pk}/{verb}/", {"number": "12345678", "reason": "x"})
        assert answer.status_code == 403
    assert FapiaoRequest.objects.get().status == "REQUESTED"


def test_finance_sees_every_page_of_the_books(shop: Shop) -> None:
    client = client_of(shop)
    assert {page: client.get(page).status_code for page in BOOKS} == dict.fromkeys(BOOKS, 200)
