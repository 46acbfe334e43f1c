"""Whom a request is about: an account, the address of an invitation or of a fapiao, a payer, an order's payer (X6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.utils.translation import gettext as _

from amp.foundation.models import Invitation, User
from amp.foundation.services.refusals import Refused
from amp.personal.rewriting import Trace, TraceKind, is_pseudonym
from billing.models import FapiaoRequest, Order, PaymentAttempt


class PersonRefused(Refused):
    """Nobody is meant, or not like this."""


class Person(NamedTuple):
    """`traces` are the texts by which the person can be told; `orders` are what they paid for without an account."""

    user: User | None
    traces: tuple[Trace, ...]
    orders: tuple[int, ...] = ()


def find_person(asked: str, also: Iterable[str] = ()) -> Person:
    """The person of an e-mail address, a payer's id at a gateway, or an order number. Raises PersonRefused.

    `also` are further texts about the same person, such as a phone number that somebody typed into a reason.
    """
    asked = asked.strip()
    found = _by_address(asked) if "@" in asked else _by_order(asked) or _by_payer(asked)
    if found is None or is_pseudonym(asked.lower()):
        raise PersonRefused.because(_("Nothing is held about anybody by that name."), "asked")
    more = [Trace(TraceKind.NUMBER, text.strip()) for text in also if text.strip()]
    return found._replace(traces=tuple(dict.fromkeys([*found.traces, *more])))


def _by_address(email: str) -> Person | None:
    user = User.objects.filter(email=email.lower()).first()
    names = list(Invitation.objects.filter(email__iexact=email).values_list("full_name", flat=True))
    papers = FapiaoRequest.objects.filter(email__iexact=email).values_list("order_id", flat=True)
    if user is None and not names and not papers:
        return None
    found = [Trace(TraceKind.EMAIL, email.lower())]
    found += [Trace(TraceKind.NAME, name.strip()) for name in [user.full_name if user else "", *names]]
    return Person(user, _told(found), () if user else tuple(sorted(set(papers))))


def _by_order(number: str) -> Person | None:
    order = Order.objects.filter(number=number.upper()).first()
    return _of_orders({order.pk}) if order else None


def _by_payer(payer: str) -> Person | None:
    orders = set(PaymentAttempt.objects.filter(payer_id=payer).values_list("order_id", flat=True)) if payer else None
    return _of_orders(orders) if orders else None


def _of_orders(orders: set[int]) -> Person:
    """Whoever paid for these orders, at the gateway or by the fapiao; staff who made the orders are other people."""
    payers = PaymentAttempt.objects.filter(order__in=orders).exclude(payer_id="").values_list("payer_id", flat=True)
    found = [Trace(TraceKind.PAYER, payer) for payer in payers]
    same = PaymentAttempt.objects.filter(payer_id__in=[trace.text for trace in found])
    orders |= set(same.values_list("order_id", flat=True))
    staff = set(User.objects.values_list("email", flat=True))
    papers = FapiaoRequest.objects.filter(order__in=orders).values_list("email", flat=True)
    found += [Trace(TraceKind.EMAIL, email.lower()) for email in papers if email.lower() not in staff]
    return Person(None, _told(found), tuple(sorted(orders)))


def _told(traces: Iterable[Trace]) -> tuple[Trace, ...]:
    """Each once; not what was replaced before."""
    return tuple(dict.fromkeys(trace for trace in traces if trace.text and not is_pseudonym(trace.text)))
