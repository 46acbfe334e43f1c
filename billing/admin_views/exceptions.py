"""A payment exception: what happened to the money, and one click for each way out, with its consequences first."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.money import format_money
from amp.foundation.pages import actor, done, ensure, found, needs, page, refuse, signed_in
from amp.foundation.services.configuration import refund_threshold
from amp.foundation.services.refusals import Refused
from billing.models import OrderLine, PaymentException, Refund
from billing.orders import ExceptionKind
from billing.refunds import RESOLUTIONS, Resolution, needs_another
from billing.services.accounts import seller_of
from billing.services.case_words import told
from billing.services.resolving import resolve_exception


class Choice(NamedTuple):
    """One way out: its button, and what it does."""

    resolution: Resolution
    button: str
    effects: list[str]


@needs(Action.VIEW)
def exception_page(request: HttpRequest, pk: int) -> HttpResponse:
    """The case with its money and the ways out."""
    case = _found(pk)
    user = signed_in(request)
    may_resolve = may(user, Action.RESOLVE_PAYMENTS, seller_of(case.attempt.order))
    return page(
        request,
        "billing/exception.html",
        case.get_kind_display(),
        crumbs=[
            (_("Exceptions"), reverse("admin:billing_paymentexception_changelist")),
            (case.attempt.order.number, reverse("admin:billing_order_change", args=[case.attempt.order_id])),
        ],
        case=case,
        sentence=_sentence(case),
        told=told(case.facts),
        choices=_choices(case) if may_resolve and not case.resolved_at else [],
        may_resolve=may_resolve,
        refunds=Refund.objects.filter(attempt=case.attempt_id).order_by("-id")[:10],
        zone=case.attempt.order.enterprise.time_zone,
    )


@require_POST
def resolve(request: HttpRequest, pk: int) -> HttpResponse:
    """Do what was chosen, once; a refund needs the right to ask for refunds too."""
    case = _found(pk)
    place = seller_of(case.attempt.order)
    ensure(request, Action.RESOLVE_PAYMENTS, place)
    chosen = request.POST.get("resolution", "")
    try:
        resolution = Resolution(chosen)
    except ValueError:
        refuse(request, Refused.because(_("Choose one of the ways that this case offers.")))
        return redirect("admin:billing_paymentexception_change", pk)
    if resolution is Resolution.REFUND:
        ensure(request, Action.REFUND, place)
    try:
        reason = request.POST.get("reason", "")[:400]
        resolve_exception(exception=case, resolution=resolution, reason=reason, by=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, _("The case is resolved."))
    return redirect("admin:billing_paymentexception_change", pk)


def _found(pk: int) -> PaymentException:
    order = ("attempt__order__enterprise", "attempt__order__merchant__enterprise")
    return found(PaymentException.objects.select_related(*order, "attempt__account"), pk)


def _sentence(case: PaymentException) -> str:
    match ExceptionKind(case.kind):
        case ExceptionKind.AMOUNT_MISMATCH:
            return _("Somebody paid another amount or currency than was asked for. Nothing was renewed by it.")
        case ExceptionKind.MERCHANT_MISMATCH:
            return _("The gateway says that another merchant was paid. Nothing was renewed by it.")
        case ExceptionKind.LATE:
            return _("The money came after the order had ended. The devices were renewed all the same.")
        case ExceptionKind.SECOND_PAYMENT:
            return _("The order was paid before. This payment renewed nothing.")
        case ExceptionKind.UNANSWERED:
            return _("The gateway does not say whether this was paid. If it was, nothing was renewed by it so far.")
    return _("The order is paid, but some of its devices could not be renewed.")


def _choices(case: PaymentException) -> list[Choice]:
    return [_choice(case, each) for each in RESOLUTIONS[ExceptionKind(case.kind)]]


def _choice(case: PaymentException, resolution: Resolution) -> Choice:
    if case.kind == ExceptionKind.UNANSWERED.value:
        return _asking(resolution)
    match resolution:
        case Resolution.KEEP:
            return Choice(resolution, _("Keep the payment"), [_("Nothing moves; your reason stays on the record.")])
        case Resolution.RETRY:
            again = _("The devices are tried once more, now; their period starts when that works.")
            return Choice(
                resolution, _("Try the devices again"), [again, _("What fails again comes back here, with its money.")]
            )
    amount = format_money(case.amount, case.currency, get_language() or "en")
    effects: list[Any] = [_effect_on_devices(case)]
    if needs_another(case.amount, refund_threshold()):
        effects.append(_("Another person has to approve it, because of its amount."))
    return Choice(resolution, _("Refund %(amount)s") % {"amount": amount}, effects)


def _asking(resolution: Resolution) -> Choice:
    """Ways out where nobody knows whether there is money."""
    if resolution is Resolution.RETRY:
        again = _("The gateway is asked within a minute. Money that it tells of is booked, late as it is.")
        return Choice(resolution, _("Ask again"), [again, _("If it stays silent, the case comes back here.")])
    told = _("A notice or a bill of the gateway is still believed, whenever it comes.")
    return Choice(resolution, _("Ask no more"), [_("Nothing moves; your reason stays on the record."), told])


def _effect_on_devices(case: PaymentException) -> str:
    if case.kind == ExceptionKind.LATE.value:
        count = OrderLine.objects.filter(order=case.attempt.order_id, status="APPLIED").count()
        return _("%(n)s devices lose the time that was paid, once the money is back.") % {"n": f"{count:,}"}
    return _("No device is touched: this money has renewed nothing.")
