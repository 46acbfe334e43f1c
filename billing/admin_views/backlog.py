"""Payments > Overview: what waits, how many and since when, each a link to its rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.foundation import clock
from amp.foundation.access import Action, reading_zone
from amp.foundation.pages import needs, page, signed_in
from billing.services.backlog import FAILED_DAYS, FOR_PEOPLE, Heap, Waiting, backlog, reader_of


class Row(NamedTuple):
    """One line of the page. `tone` is red where a person is needed, amber where something should move by itself."""

    title: Any
    hint: Any
    heap: Heap
    # Of the oldest, seconds.
    age: int
    url: str
    tone: str


class Line(NamedTuple):
    """How a kind of work is shown: its words, the list that holds it, the filter, and who it waits for."""

    title: Any
    hint: Any
    listing: str
    query: str
    tone: str


PAYMENTS, REFUNDS = "admin:billing_paymentattempt_changelist", "admin:billing_refund_changelist"
LINES = {
    Waiting.EXCEPTIONS: Line(
        gettext_lazy("Open exceptions"),
        gettext_lazy("Money that needs a decision"),
        "admin:billing_paymentexception_changelist",
        "open=ours",
        "red",
    ),
    Waiting.ORDERS_STUCK: Line(
        gettext_lazy("Paid orders given up"),
        gettext_lazy("Paid, but the devices could not be renewed"),
        "admin:billing_order_changelist",
        "stuck=yes",
        "red",
    ),
    Waiting.REFUND_STUCK: Line(
        gettext_lazy("Refunds whose devices were given up"),
        gettext_lazy("The money is back, the devices could not be shortened"),
        REFUNDS,
        "status=SUCCEEDED",
        "red",
    ),
    Waiting.REFUND_FAILED: Line(
        gettext_lazy("Refunds failed, last 30 days"),
        gettext_lazy("The money is where it was; ask anew"),
        REFUNDS,
        "status=FAILED",
        "red",
    ),
    Waiting.BILLS: Line(
        gettext_lazy("Gateway bills that could not be fetched"),
        gettext_lazy("Try again, or upload them"),
        "admin:bill_fetches",
        "",
        "red",
    ),
    Waiting.REQUESTED: Line(
        gettext_lazy("Refunds to approve"),
        gettext_lazy("A person has to say yes or no"),
        REFUNDS,
        "status=REQUESTED",
        "amber",
    ),
    Waiting.RECEIPTS: Line(
        gettext_lazy("Bank transfers to confirm"),
        gettext_lazy("Recorded by one person, not yet paid"),
        PAYMENTS,
        "provider=offline&status=PENDING",
        "amber",
    ),
    Waiting.PAYOUTS: Line(
        gettext_lazy("Refunds to pay by bank transfer"),
        gettext_lazy("To be paid out or confirmed by hand"),
        REFUNDS,
        "status=PROCESSING",
        "amber",
    ),
    Waiting.UNKNOWN: Line(
        gettext_lazy("Payments with unknown outcome"),
        gettext_lazy("The gateway did not answer; it is asked again by itself, for a week"),
        PAYMENTS,
        "status=UNKNOWN",
        "amber",
    ),
    Waiting.REFUNDING: Line(
        gettext_lazy("Refunds in progress"),
        gettext_lazy("The gateway is asked until it says how they ended"),
        REFUNDS,
        "status=PROCESSING",
        "blue",
    ),
    Waiting.PENDING: Line(
        gettext_lazy("Payments that wait for the payer"),
        gettext_lazy("A code is shown, nobody has paid yet"),
        PAYMENTS,
        "status=PENDING",
        "blue",
    ),
}


@needs(Action.VIEW)
def payments_overview(request: HttpRequest) -> HttpResponse:
    """Everything of payments that waits for the reader, or moves by itself; as few queries for any number of rows."""
    now = clock.now()
    heaps = backlog(reader=reader_of(signed_in(request)), now=now)
    since = f"{localtime(now - FAILED_DAYS):%Y-%m-%d}"
    rows = [
        _row(line, heaps[kind], now, since if kind is Waiting.REFUND_FAILED else "") for kind, line in LINES.items()
    ]
    people = sum(heaps[kind].number for kind in FOR_PEOPLE)
    return page(
        request,
        "billing/overview.html",
        _("Payments at a glance"),
        amp_section=_("Payments"),
        rows=rows,
        people=people,
        zone=reading_zone(signed_in(request)),
    )


def _row(line: Line, heap: Heap, now: datetime, since: str) -> Row:
    query = f"{line.query}&created_from={since}" if since else line.query
    url, tone = _address(line.listing, query), line.tone if heap.number else "grey"
    return Row(line.title, line.hint, heap, _age(heap.oldest, now), url, tone)


def _address(listing: str, query: str) -> str:
    return f"{reverse(listing)}?{query}" if query else reverse(listing)


def _age(oldest: datetime | None, now: datetime) -> int:
    return max(int((now - oldest).total_seconds()), 1) if oldest else 0
