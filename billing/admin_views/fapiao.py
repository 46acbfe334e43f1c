"""Fapiao requests: asked for by staff, then issued or refused by finance."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.pages import actor, done, ensure, found, needs, page, refuse, show, signed_in
from amp.foundation.services.refusals import Refused
from billing.admin_views.book_lists import FAPIAO_TONES
from billing.fapiao import Buyer
from billing.forms.books import FapiaoForm
from billing.models import FapiaoRequest, Order
from billing.services.accounts import seller_of
from billing.services.fapiao import issue_fapiao, refuse_fapiao, request_fapiao
from billing.services.receipts import NoReceipt, Receipt, receipt_of


@needs(Action.RENEW)
def ask(request: HttpRequest, pk: int) -> HttpResponse:
    """For one order: GET asks who it is for, POST records it."""
    order = found(Order.objects.select_related("enterprise"), pk)
    ensure(request, Action.RENEW, order.enterprise)
    form = FapiaoForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            request_fapiao(order=order, buyer=Buyer(**form.cleaned_data), actor=actor(request), now=clock.now())
        except Refused as refused:
            show(form, refused)
        else:
            done(request, _("The fapiao is requested. Finance issues it."))
            return redirect("admin:order_receipt", pk)
    return page(
        request,
        "billing/fapiao_ask.html",
        _("Request a fapiao for %(order)s") % {"order": order.number},
        crumbs=[
            (_("Orders"), reverse("admin:billing_order_changelist")),
            (order.number, reverse("admin:billing_order_change", args=[pk])),
        ],
        form=form,
        order=order,
        status=422 if request.method == "POST" else 200,
    )


@needs(Action.KEEP_BOOKS)
def fapiao_page(request: HttpRequest, pk: int) -> HttpResponse:
    """What was asked for, beside what was paid; two ways to decide."""
    asked = _asked(request, pk)
    return page(
        request,
        "billing/fapiao.html",
        _("Fapiao for %(order)s") % {"order": asked.order.number},
        crumbs=[(_("Fapiao requests"), reverse("admin:billing_fapiaorequest_changelist"))],
        asked=asked,
        may_decide=may(signed_in(request), Action.KEEP_BOOKS, seller_of(asked.order)),
        tone=FAPIAO_TONES[asked.status],
        receipt=_receipt(asked.order),
        zone=asked.enterprise.time_zone,
    )


@require_POST
def issue(request: HttpRequest, pk: int) -> HttpResponse:
    """The fapiao exists: its number."""

    def work(asked: FapiaoRequest) -> None:
        number = request.POST.get("number", "")[:100]
        issue_fapiao(request=asked, number=number, actor=actor(request), now=clock.now())

    return _decided(request, pk, work, _("The fapiao is recorded as issued."))


@require_POST
def refuse_request(request: HttpRequest, pk: int) -> HttpResponse:
    """It is not issued, for a reason."""

    def work(asked: FapiaoRequest) -> None:
        reason = request.POST.get("reason", "")[:1_000]
        refuse_fapiao(request=asked, reason=reason, actor=actor(request), now=clock.now())

    return _decided(request, pk, work, _("The request is refused."))


def _decided(request: HttpRequest, pk: int, work: Callable[[FapiaoRequest], None], sentence: str) -> HttpResponse:
    asked = _asked(request, pk)
    ensure(request, Action.KEEP_BOOKS, seller_of(asked.order))
    try:
        work(asked)
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, sentence)
    return redirect("admin:billing_fapiaorequest_change", pk)


def _receipt(order: Order) -> Receipt | None:
    """What was paid; None for an order whose payment is gone, as after a restore to an earlier point (F102)."""
    try:
        return receipt_of(order, most_lines=0)
    except NoReceipt:
        return None


def _asked(request: HttpRequest, pk: int) -> FapiaoRequest:
    rows = FapiaoRequest.objects.select_related("order__enterprise", "order__merchant__enterprise", "enterprise")
    asked = found(rows, pk)
    ensure(request, Action.KEEP_BOOKS, asked.enterprise)
    return asked
