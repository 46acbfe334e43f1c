"""An order's page: what it changes, the code to scan, and how far it is (Q3, Q6); payments and exceptions behind it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, NotAllowed, may
from amp.foundation.models import Merchant
from amp.foundation.pages import actor, done, ensure, found, needs, page, refuse, signed_in
from amp.foundation.services.refusals import Refused
from amp.foundation.templatetags.amp_display import moment
from billing.admin_views.refunds import refund_parts
from billing.admin_views.transfers import transfer_parts
from billing.models import LineStatus, MoneyEntry, Order, OrderLine, PaymentAttempt, PaymentException, Provider, Refund
from billing.orders import OPEN_ATTEMPTS, SETTLED, OrderStatus
from billing.services.accounts import transfer_account_of
from billing.services.attempts import start_attempt
from billing.services.ordering import cancel_order, confirm_free_order
from devices.lifecycle import State
from devices.qr import qr_svg

SHOWN_LINES = 50


class Step(NamedTuple):
    """One step of the list; `state` is done, now, later or failed."""

    state: str
    title: str
    detail: str
    progress: int | None = None


class LineView(NamedTuple):
    """One device of the order: what it has, what it gets, what it is told."""

    line: OrderLine
    expired: bool
    ends_now: datetime | None
    lock: str
    tone: str


@needs(Action.VIEW)
def order_page(request: HttpRequest, pk: int) -> HttpResponse:
    """The order with its code while it waits; creates nothing."""
    order = found(Order.objects.select_related("enterprise", "plan", "merchant"), pk)
    now = clock.now()
    attempts = list(PaymentAttempt.objects.filter(order=order).select_related("account").order_by("-id"))
    waits = order.status == OrderStatus.PENDING.value and order.expires_at > now
    attempt = next((each for each in attempts if each.status in OPEN_ATTEMPTS and each.expires_at > now), None)
    applied, unapplied = _progress(order)
    user = signed_in(request)
    with timezone.override(order.enterprise.time_zone):
        steps = _steps(order, applied, unapplied)
    return page(
        request,
        "billing/order.html",
        _title(order),
        crumbs=[(_("Orders"), reverse("admin:billing_order_changelist"))],
        order=order,
        zone=order.enterprise.time_zone,
        merchant_id=_masked(Merchant._base_manager.values_list("merchant_id", flat=True).get(pk=order.merchant_id)),
        gateway=attempts[0].account.get_provider_display() if attempts else "",
        is_test=any(each.provider == "sandbox" for each in attempts),
        lines=[_line_view(line) for line in _lines(order)],
        attempts=attempts,
        entries=MoneyEntry.objects.filter(attempt__order=order).order_by("-id")[:SHOWN_LINES],
        attempt=attempt if waits else None,
        qr=qr_svg(attempt.code, _("QR code of the payment")) if waits and attempt and _is_scanned(attempt) else "",
        seconds_left=max(int((order.expires_at - now).total_seconds()), 0),
        waits=waits,
        moving=waits or order.status == OrderStatus.PAID.value,
        steps=steps,
        version=_version(order, attempt, applied, unapplied),
        unapplied=unapplied,
        may_renew=may(user, Action.RENEW, order.enterprise),
        may_confirm=may(user, Action.CONFIRM_FREE_RENEWAL, order.enterprise),
        may_transfer=waits and order.total and transfer_account_of(order.merchant) is not None,
        **refund_parts(order, user),
    )


@needs(Action.VIEW)
def order_status(request: HttpRequest, pk: int) -> HttpResponse:
    """What the page asks every two seconds; a new `version` means that there is something to show."""
    order = found(Order.objects.all(), pk)
    attempt = (
        PaymentAttempt.objects.filter(order=order, status__in=[s.value for s in OPEN_ATTEMPTS]).order_by("-id").first()
    )
    applied, unapplied = _progress(order)
    moving = order.status in {OrderStatus.PENDING.value, OrderStatus.PAID.value}
    state = {"status": order.status, "applied": applied, "devices": order.line_count, "moving": moving}
    return JsonResponse({**state, "version": _version(order, attempt, applied, unapplied)})


@require_POST
def new_code(request: HttpRequest, pk: int) -> HttpResponse:
    """A code to scan: the first, or a new one in the place of one that doesn't work."""
    order = found(Order.objects.select_related("enterprise", "merchant"), pk)
    ensure(request, Action.RENEW, order.enterprise)
    try:
        start_attempt(order=order, now=clock.now(), wall=clock.wall(), new_code="again" in request.POST)
    except Refused as refused:
        refuse(request, refused)
    return redirect("admin:billing_order_change", pk)


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Give up an order that waits for payment."""
    order = found(Order.objects.select_related("enterprise"), pk)
    ensure(request, Action.RENEW, order.enterprise)
    try:
        cancel_order(order=order, actor=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, _("The order is cancelled. Nobody was charged."))
    return redirect("admin:billing_order_change", pk)


@require_POST
def confirm_free(request: HttpRequest, pk: int) -> HttpResponse:
    """Renew where there is nothing to pay, by the word of somebody who may (Q5)."""
    order = found(Order.objects.select_related("enterprise"), pk)
    ensure(request, Action.CONFIRM_FREE_RENEWAL, order.enterprise)
    try:
        confirm_free_order(order=order, user=signed_in(request), now=clock.now())
    except (Refused, NotAllowed) as refused:
        refuse(request, refused)
    return redirect("admin:billing_order_change", pk)


@needs(Action.VIEW)
def payment_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One payment attempt with what it moved."""
    attempt = found(PaymentAttempt.objects.select_related("order__enterprise", "account"), pk)
    return page(
        request,
        "billing/payment.html",
        _("Payment %(number)s") % {"number": attempt.number},
        crumbs=[
            (_("Payments"), reverse("admin:billing_paymentattempt_changelist")),
            (attempt.order.number, reverse("admin:billing_order_change", args=[attempt.order_id])),
        ],
        attempt=attempt,
        entries=MoneyEntry.objects.filter(attempt=attempt).order_by("id"),
        exceptions=PaymentException.objects.filter(attempt=attempt).order_by("-id"),
        refunds=Refund.objects.filter(attempt=attempt).order_by("-id"),
        zone=attempt.order.enterprise.time_zone,
        **transfer_parts(attempt, signed_in(request)),
    )


def _is_scanned(attempt: PaymentAttempt) -> bool:
    """Whether its code is one to scan: that of a bank transfer is a reference to write."""
    return bool(attempt.code) and attempt.provider != Provider.OFFLINE.value


def _title(order: Order) -> str:
    if order.line_count == 1:
        return _("Renew 1 device")
    return _("Renew %(n)s devices") % {"n": f"{order.line_count:,}"}


def _lines(order: Order) -> list[OrderLine]:
    rows = OrderLine.objects.filter(order=order).select_related("device__service", "device__presence").order_by("id")
    return list(rows[:SHOWN_LINES])


def _line_view(line: OrderLine) -> LineView:
    service = line.device.service
    expired = service.state == State.EXPIRED.value
    if not expired:
        return LineView(line, expired, service.ends_at, _("no command"), "grey")
    word = _("unlock") if line.device.presence.is_online else _("unlock when online")
    return LineView(line, expired, service.ends_at or service.state_since, word, "blue")


def _progress(order: Order) -> tuple[int, int]:
    """Lines applied and lines that could not be; one query only once there is money."""
    if order.status not in {each.value for each in SETTLED}:
        return 0, 0
    counted = OrderLine.objects.filter(order=order).values_list("status", flat=True)
    states = list(counted) if order.line_count <= SHOWN_LINES else None
    if states is not None:
        return states.count(LineStatus.APPLIED.value), states.count(LineStatus.UNAPPLIED.value)
    return (
        counted.filter(status=LineStatus.APPLIED.value).count(),
        counted.filter(status=LineStatus.UNAPPLIED.value).count(),
    )


def _version(order: Order, attempt: Any, applied: int, unapplied: int) -> str:
    return f"{order.status}.{attempt.pk if attempt else 0}.{attempt.status if attempt else ''}.{applied}.{unapplied}"


def _steps(order: Order, applied: int, unapplied: int) -> list[Step]:
    created = Step(
        "done", _("Order created"), _("%(at)s by %(who)s") % {"at": moment(order.created_at), "who": order.created_by}
    )
    return [created, _payment_step(order), *_renewal_steps(order, applied, unapplied)]


def _payment_step(order: Order) -> Step:
    if order.paid_at:
        title = _("Paid") if order.total else _("Confirmed without payment")
        return Step("done", title, moment(order.paid_at))
    match order.status:
        case OrderStatus.EXPIRED.value:
            return Step(
                "failed", _("Not paid in time"), _("The order expired %(at)s") % {"at": moment(order.expires_at)}
            )
        case OrderStatus.CANCELLED.value:
            return Step("failed", _("Cancelled"), moment(order.closed_at))
    if not order.total:
        return Step("now", _("Waiting for confirmation"), _("There is nothing to pay"))
    return Step("now", _("Waiting for payment"), _("This page updates by itself"))


def _renewal_steps(order: Order, applied: int, unapplied: int) -> list[Step]:
    over = order.status in {
        OrderStatus.FULFILLED.value,
        OrderStatus.PARTIALLY_FULFILLED.value,
        OrderStatus.REFUNDED.value,
    }
    paid = order.status == OrderStatus.PAID.value
    share = round(100 * (applied + unapplied) / order.line_count) if paid or over else None
    counts = _("%(n)s of %(all)s") % {"n": f"{applied:,}", "all": f"{order.line_count:,}"}
    renewing = Step(
        "done" if over else "now" if paid else "later", _("Renewing devices"), counts if paid or over else "", share
    )
    if over and unapplied:
        left = _("%(n)s could not be renewed; their money is refundable") % {"n": f"{unapplied:,}"}
        return [renewing, Step("failed", _("Done, with devices left out"), left)]
    return [renewing, Step("done" if over else "later", _("Done"), moment(order.fulfilled_at) if over else "")]


def _masked(merchant_id: str) -> str:
    """The first and last two characters: enough to recognise, too little to use."""
    return f"{merchant_id[:2]}…{merchant_id[-2:]}"
