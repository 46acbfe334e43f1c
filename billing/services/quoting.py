"""What an order would do: which devices can be renewed with a plan, to which end, for how much (E4, Q1, Q5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.foundation.bulk import among
from amp.foundation.models import Enterprise
from amp.foundation.scoping import system_scope
from billing.orders import OrderRefusal
from billing.pricing import order_total
from catalog.models import Plan, Product
from catalog.services.included import is_on_sale
from catalog.services.sales import Place, plans_by_place
from devices.lifecycle import RenewalRefusal, State
from devices.models import Device
from devices.services.renewal import Quote as RenewalQuote
from devices.services.renewal import quote_fleet

REFUSALS = {
    OrderRefusal.NOT_FOUND.value: gettext_lazy("This device does not exist."),
    OrderRefusal.PLAN_NOT_ON_SALE.value: gettext_lazy("The plan is not on sale. Choose another plan."),
    OrderRefusal.NOT_SOLD_FOR_DEVICE.value: gettext_lazy("The plan is not sold for this device. Choose another plan."),
    OrderRefusal.OTHER_LEVEL.value: gettext_lazy(
        "The device runs on another service level. Choose a plan of its level."
    ),
    RenewalRefusal.TERMINATED.value: gettext_lazy("The device is terminated."),
    RenewalRefusal.PAID_MODE_OFF.value: gettext_lazy("Paid service is switched off for this product."),
    RenewalRefusal.TRIAL_NOT_OVER.value: gettext_lazy("The trial is not over. Renewal opens when it ends."),
    RenewalRefusal.TOO_FAR.value: gettext_lazy("The service is paid almost 30 years ahead, which is the limit."),
    RenewalRefusal.OTHER_ENTERPRISE.value: gettext_lazy("The device belongs to another enterprise since."),
    "given_up": gettext_lazy("Its renewal failed by a fault of ours and was given up."),
}


class QuoteLine(NamedTuple):
    """One device: `refusal` (a key of REFUSALS) or `ends_at`, the end that paying now would give."""

    device_id: int
    device_key: str
    enterprise_id: int | None
    amount: int
    refusal: str | None
    state: State | None = None
    previous_ends_at: datetime | None = None
    ends_at: datetime | None = None
    # A13: months of an included period that paying now would replace.
    gives_up_months: int = 0

    @property
    def is_ok(self) -> bool:
        """Whether the device can be renewed."""
        return self.refusal is None


class Quote(NamedTuple):
    """All lines in the order asked for, each device once; `total` is minor units of the lines that are fine."""

    plan: Plan
    lines: list[QuoteLine]
    total: int
    currency: str

    @property
    def accepted(self) -> list[QuoteLine]:
        """Lines that an order would have."""
        return [line for line in self.lines if line.is_ok]

    @property
    def refused(self) -> list[QuoteLine]:
        """Lines that stand in the way."""
        return [line for line in self.lines if not line.is_ok]

    @property
    def reasons(self) -> dict[str, int]:
        """How many lines each refusal code stands in the way of, the most frequent first."""
        return dict(Counter(line.refusal for line in self.lines if line.refusal).most_common())


class _Row(NamedTuple):
    pk: int
    key: str
    place: Place


def refusal_text(code: str) -> str:
    """The sentence for a refusal code, in the reader's language."""
    return str(REFUSALS.get(code, _("The device can't be renewed.")))


def quote(*, device_ids: Sequence[int], plan: Plan, now: datetime) -> Quote:
    """What renewing the devices with `plan` at `now` would do and cost; changes nothing (Q5).

    Devices are looked up in the caller's scope: one outside it is answered as one that doesn't exist (R6). As many
    queries for 10,000 devices as for one.
    """
    ids = list(dict.fromkeys(device_ids))
    rows = _rows(ids)
    sold = _sold_at({row.place for row in rows.values()}, now)
    return _quotes(ids, rows, sold, [plan], now)[0]


def quote_plans(*, device_ids: Sequence[int], now: datetime) -> list[Quote]:
    """The same for each plan that is sold for at least one of the devices, shortest and cheapest first."""
    ids = list(dict.fromkeys(device_ids))
    rows = _rows(ids)
    sold = _sold_at({row.place for row in rows.values()}, now)
    plans = {plan.pk: plan for offered in sold.values() for plan in offered}
    ordered = sorted(plans.values(), key=lambda plan: (plan.months, plan.amount, plan.name, plan.pk))
    return _quotes(ids, rows, sold, ordered, now)


def other_level(plan: Plan, renewal: RenewalQuote, level_id: int | None) -> str | None:
    """E4: a running service is renewed on its own level only; the refusal code, or None."""
    is_other = renewal.state is State.ACTIVE and level_id not in {None, plan.level_id}
    return OrderRefusal.OTHER_LEVEL.value if is_other else None


def _rows(ids: Collection[int]) -> dict[int, _Row]:
    """What the caller's scope shows of these devices."""
    found = Device.objects.filter(among("pk", ids)).values_list("pk", "key", "product_id", "enterprise_id")
    return {pk: _Row(pk, key, (product_id, enterprise_id)) for pk, key, product_id, enterprise_id in found}


def _sold_at(places: Collection[Place], now: datetime) -> dict[Place, list[Plan]]:
    """What is sold where (E4). Sellers stand above the buyer, hence the system's scope."""
    with system_scope():
        products = Product.objects.select_related("enterprise").in_bulk({product for product, _owner in places})
        owners = Enterprise.objects.in_bulk({owner for _product, owner in places})
        return plans_by_place([(products[product], owners[owner]) for product, owner in places], now=now)


def _quotes(
    ids: Sequence[int], rows: dict[int, _Row], sold: dict[Place, list[Plan]], plans: Sequence[Plan], now: datetime
) -> list[Quote]:
    renewals = quote_fleet(list(rows), months=[plan.months for plan in plans], now=now)
    on_sale = _still_on_sale(plans, now)
    quotes = []
    for plan in plans:
        refused = {place: _place_refusal(plan, plan.pk in on_sale, offered) for place, offered in sold.items()}
        lines = [_line(pk, rows.get(pk), renewals[plan.months].get(pk), refused, plan) for pk in ids]
        accepted = sum(line.is_ok for line in lines)
        total = order_total(plan.amount, plan.currency, accepted) if accepted else 0
        quotes.append(Quote(plan, lines, total, plan.currency))
    return quotes


def _still_on_sale(plans: Sequence[Plan], now: datetime) -> set[int]:
    """The objects in hand may be older: a plan may have been withdrawn since."""
    with system_scope():
        stored = Plan.objects.in_bulk([plan.pk for plan in plans])
    return {pk for pk, plan in stored.items() if is_on_sale(plan, now)}


def _place_refusal(plan: Plan, is_on_sale_now: bool, offered: list[Plan]) -> str | None:
    if not is_on_sale_now:
        return OrderRefusal.PLAN_NOT_ON_SALE.value
    return None if plan in offered else OrderRefusal.NOT_SOLD_FOR_DEVICE.value


def _line(
    pk: int, row: _Row | None, renewal: RenewalQuote | None, refused: dict[Place, str | None], plan: Plan
) -> QuoteLine:
    if row is None or renewal is None:
        return QuoteLine(pk, "", None, plan.amount, OrderRefusal.NOT_FOUND.value)
    own = renewal.refusal.value if renewal.refusal else None
    refusal = own or refused[row.place] or other_level(plan, renewal, renewal.level_id)
    return QuoteLine(
        device_id=pk,
        device_key=row.key,
        enterprise_id=row.place[1],
        amount=plan.amount,
        refusal=refusal,
        state=renewal.state,
        previous_ends_at=renewal.ends_at,
        ends_at=renewal.renewal.ends_at if renewal.renewal and refusal is None else None,
        gives_up_months=renewal.gives_up_months,
    )
