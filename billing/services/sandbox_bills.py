"""The sandbox gateway's bill of one day, as a real gateway offers it for download. TEST money only."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime

from amp.foundation.money import decimal_text
from billing.bill_files import BEIJING
from billing.bills import SANDBOX_END, SANDBOX_HEAD, SANDBOX_REFUND, LineKind, day_of
from billing.models import MerchantAccount, SandboxRefund, SandboxTrade


def sandbox_bill(*, account: MerchantAccount, day: date) -> bytes:
    """Payments and refunds of that day in Beijing, from the gateway's own books alone."""
    first, end = day_of(day)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*SANDBOX_HEAD, SANDBOX_REFUND])
    merchant = account.merchant.merchant_id
    books = SandboxTrade.objects.filter(account=account).order_by("pk")
    trades = books.filter(paid_at__gte=first, paid_at__lt=end)
    paid_again = books.filter(second_paid_at__gte=first, second_paid_at__lt=end)
    refunds = SandboxRefund.objects.filter(trade__account=account, created_at__gte=first, created_at__lt=end)
    count = 0
    for trade in trades:
        paid = trade.transaction_id, LineKind.PAYMENT, trade.amount, trade.paid_at
        writer.writerow([*_line(merchant, trade, *paid), ""])
        count += 1
    for trade in paid_again:
        paid = trade.second_transaction_id, LineKind.PAYMENT, trade.second_amount, trade.second_paid_at
        writer.writerow([*_line(merchant, trade, *paid), ""])
        count += 1
    for refund in refunds.select_related("trade").order_by("pk"):
        trade = refund.trade
        line = _line(merchant, trade, trade.transaction_id, LineKind.REFUND, refund.amount, refund.created_at)
        writer.writerow([*line, refund.number])
        count += 1
    writer.writerow([SANDBOX_END, count])
    return out.getvalue().encode()


def _line(
    merchant: str, trade: SandboxTrade, transaction_id: str, kind: LineKind, amount: int, at: datetime | None
) -> list[str]:
    shown = at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S") if at else ""
    money = decimal_text(amount, trade.currency)
    return [merchant, trade.number, transaction_id, kind.value, money, trade.currency, shown]
