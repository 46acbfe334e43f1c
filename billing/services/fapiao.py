"""Requests for a fapiao: recorded, then issued or refused by finance, each step once and in the audit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.refusals import Problem, Refused
from billing.fapiao import CURRENCY, NUMBER, Buyer, FapiaoStatus, Fault, faults, is_final
from billing.models import FapiaoRequest, Order
from billing.services.receipts import receipt_of

LONGEST_REASON = 200
SENTENCES: dict[Fault, str | Promise] = {
    Fault.TITLE: gettext_lazy("Write the buyer's name as it is registered, in 1 to 100 characters."),
    Fault.TAX_NUMBER: gettext_lazy("A tax number has 15 to 20 capital letters and digits, and nothing else."),
    Fault.E_MAIL: gettext_lazy("Write one e-mail address, such as accounts@example.com."),
}


class FapiaoRefused(Refused):
    """The request can't be recorded, or can't become what was asked."""


@transaction.atomic
def request_fapiao(*, order: Order, buyer: Buyer, actor: str, now: datetime) -> FapiaoRequest:
    """Record that somebody asks for the fapiao of a paid order, over what was paid and not refunded.

    Raises FapiaoRefused, with each fault beside its field, and NoReceipt while the order isn't paid.
    """
    buyer = buyer.tidied()
    locked = Order.objects.select_for_update(no_key=True, of=("self",)).select_related("enterprise").get(pk=order.pk)
    amount = _amount(locked)
    found = [Problem(fault.value, str(SENTENCES[fault])) for fault in faults(buyer)]
    if found:
        raise FapiaoRefused(found)
    made = FapiaoRequest.objects.create(
        enterprise_id=locked.enterprise_id,
        order=locked,
        title=buyer.title,
        tax_number=buyer.tax_number,
        email=buyer.email,
        amount=amount,
        currency=locked.currency,
        requested_at=now,
        requested_by=actor[:160],
    )
    _record(made, "fapiao.requested", actor, now, after={"amount": amount, "currency": made.currency})
    return made


@transaction.atomic
def issue_fapiao(*, request: FapiaoRequest, number: str, actor: str, now: datetime) -> FapiaoRequest:
    """Record that the fapiao exists, by its number. Raises FapiaoRefused."""
    number = "".join(number.split()).upper()
    if not NUMBER.fullmatch(number):
        raise FapiaoRefused.because(_("A fapiao number has 8 to 24 letters and digits."), "number")
    locked = _open(request)
    locked.number = number
    return _decide(locked, FapiaoStatus.ISSUED, actor, now, why="")


@transaction.atomic
def refuse_fapiao(*, request: FapiaoRequest, reason: str, actor: str, now: datetime) -> FapiaoRequest:
    """Refuse it for a reason that the buyer reads; it may be asked for again. Raises FapiaoRefused."""
    reason = " ".join(reason.split())
    if not 0 < len(reason) <= LONGEST_REASON:
        raise FapiaoRefused.because(_("Say why, in 1 to 200 characters: the buyer reads it."), "reason")
    locked = _open(request)
    locked.reason = reason
    return _decide(locked, FapiaoStatus.REFUSED, actor, now, why=reason)


def latest_fapiao(order: Order) -> FapiaoRequest | None:
    """The newest request of an order."""
    found: FapiaoRequest | None = FapiaoRequest.objects.filter(order=order).order_by("-pk").first()
    return found


def _amount(order: Order) -> int:
    """What a fapiao is about; the order is locked, so that two requests at once see each other."""
    if order.currency != CURRENCY:
        raise FapiaoRefused.because(_("A fapiao exists for payments in CNY only."))
    if FapiaoRequest.objects.filter(order=order).exclude(status=FapiaoStatus.REFUSED.value).exists():
        raise FapiaoRefused.because(_("A fapiao was asked for already. One order has one fapiao."))
    amount = receipt_of(order, most_lines=0).remaining
    if amount <= 0:
        raise FapiaoRefused.because(_("There is nothing to issue a fapiao for: nothing was paid, or all was refunded."))
    return amount


def _open(request: FapiaoRequest) -> FapiaoRequest:
    locked: FapiaoRequest = FapiaoRequest.objects.select_for_update(no_key=True).get(pk=request.pk)
    if is_final(FapiaoStatus(locked.status)):
        raise FapiaoRefused.because(_("Somebody has decided about this request already."))
    return locked


def _decide(locked: FapiaoRequest, status: FapiaoStatus, actor: str, now: datetime, *, why: str) -> FapiaoRequest:
    before = locked.status
    locked.status, locked.decided_at, locked.decided_by = status.value, now, actor[:160]
    locked.save(update_fields=["status", "number", "reason", "decided_at", "decided_by"])
    kind = "fapiao.issued" if status is FapiaoStatus.ISSUED else "fapiao.refused"
    after: dict[str, Any] = {"status": locked.status, **({"number": locked.number} if locked.number else {})}
    _record(locked, kind, actor, now, before={"status": before}, after=after, why=why)
    return locked


def _record(
    request: FapiaoRequest,
    kind: str,
    actor: str,
    now: datetime,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    why: str = "",
) -> None:
    """Of the order, where people look; tax number and address stay out of the audit."""
    draft = EventDraft(kind, f"order:{request.order_id}", request.enterprise_id, now, actor, why, before, after)
    record_event(draft, now=now)
