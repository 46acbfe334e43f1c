"""The payer's receipt and request for a fapiao, behind the device's link: of orders paid through it, and no other."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language

from amp.foundation import clock
from amp.foundation.money import format_money
from amp.foundation.services.refusals import Refused
from amp.public.answers import address, for_link, other_languages, too_fast, unknown_link
from amp.public.page import brand_of
from amp.public.throttle import is_too_fast
from billing.fapiao import CURRENCY, Buyer
from billing.models import FapiaoRequest, Order, OrderChannel
from billing.orders import ORDER_NUMBER
from billing.papers import receipt_pdf
from billing.services.fapiao import latest_fapiao, request_fapiao
from billing.services.receipts import NoReceipt, Receipt, receipt_of
from devices.models import Device

REQUESTS_A_MINUTE = 10
PAYER = "renewal page"
LONGEST = 300


@for_link("GET", "HEAD")
def receipt(request: HttpRequest, device: Device, token: str, number: str) -> HttpResponse:
    """What was paid, to whom, and what went back."""
    found = _receipt(device, number)
    return unknown_link(request) if found is None else _show(request, device, token, found)


@for_link("GET", "HEAD")
def receipt_file(request: HttpRequest, device: Device, token: str, number: str) -> HttpResponse:
    """The same as PDF."""
    found = _receipt(device, number)
    if found is None:
        return unknown_link(request)
    with timezone.override(device.enterprise.time_zone):
        answer = HttpResponse(receipt_pdf(found), content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="receipt-{number}.pdf"'
    return answer


@for_link("POST")
def fapiao(request: HttpRequest, device: Device, token: str, number: str) -> HttpResponse:
    """Ask for the fapiao of the order; finance issues it."""
    wall = clock.wall()
    if is_too_fast(request, wall=wall, name="fapiao", limit=REQUESTS_A_MINUTE):
        return too_fast(request, wall)
    found = _receipt(device, number)
    if found is None:
        return unknown_link(request)
    typed = {name: request.POST.get(name, "")[:LONGEST] for name in Buyer._fields}
    try:
        request_fapiao(order=found.order, buyer=Buyer(**typed), actor=PAYER, now=clock.now())
    except Refused as refused:
        return _show(request, device, token, found, typed=typed, refused=refused)
    return HttpResponseRedirect(address(request, "receipt", token, number))


def _receipt(device: Device, number: str) -> Receipt | None:
    """Of a paid order of this page and device; None for anything else, which answers as an unknown link."""
    if not ORDER_NUMBER.fullmatch(number):
        return None
    orders = Order.objects.filter(number=number, lines__device=device, channel=OrderChannel.PUBLIC.value)
    order: Order | None = orders.select_related("enterprise").first()
    try:
        return receipt_of(order, for_payer=True) if order else None
    except NoReceipt:
        return None


def _show(
    request: HttpRequest,
    device: Device,
    token: str,
    found: Receipt,
    *,
    typed: dict[str, str] | None = None,
    refused: Refused | None = None,
) -> HttpResponse:
    order, language = found.order, get_language() or "en"
    asked = latest_fapiao(order)
    path = address(request, "receipt", token, order.number)
    context: dict[str, Any] = {
        "brand": brand_of(device),
        "receipt": found,
        "order": order,
        "total": format_money(order.total, order.currency, language),
        "refunds": [(each.at, format_money(each.amount, each.currency, language)) for each in found.refunds],
        "remaining": format_money(found.remaining, order.currency, language),
        "zone": device.enterprise.time_zone,
        "fapiao": asked,
        "may_ask": order.currency == CURRENCY and found.remaining > 0 and _is_free(asked),
        "typed": typed or {},
        "problems": {each.field: each.message for each in refused.problems} if refused else {},
        "problem": next((each.message for each in refused.problems if not each.field), "") if refused else "",
        "file_path": address(request, "receipt_file", token, order.number),
        "fapiao_path": address(request, "fapiao", token, order.number),
        "result_path": address(request, "result", token, order.number),
        "languages": other_languages(path.partition("?")[0]),
    }
    return render(request, "public/receipt.html", context, status=422 if refused else 200)


def _is_free(asked: FapiaoRequest | None) -> bool:
    return asked is None or asked.status == "REFUSED"
