"""A receipt as PDF, in the language and time zone that are active: one page, and more where there are many devices."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from amp.foundation.money import format_money
from amp.foundation.pdf import A4, Canvas, draw, draw_right, fitted, mm, new_canvas
from amp.foundation.templatetags.amp_display import day, moment
from billing.services.receipts import Movement, Receipt, ReceiptLine

LEFT, RIGHT = 20 * mm, A4[0] - 20 * mm
TOP, BOTTOM = A4[1] - 20 * mm, 22 * mm
SIZE, STEP = 9.5, 14.5
FIRST_LINES = 50
"""Devices in the table of a page."""
Fact = tuple[str, str]


def receipt_pdf(receipt: Receipt) -> bytes:
    """The document."""
    title = _("Receipt %(number)s") % {"number": receipt.order.number}
    canvas, target = new_canvas(title, receipt.order.merchant_name)
    paper = _Paper(canvas, receipt)
    paper.head(_("Receipt"))
    paper.facts(_facts(receipt))
    paper.totals(_totals(receipt))
    paper.devices(receipt.lines)
    paper.foot()
    canvas.save()
    return target.getvalue()


def _facts(receipt: Receipt) -> list[Fact]:
    order = receipt.order
    return [
        (_("Order"), order.number),
        (_("Sold by"), order.merchant_name),
        *([(_("Enterprise"), receipt.seller)] if receipt.seller != order.merchant_name else []),
        (_("Plan"), _plan(receipt)),
        (_("Paid"), moment(order.paid_at)),
        *(fact for each in receipt.payments for fact in _payment_facts(each)),
    ]


def _plan(receipt: Receipt) -> str:
    order = receipt.order
    devices = _("%(n)s devices") % {"n": f"{order.line_count:,}"} if order.line_count > 1 else _("1 device")
    return f"{order.plan_name} · {devices} × {_money(order.unit_amount, order.currency)}"


def _payment_facts(payment: Movement) -> list[Fact]:
    is_transfer = payment.provider == "offline"
    return [
        (_("Payment"), payment.number),
        (_("Way of paying") if is_transfer else _("Gateway"), payment.gateway),
        (_("Bank reference") if is_transfer else _("Gateway transaction"), payment.transaction_id),
    ]


def _totals(receipt: Receipt) -> list[Fact]:
    currency = receipt.order.currency
    paid = [(_("Total paid"), _money(receipt.order.total, currency))]
    back = [
        (_("Refunded %(at)s") % {"at": day(each.at)}, _money(-each.amount, each.currency)) for each in receipt.refunds
    ]
    return [*paid, *back, (_("Paid after refunds"), _money(receipt.remaining, currency))] if back else paid


def _money(minor: int, currency: str) -> str:
    return format_money(minor, currency, get_language() or "en")


class _Paper:
    """Where on the paper the next thing goes."""

    def __init__(self, canvas: Canvas, receipt: Receipt) -> None:
        self.canvas, self.receipt = canvas, receipt
        self.y = TOP
        self.number = 1

    def head(self, title: str) -> None:
        """Title and, on paper for no money, TEST across the page."""
        if self.receipt.is_test:
            self._mark_test()
        draw(self.canvas, LEFT, self.y - 10, title, 20, bold=True)
        draw_right(self.canvas, RIGHT, self.y - 8, fitted(self.receipt.order.merchant_name, 11, 80 * mm), 11)
        self.y -= 34
        if self.receipt.is_test:
            draw(
                self.canvas, LEFT, self.y, _("TEST: paid to the sandbox gateway; no money has moved."), SIZE, bold=True
            )
            self.y -= STEP + 6

    def facts(self, facts: Sequence[Fact]) -> None:
        """Names on the left, values beside them."""
        for name, value in facts:
            self._grey(0.4)
            draw(self.canvas, LEFT, self.y, name, SIZE)
            self._grey(0)
            draw(self.canvas, LEFT + 45 * mm, self.y, fitted(value, SIZE, RIGHT - LEFT - 45 * mm), SIZE)
            self.y -= STEP
        self.y -= 4

    def totals(self, totals: Sequence[Fact]) -> None:
        """Between two rules; the last one is what counts."""
        self._rule()
        for number, (name, value) in enumerate(totals):
            size = 13 if number == len(totals) - 1 else SIZE
            draw(self.canvas, LEFT, self.y - size, name, size, bold=size > SIZE)
            draw_right(self.canvas, RIGHT, self.y - size, value, size, bold=size > SIZE)
            self.y -= size + 7
        self._rule()
        self.y -= 18

    def devices(self, lines: Sequence[ReceiptLine]) -> None:
        """One row for each, continued on further pages."""
        self._device_heading(_("Devices"))
        on_page = 0
        for number, line in enumerate(lines, 1):
            if self.y < BOTTOM + STEP or on_page == FIRST_LINES:
                self._turn()
                on_page = 0
            self._device(number, line)
            on_page += 1

    def foot(self) -> None:
        """Order and page number."""
        self._grey(0.4)
        draw(self.canvas, LEFT, 12 * mm, self.receipt.order.number, 8)
        draw_right(self.canvas, RIGHT, 12 * mm, _("Page %(n)d") % {"n": self.number}, 8)
        self._grey(0)

    def _turn(self) -> None:
        self.foot()
        self.canvas.showPage()
        self.y, self.number = TOP, self.number + 1
        if self.receipt.is_test:
            self._mark_test()
        self._device_heading(_("Devices, continued"))

    def _device_heading(self, title: str) -> None:
        draw(self.canvas, LEFT, self.y, title, 11, bold=True)
        self.y -= STEP + 4
        self._grey(0.4)
        draw(self.canvas, LEFT + 12 * mm, self.y, _("Device"), 8)
        draw(self.canvas, LEFT + 98 * mm, self.y, _("Service until"), 8)
        draw_right(self.canvas, RIGHT, self.y, _("Amount"), 8)
        self._grey(0)
        self.y -= STEP

    def _device(self, number: int, line: ReceiptLine) -> None:
        ends = _("Not renewed") if line.is_unapplied else day(line.ends_at)
        draw_right(self.canvas, LEFT + 8 * mm, self.y, f"{number:,}", SIZE)
        draw(self.canvas, LEFT + 12 * mm, self.y, fitted(line.device, SIZE, 84 * mm), SIZE)
        draw(self.canvas, LEFT + 98 * mm, self.y, ends, SIZE)
        draw_right(self.canvas, RIGHT, self.y, _money(line.amount, self.receipt.order.currency), SIZE)
        self.y -= STEP - 2.5

    def _rule(self) -> None:
        self.canvas.setStrokeGray(0.75)
        self.canvas.setLineWidth(0.6)
        self.canvas.line(LEFT, self.y, RIGHT, self.y)

    def _grey(self, level: float) -> None:
        self.canvas.setFillGray(level)

    def _mark_test(self) -> None:
        self.canvas.saveState()
        self._grey(0.94)
        self.canvas.translate(A4[0] / 2, A4[1] / 2)
        self.canvas.rotate(45)
        self.canvas.setFont("Helvetica-Bold", 150)
        self.canvas.drawCentredString(0, -50, "TEST")
        self.canvas.restoreState()
