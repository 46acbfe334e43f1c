"""Daily bills: compared with our payments, and what is only there is booked (F92, F102)."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.bills import Result
from billing.fapiao import Buyer
from billing.models import Bill, BillRow, Effect, MerchantAccount, MoneyEntry, Order, PaymentAttempt, Provider, Refund
from billing.services.accounts import open_account
from billing.services.bills import BillNotTaken, import_bill, settle_bill
from billing.services.refund_proposals import make_refund
from billing.services.sandbox_bills import sandbox_bill
from tests.gateways.process import alipay_secret, wechat_secret
from tests.rules.test_bills import alipay_line, alipay_text, wechat, wechat_line
from tests.services.shop import ACTOR, MINUTE, NOW, Loopback, Shop, kinds, money, shop_of_three, system_wide
from tests.services.test_fapiao import client_of
from tests.services.test_receipts import paid_order, refund

__all__ = ["shop_of_three", "system_wide"]
BUYER = Buyer("上海暖通科技有限公司", "91310000MA1FL0XX8A", "accounts@example.com")
FORM = BUYER._asdict()
DAY = date(2026, 3, 1)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def bill_file(*attempts: PaymentAttempt, **changes: Any) -> bytes:
    lines = ["merchant_id,number,transaction_id,kind,amount,currency,time"]
    for attempt in attempts:
        cells = {"number": attempt.number, "transaction": f"T{attempt.number}", "kind": "PAYMENT"}
        cells["amount"] = f"{attempt.amount / 100:.2f}"
        cells |= changes
        lines.append(
            f"{attempt.account.merchant.merchant_id},{cells['number']},{cells['transaction']},{cells['kind']},"
            f"{cells['amount']},CNY,2026-03-01 20:01:00"
        )
    return "\r\n".join([*lines, f"end,{len(attempts)}", ""]).encode()


def imported(attempt: PaymentAttempt, content: bytes, **changes: Any) -> Bill:
    asked: dict[str, Any] = {
        "account": attempt.account,
        "day": DAY,
        "file_name": "bill.csv",
        "content": content,
        "actor": "fin@example.com",
        "now": NOW + timedelta(days=1),
    }
    return import_bill(**asked | changes)[0]


def results(bill: Bill) -> dict[str, str]:
    return dict(BillRow.objects.filter(bill=bill).values_list("number", "result"))


def paid_attempt(shop: Shop, device: int) -> PaymentAttempt:
    order = paid_order(shop, device_ids=[device], plan=shop.plan_like(name=f"P{device}"))
    return order.attempts.get()


def test_lines_are_matched_with_our_payments(shop: Shop) -> None:
    good, other, missing = (paid_attempt(shop, device) for device in shop.ids)
    wrong = f"T{other.number},PAYMENT,198.00".encode()
    content = bill_file(good, other).replace(wrong.replace(b"198", b"199"), wrong)
    content = content.replace(b"end,2", b"M,NOTOURS1,T9,PAYMENT,1.00,CNY,2026-03-01 20:01:00\r\nend,3")
    bill = imported(good, content)
    assert results(bill) == {
        good.number: "MATCHED",
        other.number: "DIFFERS",
        "NOTOURS1": "UNKNOWN",
        missing.number: "MISSING_THERE",
    }
    assert (bill.lines, bill.open_lines) == (3, 3)
    assert kinds(f"bill:{bill.pk}") == ["bill.imported"]


def test_what_was_paid_there_and_not_here_is_settled_as_a_late_payment(shop: Shop) -> None:
    """F102: after a restore to an earlier point the bill brings back what was forgotten."""
    attempt = shop.attempt()
    Order.objects.update(status="EXPIRED")
    bill = imported(attempt, bill_file(attempt))
    assert results(bill) == {attempt.number: "TO_SETTLE"}
    assert not MoneyEntry.objects.exists()  # nothing is booked before somebody says so
    assert settle_bill(bill=bill, actor="fin", now=NOW + timedelta(days=1)) == 0
    assert settle_bill(bill=bill, actor="fin", now=NOW + timedelta(days=1)) == 0
    attempt.refresh_from_db()
    assert attempt.status == "PAID"
    assert attempt.order.status == "PAID"
    assert money(attempt.order)["RECEIVED"] == attempt.amount
    bill.refresh_from_db()
    assert (results(bill), bill.open_lines) == ({attempt.number: "SETTLED"}, 0)
    assert results(imported(attempt, bill_file(attempt) + b"\r\n")) == {attempt.number: "MATCHED"}


def test_a_wrong_amount_in_a_bill_goes_before_a_person(shop: Shop) -> None:
    attempt = shop.attempt()
    bill = imported(attempt, bill_file(attempt, amount="1.00"))
    settle_bill(bill=bill, actor="fin", now=NOW + timedelta(days=1))
    assert attempt.exceptions.get().kind == "AMOUNT_MISMATCH"
    assert Order.objects.get().status == "PENDING"


def test_refunds_of_a_bill_are_looked_up_in_the_ledger(shop: Shop) -> None:
    attempt = paid_attempt(shop, shop.ids[0])
    content = bill_file(attempt, attempt).replace(b"PAYMENT,199.00", b"REFUND,50.00", 1)
    assert set(BillRow.objects.filter(bill=imported(attempt, content)).values_list("result", flat=True)) == {
        *("MATCHED", "REFUND_MISSING"),
    }
    refund(attempt.order, 5_000)
    again = imported(attempt, content + b"\r\n")
    assert again.open_lines == 0


def test_one_refund_of_several_devices_is_one_line_of_a_bill(shop: Shop) -> None:
    """The ledger has a movement for each device; the gateway gave the money back at once."""
    attempt = paid_attempt(shop, shop.ids[0])
    for device, amount in enumerate((3_000, 2_000), start=1):
        refund(attempt.order, amount, source=f"refund:7:{device}")
    content = bill_file(attempt, attempt).replace(b"PAYMENT,199.00", b"REFUND,50.00", 1)
    assert imported(attempt, content).open_lines == 0
    part = bill_file(attempt, attempt).replace(b"PAYMENT,199.00", b"REFUND,30.00", 1)
    assert imported(attempt, part).open_lines == 1


def test_two_equal_refunds_of_a_payment_are_told_apart_by_their_numbers(shop: Shop) -> None:
    """One of them is booked here, the other was made at the gateway by hand."""
    attempt = paid_attempt(shop, shop.ids[0])
    line = attempt.order.lines.get()
    booked = make_refund(
        attempt, 5_000, "CNY", "x", Effect.KEEP, has_lines=True, asked_by=ACTOR, now=NOW, approved_by=ACTOR
    )
    Refund.objects.update(status="SUCCEEDED")
    refund(attempt.order, 5_000, source=f"refund:{booked.pk}:{line.pk}")
    head = b"merchant_id,number,transaction_id,kind,amount,currency,time,refund_number\r\n"
    merchant = attempt.account.merchant.merchant_id
    rows = [
        f"{merchant},{attempt.number},T{attempt.number},REFUND,{amount},CNY,2026-03-01 20:01:00,{number}\r\n".encode()
        for amount, number in (("50.00", booked.number), ("50.00", "RSOMEOTHER"), ("49.00", booked.number))
    ]
    bill = imported(attempt, head + b"".join(rows) + b"end,3\r\n")
    found = BillRow.objects.filter(bill=bill, kind="REFUND").order_by("pk")
    assert list(found.values_list("result", "detail", "our_amount")) == [
        ("MATCHED", booked.number, 5_000),
        ("REFUND_MISSING", "RSOMEOTHER", None),
        ("DIFFERS", booked.number, 5_000),
    ]


def test_the_same_file_is_taken_once(shop: Shop) -> None:
    attempt = paid_attempt(shop, shop.ids[0])
    first, again = (imported(attempt, bill_file(attempt)) for _ in range(2))
    assert first == again
    assert (Bill.objects.count(), BillRow.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_the_same_file_at_once_is_taken_once(shop: Shop) -> None:
    attempt = paid_attempt(shop, shop.ids[0])
    content, taken, together = bill_file(attempt), [], threading.Barrier(2)

    def upload() -> None:
        from amp.foundation.scoping import system_scope

        with system_scope():
            account = PaymentAttempt.objects.select_related("account").get().account
            together.wait()
            taken.append(import_bill(account=account, day=DAY, file_name="b", content=content, actor="f", now=NOW)[1])
        connection.close()

    threads = [threading.Thread(target=upload) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(taken) == [False, True]
    assert (Bill.objects.count(), BillRow.objects.count()) == (1, 1)


def test_a_bill_costs_the_same_statements_for_one_line_and_for_many(shop: Shop) -> None:
    attempt = paid_attempt(shop, shop.ids[0])
    spent = []
    for count in (1, 400):
        line = bill_file(attempt).split(b"\r\n")[1]
        lines = b"\r\n".join([line, *(line.replace(attempt.number.encode(), f"X{n}".encode()) for n in range(count))])
        content = bill_file(attempt).replace(line, lines).replace(b"end,1", f"end,{count + 1}".encode())
        with CaptureQueriesContext(connection) as queries:
            imported(attempt, content)
        spent.append(len(queries))
    assert spent[0] == spent[1] <= 14


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "not a daily trade bill"), (b"x" * (10 * 1024 * 1024 + 1), "too large"), (b"\xff\xfe", "can't be read")],
)
def test_a_file_that_is_no_bill_stores_nothing(shop: Shop, content: bytes, says: str) -> None:
    attempt = shop.attempt()
    with pytest.raises(BillNotTaken, match=says):
        imported(attempt, content)
    assert not Bill.objects.exists()


def test_a_bill_is_uploaded_settled_and_exported_through_its_pages(shop: Shop) -> None:
    attempt, client = shop.attempt(), client_of(shop)
    form = {"account": attempt.account_id, "day": "2026-03-01"}
    wrong = client.post("/admin/billing/bill/upload/", form | {"file": SimpleUploadedFile("b.csv", b"nonsense")})
    assert wrong.status_code == 422
    assert "not a daily trade bill" in wrong.content.decode()
    done = client.post("/admin/billing/bill/upload/", form | {"file": SimpleUploadedFile("b.csv", bill_file(attempt))})
    bill = Bill.objects.get()
    assert done["Location"] == f"/admin/billing/bill/{bill.pk}/change/"
    assert "Book 1 payment" in client.get(done["Location"]).content.decode()
    client.post(f"/admin/billing/bill/{bill.pk}/settle/")
    assert "Everything agrees." in client.get(done["Location"]).content.decode()
    exported = client.post(f"/admin/billing/billrow/export/?bill={bill.pk}", {"format": "csv"})
    assert attempt.number in b"".join(exported.streaming_content).decode()


def test_the_sandbox_writes_a_bill_that_agrees(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Loopback.installed(monkeypatch)
    attempt = shop.attempt()
    wire.at(MINUTE)
    Client().post(attempt.code.partition("//")[2].partition("/")[1] + attempt.code.split("/", 3)[3])
    attempt.refresh_from_db()
    assert attempt.status == "PAID"
    client = client_of(shop)
    answer = client.get(f"/admin/billing/bill/sandbox/{attempt.account_id}/?day=2026-03-01")
    assert answer.content == sandbox_bill(account=attempt.account, day=DAY)
    assert results(imported(attempt, answer.content)) == {attempt.number: Result.MATCHED.value}
    assert client.get(f"/admin/billing/bill/sandbox/{attempt.account_id}/?day=x").status_code == 404


def test_one_refund_of_several_devices_is_one_line_of_the_bill(shop: Shop) -> None:
    order = paid_order(shop)
    attempt = order.attempts.get()
    for line in order.lines.all():
        MoneyEntry.objects.create(
            enterprise=order.enterprise,
            merchant=order.merchant,
            attempt=attempt,
            line=line,
            kind="REFUNDED",
            taken_from="APPLIED",
            amount=1_000,
            currency="CNY",
            source=f"refund:7:{line.pk}",
            created_at=NOW,
        )
    bill = imported(attempt, bill_file(attempt, kind="REFUND", amount="30.00"))
    assert set(BillRow.objects.filter(bill=bill, kind="REFUND").values_list("result", flat=True)) == {"MATCHED"}


def at_gateway(attempt: PaymentAttempt, provider: Provider, secret: dict[str, str]) -> PaymentAttempt:
    """The payment as if it had been made with a real account of its merchant."""
    MerchantAccount.objects.update(is_active=False)
    account = open_account(merchant=attempt.order.merchant, provider=provider, secret=secret, actor=ACTOR, now=NOW)
    PaymentAttempt.objects.update(account=account, provider=provider.value)
    return PaymentAttempt.objects.get()


@pytest.mark.parametrize("who", ["direct", "partner", "foreign"])
def test_a_real_gateways_bill_pays_the_order_of_its_own_account_alone_F29(shop: Shop, who: str) -> None:
    """The bill calls the merchant by the gateway's number, we by ours."""
    numbers = {
        "direct": {"mchid": "1900000001"},
        "partner": {"mchid": "1900000001", "sub_mchid": "1900000002"},
        "foreign": {"mchid": "1900000009"},
    }[who]
    attempt = at_gateway(shop.attempt(), Provider.WECHAT, wechat_secret(**numbers))
    line = wechat_line(attempt.number, sub=numbers.get("sub_mchid", "0"), paid="597.00")
    bill = imported(attempt, wechat(line), day=date(2026, 11, 26))
    settle_bill(bill=bill, actor="fin", now=NOW + timedelta(days=300))
    kinds = [case.kind for case in attempt.exceptions.all()]
    assert (Order.objects.get().status, kinds) == (
        ("PENDING", ["MERCHANT_MISMATCH"]) if who == "foreign" else ("PAID", [])
    )


def test_an_alipay_bill_pays_the_order_too(shop: Shop) -> None:
    attempt = at_gateway(shop.attempt(), Provider.ALIPAY, alipay_secret(seller_id="2088000000000001"))
    line = alipay_line(attempt.number).replace("199.00", "597.00")
    bill = imported(attempt, alipay_text(line).encode("gb18030"), day=date(2026, 11, 26))
    settle_bill(bill=bill, actor="fin", now=NOW + timedelta(days=300))
    assert (Order.objects.get().status, attempt.exceptions.count()) == ("PAID", 0)
