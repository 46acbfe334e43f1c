"""Totals over the ledger, and its movements as files (F90)."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Event
from billing.fapiao import Buyer
from billing.services.settlement import settle
from billing.services.totals import totals
from tests.services.shop import MINUTE, NOW, Shop, open_shop, paid, shop_of_three, system_wide
from tests.services.test_fapiao import client_of
from tests.services.test_receipts import paid_order, refund

__all__ = ["shop_of_three", "system_wide"]
BUYER = Buyer("上海暖通科技有限公司", "91310000MA1FL0XX8A", "accounts@example.com")
FORM = BUYER._asdict()
DAY = date(2026, 3, 1)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def summed(shop: Shop, **changes: Any) -> Any:
    asked: dict[str, Any] = {
        "first": DAY,
        "last": DAY,
        "zone": SHANGHAI,
        "by_month": False,
        "enterprises": [shop.enterprise.pk],
        "merchant_id": None,
    }
    return totals(**asked | changes)


def test_totals_are_the_ledgers_sums(shop: Shop, django_assert_num_queries) -> None:
    order = paid_order(shop)
    refund(order, 10_000)
    paid_order(open_shop(name="Other"))
    with django_assert_num_queries(2):
        found = summed(shop)
    [row] = found.rows
    assert row == (DAY, "Maker Ltd", "CNY", 59_700, 10_000, 49_700, 0, 1)
    assert [each[3:] for each in found.sums] == [row[3:]]


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ({}, 1),
        ({"by_month": True, "first": date(2026, 1, 1), "last": date(2026, 12, 31)}, 1),
        ({"first": date(2026, 3, 2), "last": date(2026, 3, 9)}, 0),
        ({"last": date(2026, 2, 28), "first": date(2026, 2, 1)}, 0),
        ({"enterprises": []}, 0),
        ({"merchant_id": 10**9}, 0),
        ({"zone": ZoneInfo("Pacific/Kiritimati")}, 0),  # there it is the 2nd already
    ],
)
def test_totals_keep_to_their_range(shop: Shop, change: dict[str, Any], count: int) -> None:
    paid_order(shop)
    assert len(summed(shop, **change).rows) == count


def test_the_page_of_totals_costs_the_same_however_much_moved(shop: Shop) -> None:
    client = client_of(shop)
    page = "/admin/billing/totals/?first=2026-03-01&last=2026-03-31&by=day"
    client.get(page)
    spent = []
    for device in shop.ids[:2]:
        paid_order(shop, device_ids=[device], plan=shop.plan_like(name=f"P{device}"))
        with CaptureQueriesContext(connection) as queries:
            said = client.get(page).content.decode()
        spent.append(len(queries))
    assert "¥398.00" in said
    assert spent[0] == spent[1] <= 14


@pytest.mark.parametrize(
    "query",
    ["first=x", "first=2026-03-02&last=2026-03-01", "first=1999-01-01&last=2026-01-01", "by=year", "merchant=9999"],
)
def test_totals_of_nonsense_say_so(shop: Shop, query: str) -> None:
    assert client_of(shop).get(f"/admin/billing/totals/?{query}").status_code == 400


@pytest.mark.parametrize("file_format", ["csv", "xlsx"])
def test_single_movements_are_exported_with_formulas_disarmed(shop: Shop, file_format: str) -> None:
    """F90."""
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt, transaction_id="=1+1"), now=NOW + MINUTE)
    client = client_of(shop)
    answer = client.post(
        "/admin/billing/moneyentry/export/?created_from=2026-03-01&created_to=2026-03-01", {"format": file_format}
    )
    content = b"".join(answer.streaming_content)
    assert answer.status_code == 200
    if file_format == "csv":
        assert "'=1+1" in content.decode()
        assert "597.00" in content.decode()
    else:
        assert content.startswith(b"PK")
    assert Event.objects.filter(kind="list.exported").count() == 1
