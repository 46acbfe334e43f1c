"""Bank transfers on a payment's page: recorded by one person, confirmed by another."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.models import User
from amp.foundation.money import decimal_text
from amp.foundation.pages import actor, done, ensure, found, refuse, signed_in
from amp.foundation.services.refusals import Problem, Refused
from billing.forms.payments import ReceiptForm
from billing.models import BankReceipt, Order, PaymentAttempt, Provider
from billing.services.accounts import seller_of, transfer_account_of
from billing.services.attempts import start_attempt
from billing.services.offline import confirm_receipt, record_receipt, reject_receipt


def transfer_parts(attempt: PaymentAttempt, user: User) -> dict[str, Any]:
    """What a payment's page shows of its bank transfer; see billing/payment_transfer.html."""
    if attempt.provider != Provider.OFFLINE.value:
        return {}
    place = seller_of(attempt.order)
    usual = {"amount": decimal_text(attempt.amount, attempt.currency)}
    return {
        "is_transfer": True,
        "receipts": BankReceipt.objects.filter(number=attempt.number).order_by("-id"),
        "me": user.email,
        "receipt_form": ReceiptForm(currency=attempt.currency, initial=usual)
        if may(user, Action.RECORD_TRANSFER, place)
        else None,
        "may_confirm": may(user, Action.CONFIRM_TRANSFER, place),
    }


@require_POST
def ask_for_transfer(request: HttpRequest, pk: int) -> HttpResponse:
    """Let the customer pay by bank transfer: the payment's page shows the reference to write on it."""
    order = found(Order.objects.select_related("enterprise", "merchant"), pk)
    ensure(request, Action.RENEW, order.enterprise)
    account = transfer_account_of(order.merchant)
    try:
        if account is None:
            raise Refused.because(_("The seller has no account for bank transfers."))
        attempt = start_attempt(
            order=order, now=clock.now(), wall=clock.wall(), provider_account=account, new_code=True
        )
    except Refused as refused:
        refuse(request, refused)
        return redirect("admin:billing_order_change", pk)
    return redirect("admin:billing_paymentattempt_change", attempt.pk)


@require_POST
def receipt(request: HttpRequest, pk: int) -> HttpResponse:
    """Record what the bank shows."""
    attempt = found(PaymentAttempt.objects.select_related("order__enterprise", "order__merchant__enterprise"), pk)
    ensure(request, Action.RECORD_TRANSFER, seller_of(attempt.order))
    form = ReceiptForm(request.POST, currency=attempt.currency)
    try:
        if not form.is_valid():
            raise Refused([Problem(name, f"{form[name].label}: {each[0]}") for name, each in form.errors.items()])
        given = form.cleaned_data
        zone = ZoneInfo(attempt.order.enterprise.time_zone)
        record_receipt(
            attempt=attempt,
            amount=given["amount"],
            currency=attempt.currency,
            reference=given["reference"],
            received_at=datetime.combine(given["received_on"], time.min, zone),
            by=actor(request),
            now=clock.now(),
        )
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, _("Recorded. Another person has to confirm it; until then nothing is paid."))
    return redirect("admin:billing_paymentattempt_change", pk)


@require_POST
def decide(request: HttpRequest, pk: int, receipt_pk: int) -> HttpResponse:
    """Confirm or reject a recorded receipt."""
    attempt = found(PaymentAttempt.objects.select_related("order__enterprise", "order__merchant__enterprise"), pk)
    row = found(BankReceipt.objects.filter(number=attempt.number), receipt_pk)
    is_own = row.recorded_by == signed_in(request).email and "reject" in request.POST
    ensure(request, Action.RECORD_TRANSFER if is_own else Action.CONFIRM_TRANSFER, seller_of(attempt.order))
    try:
        if "reject" in request.POST:
            reject_receipt(receipt=row, by=actor(request), now=clock.now())
            done(request, _("The receipt is rejected."))
        else:
            confirm_receipt(receipt=row, by=actor(request), now=clock.now())
            done(request, _("The receipt is confirmed."))
    except Refused as refused:
        refuse(request, refused)
    return redirect("admin:billing_paymentattempt_change", pk)
