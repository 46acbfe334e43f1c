"""Pictures with their numbers: each chart is drawn from the rows of the table that stands behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta
from django.utils.formats import date_format
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from amp.dashboard import links
from amp.dashboard.figures import Figures
from amp.foundation.money import format_money, minor_digits
from billing.services.figures import MONTHS, month_of
from devices.services.figures import WEEKS, week_of


@dataclass(frozen=True, slots=True)
class Row:
    """One bar and one line of the table: its label, its cells, the rows behind it."""

    label: str
    cells: list[str]
    url: str


@dataclass(slots=True)
class Chart:
    """One chart. `series` holds a list of numbers for each data set; the script draws it, the table tells it."""

    key: str
    title: str
    columns: list[str]
    rows: list[Row] = field(default_factory=list)
    series: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    @property
    def is_empty(self) -> bool:
        """Nothing to draw."""
        return not any(any(each["data"]) for each in self.series)

    @property
    def drawn(self) -> dict[str, Any]:
        """What the script needs."""
        return {
            "labels": [row.label for row in self.rows],
            "urls": [row.url for row in self.rows],
            "series": self.series,
        }


def expiring(figures: Figures, *, now: datetime, zone: str) -> Chart:
    """Services that end in this week and the eleven that follow."""
    monday = week_of(now, zone).date()
    chart = Chart("expiring", _("Services that end, by week"), [_("Week of"), _("Services")], note=_zones(figures))
    numbers = []
    for number in range(WEEKS):
        first = monday + timedelta(weeks=number)
        count = figures.of("ends", first.isoformat())
        numbers.append(count)
        address = links.services_ending(first, first + timedelta(days=6))
        chart.rows.append(Row(_day(first), [f"{count:,}"], address))
    chart.series = [{"label": _("Services"), "data": numbers, "tone": "amber"}]
    return chart


def renewals(figures: Figures, *, now: datetime, zone: str) -> Chart:
    """Paid orders and the devices that they renew, by month of payment."""
    chart = Chart("renewals", _("Renewals by month"), [_("Month"), _("Paid orders"), _("Devices renewed")])
    chart.note = _zones(figures)
    renewed = []
    for first in _months(now, zone):
        orders, devices = (figures.of(name, f"{first:%Y-%m}") for name in ("paid_orders", "paid_devices"))
        renewed.append(devices)
        chart.rows.append(Row(_month(first), [f"{orders:,}", f"{devices:,}"], _paid(first)))
    chart.series = [{"label": _("Devices renewed"), "data": renewed, "tone": "green"}]
    return chart


def revenue(figures: Figures, *, now: datetime, zone: str, currency: str) -> Chart:
    """Money of paid orders by month of payment: one chart for each currency, for they can't share an axis."""
    title = _("Revenue by month, %(currency)s") % {"currency": currency}
    chart = Chart(f"revenue-{currency.lower()}", title, [_("Month"), _("Revenue")], note=_zones(figures))
    language, digits = get_language() or "en", minor_digits(currency)
    totals = []
    for first in _months(now, zone):
        minor = figures.of("paid_total", f"{first:%Y-%m} {currency}")
        totals.append(minor / 10**digits)
        chart.rows.append(Row(_month(first), [format_money(minor, currency, language)], _paid(first)))
    chart.series = [{"label": _("Revenue"), "data": totals, "tone": "teal"}]
    return chart


def currencies(figures: Figures) -> list[str]:
    """Those in which something was paid, by name."""
    return sorted({bucket.partition(" ")[2] for bucket in figures.buckets("paid_total")})


def _months(now: datetime, zone: str) -> Iterable[date]:
    """Firsts of the last twelve months, this one last."""
    this = month_of(now, zone).date()
    return [this - relativedelta(months=back) for back in reversed(range(MONTHS))]


def _paid(first: date) -> str:
    return links.orders_paid(first, first + relativedelta(months=1, days=-1))


def _day(day: date) -> str:
    # Translators: a day without its year, in Django's format characters
    return date_format(day, pgettext("date format", "j M"), use_l10n=False)


def _month(day: date) -> str:
    # Translators: a month with its year, in Django's format characters
    return date_format(day, pgettext("date format", "M Y"), use_l10n=False)


def _zones(figures: Figures) -> str:
    """Buckets begin at midnight of each enterprise; lists filter by the reader's days."""
    if figures.zones < 2:
        return ""
    return _("Each enterprise is counted by the days of its own time zone; lists show days of yours.")
