"""Refunds: what goes back and what becomes of each device, before the button; then the second person (F44)."""

from __future__ import annotations

import secrets
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.models import Enterprise, User
from amp.foundation.money import decimal_text
from amp.foundation.pages import actor, done, ensure, found, needs, page, refuse, show, signed_in
from amp.foundation.services.configuration import refund_threshold
from amp.foundation.services.refusals import Refused
from billing.forms.payments import RefundForm
from billing.models import BankPayout, Effect, Order, PaymentAttempt, Refund, RefundLine
from billing.refunds import SYSTEM, RefundStatus, needs_another
from billing.services.accounts import seller_of
from billing.services.fulfilment import is_stuck
from billing.services.offline import confirm_payout, record_payout, reject_payout
from billing.services.refund_proposals import SECOND_PAYMENT
from billing.services.refund_quotes import PlannedLine, RefundQuote, plan_refund, quote_refund
from billing.services.refund_work import retry_refund
from billing.services.refunds import approve_refund, check_wish, reject_refund, request_refund

SHOWN_LINES = 50
ORDER = ("order__enterprise", "order__merchant__enterprise")


def refund_parts(order: Order, user: User) -> dict[str, Any]:
    """What an order's page shows of refunds; see billing/order_refunds.html."""
    refunds = list(Refund.objects.filter(order=order).order_by("-id")[:SHOWN_LINES])
    is_done = order.status in {"FULFILLED", "PARTIALLY_FULFILLED"} or is_stuck(order)
    may_refund = bool(order.total) and is_done
    return {"refunds": refunds, "may_refund": may_refund and may(user, Action.REFUND, seller_of(order))}


@needs(Action.REFUND)
def order_refund(request: HttpRequest, pk: int) -> HttpResponse:
    """GET shows what can be given back and what the typed refund would do; POST asks for it."""
    order = found(Order.objects.select_related("enterprise", "merchant__enterprise"), pk)
    ensure(request, Action.REFUND, seller_of(order))
    now = clock.now()
    asked = request.POST if request.method == "POST" else request.GET
    chosen = _chosen(asked)
    every = quote_refund(order=order, now=now)
    quoted = RefundQuote([each for each in every.lines if each.line.pk in chosen] if chosen else every.lines)
    form = _form(asked, order, quoted)
    plan: list[PlannedLine] = []
    if form.is_bound and form.is_valid():
        try:
            if request.method == "POST":
                return _requested(request, order, form, chosen)
            plan = _planned(form, quoted)
        except Refused as refused:
            show(form, refused)
    return _page(request, order, every, quoted, form, plan)


@needs(Action.VIEW)
def refund_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One refund: how far it is, and what each device lost by it."""
    refund = found(Refund.objects.select_related(*ORDER, "attempt__account", "exception"), pk)
    user, place = signed_in(request), seller_of(refund.order)
    waits = refund.status == RefundStatus.REQUESTED.value
    payout = BankPayout.objects.filter(refund_number=refund.number).first()
    return page(
        request,
        "billing/refund.html",
        _("Refund %(number)s") % {"number": refund.number},
        crumbs=[
            (_("Refunds"), reverse("admin:billing_refund_changelist")),
            (refund.order.number, reverse("admin:billing_order_change", args=[refund.order_id])),
        ],
        refund=refund,
        lines=RefundLine.objects.filter(refund=refund).select_related("line__device").order_by("pk")[:SHOWN_LINES],
        reason=_(refund.reason) if refund.reason == SECOND_PAYMENT else refund.reason,
        is_proposal=refund.requested_by == SYSTEM,
        needs_two=needs_another(refund.attempt.refunded, refund_threshold()),
        may_approve=waits and may(user, Action.APPROVE_REFUND, place) and refund.requested_by != user.email,
        own=waits and refund.requested_by == user.email,
        may_retry=refund.status in {"APPROVED", "PROCESSING"} and may(user, Action.REFUND, place),
        **_payout_parts(payout, user, place),
        zone=refund.order.enterprise.time_zone,
    )


def _payout_parts(payout: BankPayout | None, user: User, place: Enterprise) -> dict[str, Any]:
    """What the page shows of a refund by bank transfer: who may pay it out, confirm it, reject it."""
    if payout is None or payout.confirmed_at or payout.rejected_at:
        return {"payout": payout}
    is_other = payout.recorded_by != user.email and may(user, Action.CONFIRM_TRANSFER, place)
    return {
        "payout": payout,
        "may_pay_out": not payout.recorded_at and may(user, Action.RECORD_TRANSFER, place),
        "may_confirm": bool(payout.recorded_at) and is_other,
        "may_reject_payout": is_other,
    }


@require_POST
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Approve, reject or look again: one button each."""
    refund = found(Refund.objects.select_related(*ORDER), pk)
    verb = request.POST.get("decision", "")
    ensure(request, Action.REFUND if verb == "retry" else Action.APPROVE_REFUND, seller_of(refund.order))
    who, now = actor(request), clock.now()
    try:
        match verb:
            case "approve":
                refund = approve_refund(refund=refund, by=who, now=now)
                is_on = refund.status != RefundStatus.REQUESTED.value
                done(request, _("The refund is on its way.") if is_on else _("Now another person has to approve it."))
            case "reject":
                reject_refund(refund=refund, by=who, reason=request.POST.get("reason", ""), now=now)
                done(request, _("The refund is rejected. The money stays where it was."))
            case "retry":
                retry_refund(refund=refund, actor=who, now=now)
                done(request, _("The gateway is asked again now."))
    except Refused as refused:
        refuse(request, refused)
    return redirect("admin:billing_refund_change", pk)


@require_POST
def payout(request: HttpRequest, pk: int) -> HttpResponse:
    """A refund by bank transfer: one person has paid it, another confirms, or rejects it."""
    refund = found(Refund.objects.select_related(*ORDER), pk)
    row = found(BankPayout.objects.filter(refund_number=refund.number), _payout_id(refund))
    confirms, rejects = "confirm" in request.POST, "reject" in request.POST
    action = Action.CONFIRM_TRANSFER if confirms or rejects else Action.RECORD_TRANSFER
    ensure(request, action, seller_of(refund.order))
    try:
        if rejects:
            reason = request.POST.get("reason", "")[:400]
            reject_payout(payout=row, reason=reason, by=actor(request), now=clock.now())
            done(request, _("The payout is rejected. The money can be refunded anew."))
        elif confirms:
            confirm_payout(payout=row, by=actor(request), now=clock.now())
            done(request, _("The money is back."))
        else:
            reference = request.POST.get("reference", "")[:200]
            record_payout(payout=row, reference=reference, by=actor(request), now=clock.now())
            done(request, _("Recorded. Another person confirms it."))
    except Refused as refused:
        refuse(request, refused)
    return redirect("admin:billing_refund_change", pk)


def _payout_id(refund: Refund) -> int:
    row = BankPayout.objects.filter(refund_number=refund.number).values_list("pk", flat=True).first()
    return int(row or 0)


def _chosen(asked: QueryDict) -> set[int]:
    given = asked.getlist("line")
    return {int(each) for each in given[:10_000] if each.isascii() and each.isdecimal() and len(each) < 19}


def _form(asked: QueryDict, order: Order, quoted: RefundQuote) -> RefundForm:
    is_single = len(quoted.lines) == 1
    usual = decimal_text(quoted.suggested or quoted.refundable, order.currency)
    data = asked if "amount" in asked else None
    return RefundForm(data, currency=order.currency, is_single=is_single, initial={"amount": usual})


def _given_back(order: Order) -> int:
    settling = PaymentAttempt.objects.filter(order=order, settles=True)
    return int(settling.values_list("refunded", flat=True).first() or 0)


def _planned(form: RefundForm, quoted: RefundQuote) -> list[PlannedLine]:
    given = form.cleaned_data
    check_wish(given["amount"], given.get("days"), quoted)
    effect = Effect(given["effect"])
    return plan_refund(quoted, amount=given["amount"], effect=effect, days=given.get("days"), now=clock.now())


def _requested(request: HttpRequest, order: Order, form: RefundForm, chosen: set[int]) -> HttpResponse:
    given = form.cleaned_data
    refund = request_refund(
        order=order,
        effect=Effect(given["effect"]),
        reason=given["reason"],
        asked_by=actor(request),
        amount=given["amount"],
        days=given.get("days"),
        line_ids=sorted(chosen) or None,
        once_key=request.POST.get("once_key", "")[:64] or None,
        now=clock.now(),
    )
    waits = refund.status == RefundStatus.REQUESTED.value
    done(request, _("Another person has to approve the refund.") if waits else _("The refund is on its way."))
    return redirect("admin:billing_refund_change", refund.pk)


def _page(
    request: HttpRequest,
    order: Order,
    every: RefundQuote,
    quoted: RefundQuote,
    form: RefundForm,
    plan: list[PlannedLine],
) -> HttpResponse:
    ticked = _chosen(request.POST or request.GET)
    ends = {each.line.pk: each for each in plan}
    amount = sum(each.amount for each in plan)
    return page(
        request,
        "billing/refund_form.html",
        _("Refund order %(number)s") % {"number": order.number},
        crumbs=[
            (_("Orders"), reverse("admin:billing_order_changelist")),
            (order.number, reverse("admin:billing_order_change", args=[order.pk])),
        ],
        order=order,
        rows=[(each, each.line.pk in ticked, ends.get(each.line.pk)) for each in every.lines[:SHOWN_LINES]],
        rest=max(len(every.lines) - SHOWN_LINES, 0),
        quoted=quoted,
        form=form,
        plan=plan,
        amount=amount,
        loses=sum(1 for each in plan if each.ends_at != each.new_ends_at),
        stops=sum(1 for each in plan if each.ends_at and each.new_ends_at and each.new_ends_at <= clock.now()),
        given=form.cleaned_data if plan else {},
        needs_two=needs_another(amount + _given_back(order), refund_threshold()),
        picked=sorted(ticked),
        once_key=request.POST.get("once_key") or secrets.token_urlsafe(16),
        zone=order.enterprise.time_zone,
        status=422 if request.method == "POST" else 200,
    )
