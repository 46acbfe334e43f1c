"""What finance works with: fapiao requests, totals, and gateways' bills (F90, F92, F102)."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from amp.foundation.models import Event, Membership, Role
from billing.bills import Result
from billing.fapiao import Buyer
from billing.models import Bill, BillRow, FapiaoRequest, MoneyEntry, Order, OrderChannel, PaymentAttempt
from billing.services.bills import BillNotTaken, import_bill, settle_bill
from billing.services.fapiao import FapiaoRefused, issue_fapiao, refuse_fapiao, request_fapiao
from billing.services.receipts import NoReceipt
from billing.services.sandbox_bills import sandbox_bill
from billing.services.settlement import settle
from billing.services.totals import totals
from devices.models import Device
from devices.services.tokens import issue_token
from tests.services.shop import MINUTE, NOW, Loopback, Shop, kinds, money, open_shop, paid, shop_of_three, system_wide
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


# --- fapiao -----------------------------------------------------------------------------------------------------------
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


# --- totals -----------------------------------------------------------------------------------------------------------
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
    assert row == (DAY, "Maker Ltd", "CNY", 59_700, 10_000, 59_700, 0, 1)
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


# --- bills ------------------------------------------------------------------------------------------------------------
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
