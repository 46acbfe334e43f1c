"""An order's page: what it changes, the code to scan, and how far it is (Q3, Q6); payments and exceptions behind it."""

from __future__ import annotations

from typing import NamedTuple

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, NotAllowed, may
from amp.foundation.models import Merchant
from amp.foundation.pages import actor, done, ensure, found, needs, page, refuse, signed_in
from amp.foundation.services.refusals import Refused
from amp.foundation.templatetags.amp_display import actor_name, moment
from billing.admin_views.batch import title_of
from billing.admin_views.order_codes import mark_of, screen_of
from billing.admin_views.order_lines import Standing, lines_of, standing_of
from billing.admin_views.refunds import refund_parts
from billing.admin_views.transfers import transfer_parts
from billing.models import MoneyEntry, Order, PaymentAttempt, PaymentException, Refund, RenewalSelection
from billing.orders import OrderStatus
from billing.services.accounts import seller_of, transfer_account_of
from billing.services.fulfilment import retry_fulfilment
from billing.services.links import token_of
from billing.services.ordering import cancel_order, confirm_free_order
from billing.services.paying import ask_on_screen
from billing.services.quoting import refusal_text


class Step(NamedTuple):
    """One step of the list; `state` is done, now, later or failed."""

    state: str
    title: str
    detail: str
    progress: int | None = None


@needs(Action.VIEW)
def order_page(request: HttpRequest, pk: int) -> HttpResponse:
    """The order with its code while it waits; creates nothing."""
    order = found(Order.objects.select_related("enterprise", "plan", "merchant__enterprise"), pk)
    now = clock.now()
    attempts = list(PaymentAttempt.objects.filter(order=order).select_related("account").order_by("-id"))
    waits = order.status == OrderStatus.PENDING.value and order.expires_at > now
    screen = screen_of(order, attempts, now) if waits and order.total else None
    standing = standing_of(order)
    user = signed_in(request)
    with timezone.override(order.enterprise.time_zone):
        steps = _steps(order, standing)
    return page(
        request,
        "billing/order.html",
        title_of(order.line_count),
        crumbs=[(_("Orders"), reverse("admin:billing_order_changelist"))],
        order=order,
        zone=order.enterprise.time_zone,
        merchant_id=_masked(Merchant._base_manager.values_list("merchant_id", flat=True).get(pk=order.merchant_id)),
        gateway=attempts[0].account.get_provider_display() if attempts else "",
        is_test=any(each.provider == "sandbox" for each in attempts),
        lines=lines_of(request, order, standing),
        attempts=attempts,
        cases=PaymentException.objects.filter(attempt__in=attempts, resolved_at=None).order_by("id"),
        screen=screen,
        attempt=screen.attempt if screen else None,
        waits=waits,
        moving=waits or (order.status == OrderStatus.PAID.value and not _is_stuck(order)),
        steps=steps,
        version=_version(order, screen.mark if screen else mark_of(attempts, has_link=False), standing),
        unapplied=standing.unapplied,
        left_out=_left_out(order),
        selection=_selection(request, order) if waits else None,
        stuck=_is_stuck(order),
        may_renew=may(user, Action.RENEW, order.enterprise),
        may_confirm=may(user, Action.CONFIRM_FREE_RENEWAL, seller_of(order)),
        may_transfer=waits and order.total and transfer_account_of(order.merchant) is not None,
        **refund_parts(order, user),
    )


@needs(Action.VIEW)
def order_status(request: HttpRequest, pk: int) -> HttpResponse:
    """What the page asks every two seconds; a new `version` means that there is something to show."""
    order = found(Order.objects.all(), pk)
    attempts = PaymentAttempt.objects.filter(order=order).order_by("-id")
    waits = order.status == OrderStatus.PENDING.value and order.expires_at > clock.now() and order.total
    mark = mark_of(attempts, has_link=bool(waits and token_of(order)))
    standing = standing_of(order)
    moving = order.status in {OrderStatus.PENDING.value, OrderStatus.PAID.value} and not _is_stuck(order)
    state = {
        "status": order.status,
        "applied": standing.applied,
        "unapplied": standing.unapplied,
        "devices": order.line_count,
        "moving": moving,
    }
    return JsonResponse({**state, "version": _version(order, mark, standing)})


@require_POST
def new_code(request: HttpRequest, pk: int) -> HttpResponse:
    """A code to scan: the first, another wallet's, or a new one in the place of one that doesn't work."""
    order = found(Order.objects.select_related("enterprise", "merchant"), pk)
    ensure(request, Action.RENEW, order.enterprise)
    wallet, again = request.POST.get("wallet", ""), "again" in request.POST
    try:
        ask_on_screen(order=order, provider=wallet, new_code=again, now=clock.now(), wall=clock.wall())
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
    ensure(request, Action.CONFIRM_FREE_RENEWAL, seller_of(order))
    try:
        confirm_free_order(order=order, user=signed_in(request), now=clock.now())
    except (Refused, NotAllowed) as refused:
        refuse(request, refused)
    return redirect("admin:billing_order_change", pk)


@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Let the workers try again what they had given up (F15)."""
    order = found(Order.objects.select_related("enterprise"), pk)
    ensure(request, Action.RENEW, order.enterprise)
    retry_fulfilment(order=order, actor=actor(request), now=clock.now())
    done(request, _("The renewal goes on where it stopped."))
    return redirect("admin:billing_order_change", pk)


@needs(Action.VIEW)
def payment_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One payment attempt with what it moved."""
    rows = PaymentAttempt.objects.select_related("order__enterprise", "order__merchant__enterprise", "account")
    attempt = found(rows, pk)
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


def _left_out(order: Order) -> list[tuple[str, int]]:
    """What was chosen and is not in the order: why, and how many (F35)."""
    return [(refusal_text(code), number) for code, number in (order.left_out or {}).items()]


def _selection(request: HttpRequest, order: Order) -> RenewalSelection | None:
    """What the reader chose and ordered here, as long as it is kept."""
    return RenewalSelection.objects.filter(order=order, owner=signed_in(request)).first() if order.left_out else None


def _is_stuck(order: Order) -> bool:
    """Given up by the workers: it waits for a person (house pattern 3)."""
    return order.status == OrderStatus.PAID.value and order.due_at is None


def _version(order: Order, mark: str, standing: Standing) -> str:
    return f"{order.status}.{mark}.{standing.applied}.{standing.unapplied}.{_is_stuck(order)}"


def _steps(order: Order, standing: Standing) -> list[Step]:
    created = Step(
        "done",
        _("Order created"),
        _("%(at)s by %(who)s") % {"at": moment(order.created_at), "who": actor_name(order.created_by)},
    )
    return [created, _payment_step(order), *_renewal_steps(order, standing)]


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


def _renewal_steps(order: Order, standing: Standing) -> list[Step]:
    over = order.status in {
        OrderStatus.FULFILLED.value,
        OrderStatus.PARTIALLY_FULFILLED.value,
        OrderStatus.REFUNDED.value,
    }
    renewing = _renewing_step(order, standing, over)
    if over and standing.unapplied:
        left = ngettext(
            "%(n)s device could not be renewed; its money is refundable",
            "%(n)s devices could not be renewed; their money is refundable",
            standing.unapplied,
        )
        return [renewing, Step("failed", _("Done, with devices left out"), left % {"n": f"{standing.unapplied:,}"})]
    return [renewing, Step("done" if over else "later", _("Done"), moment(order.fulfilled_at) if over else "")]


def _renewing_step(order: Order, standing: Standing, over: bool) -> Step:
    if order.status != OrderStatus.PAID.value and not over:
        return Step("later", _("Renewing devices"), "")
    counts = _("%(n)s of %(all)s") % {"n": f"{standing.applied:,}", "all": f"{order.line_count:,}"}
    share = 100 * (standing.applied + standing.unapplied) // order.line_count
    if _is_stuck(order):
        return Step("failed", _("Stopped by a fault"), counts, share)
    return Step("done" if over else "now", _("Renewing devices"), counts, share)


def _masked(merchant_id: str) -> str:
    """The first and last two characters: enough to recognise, too little to use."""
    return f"{merchant_id[:2]}…{merchant_id[-2:]}"
