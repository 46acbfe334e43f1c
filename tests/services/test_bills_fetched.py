"""Daily bills fetched from WeChat Pay and Alipay by the real SDKs: once, again while not made, bounded (F102, F92)."""

from __future__ import annotations

import gzip
from datetime import date, datetime, timedelta
from typing import NamedTuple

import pytest
from django.test import Client

from amp.foundation.models import Role
from billing.bill_files import MAX_BYTES
from billing.bills import ASKED_AGAIN, first_asked, newest_made
from billing.models import Bill, BillFetch, BillRow, MerchantAccount, Order, PaymentAttempt
from billing.providers import alipay as alipay_adapter
from billing.providers.bill_downloads import is_below, unpacked, wechat_address
from billing.providers.protocol import GatewayTimeout
from billing.services.accounts import account_that_sells, bill_source_of
from billing.services.backlog import Waiting, backlog, reader_of
from billing.services.bill_fetches import LEASE, fetch_due_bills, plan_due_bills, retry_fetch
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.refund_work import work_refunds
from tests.factories import make_member
from tests.gateways.books import Fault
from tests.gateways.process import gateway_process, gateways
from tests.services.benches import REAL, RealBench, bench_of, deliver
from tests.services.gateway import books_in_order, shop, wire
from tests.services.refunding import refund_of
from tests.services.shop import NOW, Loopback, Shop

__all__ = ["books_in_order", "gateway_process", "gateways", "shop", "wire"]
DAY = date(2026, 3, 1)
TEN = first_asked(DAY) - NOW
"""From the start of the tests to 10:00 Beijing time on the next day."""
HOUR = timedelta(hours=1)


class Desk(NamedTuple):
    """A shop with one payment of 1 March at one gateway."""

    bench: RealBench
    shop: Shop
    account: MerchantAccount
    attempt: PaymentAttempt

    def sweep(self, later: timedelta) -> BillFetch:
        """Plan and fetch so long after the start; the fetching of 1 March as it stands then."""
        now, wall = self.bench.at(later)
        plan_due_bills(now=now)
        fetch_due_bills(now=now, wall=wall)
        return BillFetch.objects.get(day=DAY)

    def calls(self) -> int:
        """How often the gateway was asked for a bill."""
        said: list[str] = self.bench.gateways.say("calls")
        return sum("/v3/bill/tradebill" in each for each in said)


def _open(kind: str, request: pytest.FixtureRequest, shop: Shop) -> Desk:
    bench = bench_of(kind, request)
    assert isinstance(bench, RealBench)
    account = bench.open(shop)
    attempt = shop.attempt(provider_account=account)
    assert bench.pay(account, attempt.code)
    return Desk(bench, shop, account, attempt)


@pytest.fixture(params=REAL)
def desk(request: pytest.FixtureRequest, shop: Shop) -> Desk:
    return _open(request.param, request, shop)


@pytest.fixture
def wechat(request: pytest.FixtureRequest, shop: Shop) -> Desk:
    return _open("wechat-direct", request, shop)


def test_a_bill_is_fetched_once_and_compared_like_an_upload(desk: Desk) -> None:
    deliver(desk.bench.notices())
    fulfil_paid_orders(now=NOW)
    refund = refund_of(Order.objects.get(), now=NOW)
    for later in (timedelta(), timedelta(seconds=5)):
        now, wall = desk.bench.at(later)
        work_refunds(now=now, wall=wall)
    assert plan_due_bills(now=first_asked(DAY) - HOUR) == 0
    fetch = desk.sweep(TEN)
    assert (fetch.status, fetch.problem, fetch.due_at) == ("FETCHED", "", None)
    rows = BillRow.objects.filter(bill=fetch.bill).order_by("pk")
    assert list(rows.values_list("kind", "number", "result", "detail")) == [
        ("PAYMENT", desk.attempt.number, "MATCHED", ""),
        ("REFUND", desk.attempt.number, "MATCHED", refund.number),
    ]
    desk.sweep(TEN + HOUR)
    assert (Bill.objects.count(), BillFetch.objects.count()) == (1, 1)


def test_what_no_notice_told_is_found_by_the_bill_and_booked_by_a_person_F102(desk: Desk) -> None:
    PaymentAttempt.objects.update(due_at=None)
    fetch = desk.sweep(TEN)
    assert list(BillRow.objects.filter(bill=fetch.bill).values_list("result", flat=True)) == ["TO_SETTLE"]
    assert Order.objects.get().status == "PENDING"


def test_a_bill_that_is_not_made_yet_is_asked_for_again(desk: Desk) -> None:
    """The gateway is late: its clock says 8:00 when ours says 10:00."""
    now, _wall = desk.bench.at(TEN)
    _now, early = desk.bench.at(TEN - 2 * HOUR)
    plan_due_bills(now=now)
    fetch_due_bills(now=now, wall=early)
    fetch = BillFetch.objects.get()
    assert (fetch.status, fetch.problem, fetch.due_at) == ("WAITING", "not_made", now + ASKED_AGAIN[0])
    assert desk.sweep(TEN + ASKED_AGAIN[0]).status == "FETCHED"


def test_a_day_without_any_movement_ends_quietly_and_one_with_money_does_not(wechat: Desk) -> None:
    deliver(wechat.bench.notices())
    wechat.sweep(TEN)
    quiet = first_asked(DAY + timedelta(days=1)) - NOW
    for gap in (timedelta(), *ASKED_AGAIN):
        quiet += gap
        wechat.sweep(quiet)
    assert BillFetch.objects.get(day=DAY + timedelta(days=1)).status == "NOTHING"
    third = DAY + timedelta(days=2)
    PaymentAttempt.objects.update(paid_at=first_asked(third) - 20 * HOUR)
    BillFetch.objects.filter(day=third).update(status="WAITING", attempts_made=len(ASKED_AGAIN), due_at=NOW)
    wechat.sweep(quiet)
    assert BillFetch.objects.get(day=third).status == "FAILED"


def test_after_an_outage_the_last_week_is_fetched_each_day_once(wechat: Desk) -> None:
    now, _wall = wechat.bench.at(timedelta(days=20))
    for _ in range(2):
        plan_due_bills(now=now)
        MerchantAccount.objects.update(bill_due_at=NOW)
    days = list(BillFetch.objects.order_by("day").values_list("day", flat=True))
    assert days == [newest_made(now) - timedelta(days=back) for back in range(6, -1, -1)]


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.MALFORMED, Fault.BOMB])
def test_a_file_that_is_lost_cut_or_a_bomb_is_no_bill_and_is_asked_for_again_F92(desk: Desk, fault: Fault) -> None:
    desk.bench.gateways.say("fail", fault=fault, verb="bill_file")
    fetch = desk.sweep(TEN)
    assert (fetch.status, fetch.bill) == ("WAITING", None)
    assert fetch.problem in {"silent", "unreadable"}
    assert not Bill.objects.exists()
    assert desk.sweep(TEN + ASKED_AGAIN[0]).status == "FETCHED"


def test_what_fails_for_good_is_on_the_pages_and_is_tried_again_by_one_click(wechat: Desk) -> None:
    wechat.bench.gateways.say("fail", fault=Fault.SERVER_ERROR, verb="bill", times=len(ASKED_AGAIN) + 1)
    later = TEN
    for gap in (timedelta(), *ASKED_AGAIN):
        later += gap
        fetch = wechat.sweep(later)
    assert (fetch.status, fetch.problem, fetch.due_at) == ("FAILED", "silent", None)
    fin = make_member(wechat.shop.enterprise, Role.FINANCE, email="fin@example.com")
    client = Client()
    client.force_login(fin)
    told = client.get("/admin/billing/bill/fetched/").content.decode()
    assert "1 bill could not be fetched" in told
    assert "did not answer" in told
    assert backlog(reader=reader_of(fin), now=NOW)[Waiting.BILLS].number == 1
    assert client.post(f"/admin/billing/bill/fetched/{fetch.pk}/retry/").status_code == 302
    now, wall = wechat.bench.at(later)
    assert BillFetch.objects.get(pk=fetch.pk).status == "WAITING"
    BillFetch.objects.update(due_at=now)
    fetch_due_bills(now=now, wall=wall)
    assert BillFetch.objects.get(pk=fetch.pk).status == "FETCHED"
    retry_fetch(fetch=fetch, actor="fin@example.com", now=now)
    assert BillFetch.objects.get(pk=fetch.pk).status == "FETCHED", "what is there is not fetched again"


def test_two_workers_never_ask_for_the_same_bill_at_once(wechat: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    inner: list[int] = []
    now, wall = wechat.bench.at(TEN)
    plan_due_bills(now=now)
    asked = bill_source_of

    def asking(account: MerchantAccount) -> object:
        inner.append(fetch_due_bills(now=now, wall=wall))
        return asked(account)

    monkeypatch.setattr("billing.services.bill_fetches.bill_source_of", asking)
    assert fetch_due_bills(now=now, wall=wall) == 1
    assert inner == [0]
    assert ASKED_AGAIN[0] > LEASE


def test_a_bill_that_somebody_uploaded_is_not_fetched_again(wechat: Desk) -> None:
    Bill.objects.create(
        enterprise=wechat.shop.enterprise, account=wechat.account, day=DAY, file_name="by hand", digest="d",
        lines=0, open_lines=0, uploaded_at=NOW, uploaded_by="fin@example.com",
    )  # fmt: skip
    assert wechat.sweep(TEN).bill == Bill.objects.get()
    assert wechat.calls() == 0


def test_the_sandbox_and_closed_accounts_are_not_asked(shop: Shop, wire: Loopback) -> None:
    assert account_that_sells(shop.merchant, now=NOW).bill_due_at is None


def test_a_closed_account_gets_its_last_bill_and_no_more(wechat: Desk) -> None:
    MerchantAccount.objects.update(is_active=False)
    assert wechat.sweep(TEN).status == "FETCHED"
    assert MerchantAccount.objects.get(pk=wechat.account.pk).bill_due_at is None


@pytest.mark.parametrize(
    "url",
    [
        "https://pay.example.evil.com/v3/billdownload/file",
        "https://pay.example@evil.com/v3/billdownload/file",
        "http://pay.example/v3/billdownload/file",
        "https://pay.example/v3/billdownload/../../admin",
        "https://pay.example/other",
        "//evil.com/v3/billdownload/file",
        "",
    ],
)
def test_a_bill_is_only_downloaded_from_the_gateway_itself_F87(url: str) -> None:
    assert not is_below(url, "https://pay.example/v3/billdownload/")
    assert is_below("https://pay.example/v3/billdownload/file?token=1", "https://pay.example/v3/billdownload/")


def test_a_few_bytes_that_unpack_to_very_many_cost_no_more_than_a_large_bill_F92() -> None:
    assert len(unpacked(gzip.compress(b"0" * (5 * MAX_BYTES)))) == MAX_BYTES + 1
    assert unpacked(gzip.compress(b"a,b")) == unpacked(b"a,b") == b"a,b"
    for broken in (gzip.compress(b"a,b")[:-1], gzip.compress(b"a,b")[:-9] + b"x" * 9):
        with pytest.raises(GatewayTimeout):
            unpacked(broken)


def test_wechats_two_hosts_stand_for_each_other_and_for_nobody_else_F87() -> None:
    gateway = "https://api2.mch.weixin.qq.com"
    told = {"hash_type": "SHA1", "download_url": "https://api.mch.weixin.qq.com/v3/billdownload/file?token=a"}
    assert wechat_address(told, gateway) == f"{gateway}/v3/billdownload/file?token=a"
    for changes in (
        {"download_url": "https://api.mch.weixin.qq.com.evil.com/v3/billdownload/file?token=a"},
        {"download_url": "http://api.mch.weixin.qq.com/v3/billdownload/file?token=a"},
        {"hash_type": "NONE"},
    ):
        with pytest.raises(GatewayTimeout, match="no bill"):
            wechat_address(told | changes, gateway)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://dwbillcenter.alipay.com/f?x=1", "https://dwbillcenter.alipay.com/f?x=1"),
        ("https://dwbillcenter.alipay.com/f", "https://dwbillcenter.alipay.com/f"),
        ("https://alipay.com.evil.com/f", None),
        ("https://a@evil.com/.alipay.com", None),
        ("https://evilalipay.com/f", None),
        ("https://x.alipay.com:8443/f", None),
        ("file:///etc/passwd", None),
        ("http://169.254.169.254/.alipay.com", None),
    ],
)
def test_alipays_bills_come_over_tls_from_alipay_alone_F87(
    request: pytest.FixtureRequest, shop: Shop, url: str, expected: str | None
) -> None:
    account = bench_of("alipay-direct", request).open(shop)
    source = bill_source_of(account)
    assert isinstance(source, alipay_adapter.AlipayProvider)
    if expected:
        assert source._download_address(url) == expected
    else:
        with pytest.raises(GatewayTimeout, match="no bill"):
            source._download_address(url)


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        (datetime.fromisoformat("2026-03-02T09:59:59+08:00"), date(2026, 2, 28)),
        (datetime.fromisoformat("2026-03-02T10:00:00+08:00"), date(2026, 3, 1)),
    ],
)
def test_a_day_is_asked_for_at_ten_on_the_next_one(now: datetime, newest: date) -> None:
    assert newest_made(now) == newest
