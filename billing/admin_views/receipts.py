"""An order's receipt for staff: a page to read and print, and the PDF."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from amp.foundation.access import Action, may
from amp.foundation.pages import found, needs, page, private, refuse, signed_in
from billing.models import FapiaoRequest, Order
from billing.papers import receipt_pdf
from billing.services.receipts import NoReceipt, receipt_of

SHOWN = 50


@needs(Action.VIEW)
def receipt_page(request: HttpRequest, pk: int) -> HttpResponse:
    """What was paid, for which devices, and what went back."""
    order = found(Order.objects.select_related("enterprise"), pk)
    try:
        receipt = receipt_of(order, most_lines=SHOWN)
    except NoReceipt as refused:
        refuse(request, refused)
        return redirect("admin:billing_order_change", pk)
    return page(
        request,
        "billing/receipt.html",
        _("Receipt %(number)s") % {"number": order.number},
        crumbs=[
            (_("Orders"), reverse("admin:billing_order_changelist")),
            (order.number, reverse("admin:billing_order_change", args=[pk])),
        ],
        receipt=receipt,
        order=order,
        zone=order.enterprise.time_zone,
        fapiao=FapiaoRequest.objects.filter(order=order).order_by("-pk").first(),
        may_request=may(signed_in(request), Action.RENEW, order.enterprise),
    )


@needs(Action.VIEW)
def receipt_file(request: HttpRequest, pk: int) -> HttpResponse:
    """The same as PDF, with all devices."""
    order = found(Order.objects.select_related("enterprise"), pk)
    try:
        receipt = receipt_of(order)
    except NoReceipt as refused:
        refuse(request, refused)
        return redirect("admin:billing_order_change", pk)
    with timezone.override(order.enterprise.time_zone):
        document = receipt_pdf(receipt)
    answer = HttpResponse(document, content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="receipt-{order.number}.pdf"'
    return private(answer)
