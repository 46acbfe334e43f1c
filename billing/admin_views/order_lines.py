"""The devices of an order on its page: one page of them, how many stand where, and what each is told (Q4, Q6)."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from amp.foundation.lists.keyset import InvalidCursor, Ordering, Page, first_page, page_after, page_before
from billing.filters import OrderLineFilters
from billing.models import LineStatus, Order, OrderLine
from billing.orders import SETTLED
from billing.services.quoting import refusal_text
from devices.lifecycle import State

SIZE = 50
BY_KEY = Ordering("oldest", "", descending=False)


class LineView(NamedTuple):
    """One device of the order: what it has, what it gets, what it is told."""

    line: OrderLine
    expired: bool
    ends_now: datetime | None
    lock: str
    tone: str
    why: str


class Tab(NamedTuple):
    """One choice among the lines: its words, how many there are, and the query that shows them."""

    title: str
    number: int
    query: str
    is_open: bool


class Standing(NamedTuple):
    """How many lines stand where, and why some could not be applied."""

    by_status: dict[str, int]
    reasons: dict[str, int]

    @property
    def applied(self) -> int:
        """Renewed."""
        return self.by_status.get(LineStatus.APPLIED.value, 0)

    @property
    def unapplied(self) -> int:
        """Not renewed, their money refundable."""
        return self.by_status.get(LineStatus.UNAPPLIED.value, 0)


class Lines(NamedTuple):
    """What the page shows of the lines, with the queries of the pages around."""

    rows: list[LineView]
    tabs: list[Tab]
    filters: str
    previous: str
    following: str


def standing_of(order: Order) -> Standing:
    """One query, and only once there is money."""
    if order.status not in {each.value for each in SETTLED}:
        return Standing({}, {})
    counted = OrderLine.objects.filter(order=order).values_list("status", "reason").annotate(n=Count("pk"))
    by_status, reasons = Counter[str](), Counter[str]()
    for status, reason, number in counted.order_by():
        by_status[status] += number
        if reason:
            reasons[reason] += number
    return Standing(dict(by_status), dict(reasons.most_common()))


def lines_of(request: HttpRequest, order: Order, standing: Standing) -> Lines:
    """The page of lines that the address names; the first one, unfiltered, where it can't be understood."""
    rows = OrderLine.objects.filter(order=order)
    filters = OrderLineFilters(request.GET, rows)
    kept = {name: request.GET[name] for name in filters.given} if filters.is_valid() else {}
    shown = _page(request, filters.qs if kept else rows)
    keys = [pk for _value, pk in shown.keys]
    found = OrderLine.objects.select_related("device__service", "device__presence").filter(pk__in=keys).order_by("pk")
    return Lines(
        [_view(line) for line in found],
        _tabs(order, standing, kept),
        urlencode(kept),
        urlencode({**kept, "before": keys[0]}) if shown.has_previous and keys else "",
        urlencode({**kept, "after": keys[-1]}) if shown.has_next and keys else "",
    )


def _page(request: HttpRequest, rows: QuerySet[OrderLine]) -> Page:
    try:
        if cursor := request.GET.get("after"):
            return page_after(rows, BY_KEY, SIZE, cursor)
        if cursor := request.GET.get("before"):
            return page_before(rows, BY_KEY, SIZE, cursor)
    except InvalidCursor:
        pass
    return first_page(rows, BY_KEY, SIZE)


def _tabs(order: Order, standing: Standing, kept: dict[str, str]) -> list[Tab]:
    """All, and by result; why some were not applied, where there is more than one reason."""
    if not standing.unapplied:
        return []
    options: list[tuple[str, int, dict[str, str]]] = [(_("All"), order.line_count, {})]
    options += [
        (word, standing.by_status.get(status.value, 0), {"status": status.value})
        for status, word in ((LineStatus.APPLIED, _("Applied")), (LineStatus.UNAPPLIED, _("Not applied")))
    ]
    if len(standing.reasons) > 1:
        options += [(refusal_text(code), number, {"reason": code}) for code, number in standing.reasons.items()]
    return [Tab(title, number, urlencode(query), query == kept) for title, number, query in options]


def _view(line: OrderLine) -> LineView:
    service = line.device.service
    why = refusal_text(line.reason) if line.reason else ""
    if service.state != State.EXPIRED.value:
        return LineView(line, False, service.ends_at, _("no command"), "grey", why)
    word = _("unlock") if line.device.presence.is_online else _("unlock when online")
    return LineView(line, True, service.ends_at or service.state_since, word, "blue", why)
