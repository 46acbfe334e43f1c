"""Receipts: what was paid and what went back, on a page and on paper; a payer's shows no other device (F85)."""

from __future__ import annotations

import pypdfium2
import pytest
from django.test import Client
from django.utils import translation

from billing.models import EntryKind, MoneyEntry, Order, OrderChannel, Refund
from billing.papers import receipt_pdf
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.receipts import NoReceipt, receipt_of
from billing.services.settlement import settle
from devices.models import Device
from devices.services.tokens import issue_token
from tests.services.shop import MINUTE, NOW, Shop, add_devices, open_shop, paid

__all__ = ["shop_of_three", "system_wide"]
from tests.services.shop import shop_of_three, system_wide


def paid_order(shop: Shop, **changes: object) -> Order:
    order = shop.order(**changes)
    attempt = shop.attempt(order)
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=NOW + MINUTE)
    fulfil_paid_orders(now=NOW + 2 * MINUTE)
    order.refresh_from_db()
    return order


def refund(order: Order, amount: int, source: str = "") -> None:
    """As refunds are booked: a row of that kind in the ledger."""
    attempt = order.attempts.get()
    MoneyEntry.objects.create(
        enterprise=order.enterprise,
        merchant=order.merchant,
        attempt=attempt,
        kind=EntryKind.REFUNDED.value,
        taken_from="APPLIED",
        amount=amount,
        currency=order.currency,
        source=source or f"refund:{order.pk}:{order.lines.all()[0].pk}",
        line=order.lines.all()[0],
        created_at=NOW + 3 * MINUTE,
    )


def words(document: bytes) -> str:
    return "\n".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(document))


def client_of(shop: Shop) -> Client:
    client = Client()
    client.force_login(shop.user)
    return client


def test_a_receipt_is_read_from_the_order_and_the_ledger(shop: Shop, django_assert_num_queries) -> None:
    order = Order.objects.select_related("enterprise").get(pk=paid_order(shop).pk)
    with django_assert_num_queries(2):
        receipt = receipt_of(order)
    [payment] = receipt.payments
    attempt = order.attempts.get()
    assert (payment.number, payment.transaction_id, payment.amount) == (attempt.number, f"T{attempt.number}", 59_700)
    assert payment.at == NOW + MINUTE  # the gateway's success time (A16)
    assert [line.amount for line in receipt.lines] == [19_900] * 3
    assert all(line.is_applied for line in receipt.lines)
    assert (receipt.refunded, receipt.remaining, receipt.is_test) == (0, 59_700, True)


def test_what_went_back_is_on_the_receipt(shop: Shop) -> None:
    order = paid_order(shop)
    refund(order, 10_000)
    receipt = receipt_of(order)
    assert (receipt.refunded, receipt.remaining) == (10_000, 49_700)
    said = words(receipt_pdf(receipt))
    for text in ("¥597.00", "-¥100.00", "¥497.00", "Paid after refunds"):
        assert text in said


def test_an_unpaid_order_has_no_receipt(shop: Shop) -> None:
    order = shop.order()
    with pytest.raises(NoReceipt):
        receipt_of(order)
    client = client_of(shop)
    for page in ("receipt/", "receipt.pdf"):
        answer = client.get(f"/admin/billing/order/{order.pk}/{page}", follow=True)
        assert "There is a receipt once the order is paid." in answer.content.decode()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_paper_says_who_sold_what_for_how_much_and_that_it_is_a_test(shop: Shop, language: str) -> None:
    Device.objects.filter(pk=shop.ids[0]).update(name="客厅暖气")
    order = paid_order(shop)
    with translation.override(language):
        said = words(receipt_pdf(receipt_of(order)))
    attempt = order.attempts.get()
    for text in (order.number, "Maker Ltd", attempt.number, f"T{attempt.number}", "¥597.00", "¥199.00", "TEST", "d2"):
        assert text in said
    assert "客厅暖气" in said


def test_many_devices_go_on_over_pages() -> None:
    shop = open_shop(devices=120)
    document = receipt_pdf(receipt_of(paid_order(shop)))
    pages = pypdfium2.PdfDocument(document)
    assert len(pages) == 3
    listed = [page.get_textpage().get_text_range() for page in pages]
    assert "Devices, continued" in listed[1]
    assert sum(text.count("¥199.00") for text in listed) == 120 + 1  # and once for the plan
    assert "d119" in listed[2]


def test_staff_reads_and_downloads_it(shop: Shop) -> None:
    order, client = paid_order(shop), client_of(shop)
    said = client.get(f"/admin/billing/order/{order.pk}/receipt/").content.decode()
    assert "¥597.00" in said
    assert "no money has moved" in said
    assert "/receipt/" in client.get(f"/admin/billing/order/{order.pk}/change/").content.decode()
    answer = client.get(f"/admin/billing/order/{order.pk}/receipt.pdf")
    assert answer["Content-Type"] == "application/pdf"
    assert "no-store" in answer["Cache-Control"]
    assert order.number in words(answer.content)


def renewed_by_payer(shop: Shop) -> tuple[Order, str]:
    """An order of the renewal page, and the link of its device."""
    order = paid_order(shop, device_ids=shop.ids[:1], channel=OrderChannel.PUBLIC)
    return order, issue_token(device=Device.objects.get(pk=shop.ids[0]), actor="test", now=NOW)


def test_a_payer_reads_the_receipt_of_this_payment_and_no_more_of_the_device(shop: Shop) -> None:
    Device.objects.filter(pk=shop.ids[0]).update(serial="SN-SECRET-4821", name="Bedroom")
    order, token = renewed_by_payer(shop)
    path = f"/r/{token}/orders/{order.number}"
    assert f"{path}/receipt" in Client().get(path).content.decode()
    page, file = Client().get(f"{path}/receipt"), Client().get(f"{path}/receipt.pdf")
    for said in (page.content.decode(), words(file.content)):
        assert "4821" in said
        assert "¥199.00" in said
        assert "SECRET" not in said
        assert "Bedroom" not in said
    for answer in (page, file):
        assert "no-store" in answer["Cache-Control"]
        assert answer["Referrer-Policy"] == "no-referrer"


def test_a_payer_reaches_no_other_order(shop: Shop) -> None:
    """Orders of staff, of other devices, unpaid ones and made-up numbers answer as unknown links do."""
    order, token = renewed_by_payer(shop)
    others = [
        paid_order(shop, device_ids=shop.ids[1:2], channel=OrderChannel.PUBLIC),
        paid_order(shop, device_ids=shop.ids[:1]),
        shop.order(device_ids=shop.ids[:1], channel=OrderChannel.PUBLIC, plan=shop.plan_like(name="Other")),
    ]
    numbers = [*(each.number for each in others), "AAAA-AAAA-AAAA", "x"]
    for number in numbers:
        for ending in ("receipt", "receipt.pdf"):
            assert Client().get(f"/r/{token}/orders/{number}/{ending}").status_code == 404, number
        assert Client().post(f"/r/{token}/orders/{number}/fapiao").status_code == 404
    assert Client().get(f"/r/{'x' * 43}/orders/{order.number}/receipt").status_code == 404


def test_devices_that_could_not_be_renewed_are_marked(shop: Shop) -> None:
    order = shop.order(device_ids=[*shop.ids, *add_devices(shop, 1, prefix="gone")])
    attempt = shop.attempt(order)
    Device.objects.filter(key="gone0").update(terminated_at=NOW)
    Device.objects.get(key="gone0").service.__class__.objects.filter(device__key="gone0").update(state="TERMINATED")
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=NOW + MINUTE)
    fulfil_paid_orders(now=NOW + 2 * MINUTE)
    order.refresh_from_db()
    receipt = receipt_of(order)
    assert receipt.unapplied == 1
    assert "Not renewed" in words(receipt_pdf(receipt))


def test_a_second_payment_that_went_back_leaves_the_order_paid_F31(shop: Shop) -> None:
    order = shop.order()
    attempts = [shop.attempt(order, new_code=True) for _ in range(2)]
    for attempt in attempts:
        settle(attempt_id=attempt.pk, facts=paid(attempt), now=NOW + MINUTE)
    fulfil_paid_orders(now=NOW + 2 * MINUTE)
    refused = Refund.objects.get()
    MoneyEntry.objects.create(
        enterprise=order.enterprise,
        merchant=order.merchant,
        attempt=refused.attempt,
        kind=EntryKind.REFUNDED.value,
        amount=refused.amount,
        currency=order.currency,
        source=f"refund:{refused.pk}",
        taken_from="UNAPPLIED",
        created_at=NOW + 3 * MINUTE,
    )
    receipt = receipt_of(Order.objects.get(pk=order.pk))
    assert [each.amount for each in receipt.payments] == [59_700]
    assert (receipt.refunded, receipt.remaining) == (0, 59_700)


def test_a_further_transaction_of_the_payment_that_pays_is_no_part_of_the_receipt(shop: Shop) -> None:
    order = paid_order(shop)
    attempt = order.attempts.get()
    settle(attempt_id=attempt.pk, facts=paid(attempt, transaction_id="T2"), now=NOW + 3 * MINUTE)
    assert [each.amount for each in receipt_of(order).payments] == [59_700]
