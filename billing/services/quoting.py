"""What an order would do: which devices can be renewed with a plan, to which end, for how much (E4, Q1, Q5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.foundation.models import Enterprise
from amp.foundation.scoping import system_scope
from billing.orders import OrderRefusal
from billing.pricing import order_total
from catalog.models import Plan, Product
from catalog.services.included import is_on_sale
from catalog.services.plans import plans_on_sale
from devices.lifecycle import RenewalRefusal, State
from devices.models import Device, DeviceService
from devices.services.renewal import Quote as RenewalQuote
from devices.services.renewal import quote_renewals

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


class _Place(NamedTuple):
    """Where a device stands; what is sold depends on nothing else of it."""

    product_id: int
    enterprise_id: int


class _Row(NamedTuple):
    pk: int
    key: str
    place: _Place


def refusal_text(code: str) -> str:
    """The sentence for a refusal code, in the reader's language."""
    return str(REFUSALS.get(code, _("The device can't be renewed.")))


def quote(*, device_ids: Sequence[int], plan: Plan, now: datetime) -> Quote:
    """What renewing the devices with `plan` at `now` would do and cost; changes nothing (Q5).

    Devices are looked up in the caller's scope: one outside it is answered as one that doesn't exist (R6).
    """
    ids = list(dict.fromkeys(device_ids))
    rows = {
        pk: _Row(pk, key, _Place(product_id, enterprise_id))
        for pk, key, product_id, enterprise_id in Device.objects.filter(pk__in=ids).values_list(
            "pk", "key", "product_id", "enterprise_id"
        )
    }
    renewals = {each.device_id: each for each in quote_renewals(list(rows), months=plan.months, now=now)}
    levels = dict(DeviceService.objects.filter(device_id__in=list(rows)).values_list("device_id", "level_id"))
    refused_places = _refused_places({row.place for row in rows.values()}, plan, now)
    lines = [
        _line(rows[pk], renewals[pk], levels.get(pk), refused_places.get(rows[pk].place), plan)
        if pk in rows and pk in renewals
        else QuoteLine(pk, "", None, plan.amount, OrderRefusal.NOT_FOUND.value)
        for pk in ids
    ]
    accepted = sum(line.is_ok for line in lines)
    return Quote(plan, lines, order_total(plan.amount, plan.currency, accepted) if accepted else 0, plan.currency)


def other_level(plan: Plan, renewal: RenewalQuote, level_id: int | None) -> str | None:
    """E4: a running service is renewed on its own level only; the refusal code, or None."""
    is_other = renewal.state is State.ACTIVE and level_id not in {None, plan.level_id}
    return OrderRefusal.OTHER_LEVEL.value if is_other else None


def _line(row: _Row, renewal: RenewalQuote, level_id: int | None, place: str | None, plan: Plan) -> QuoteLine:
    refusal = (renewal.refusal.value if renewal.refusal else place) or other_level(plan, renewal, level_id)
    return QuoteLine(
        device_id=row.pk,
        device_key=row.key,
        enterprise_id=row.place.enterprise_id,
        amount=plan.amount,
        refusal=refusal,
        state=renewal.state,
        previous_ends_at=renewal.ends_at,
        ends_at=renewal.renewal.ends_at if renewal.renewal and refusal is None else None,
        gives_up_months=renewal.gives_up_months,
    )


def _refused_places(places: set[_Place], plan: Plan, now: datetime) -> dict[_Place, str]:
    """E4 without the device's own state. Sellers stand above the buyer, hence the system's scope."""
    with system_scope():
        stored = Plan.objects.get(pk=plan.pk)  # the object in hand may be older: a plan may have been withdrawn since
        if not is_on_sale(stored, now):
            return dict.fromkeys(places, OrderRefusal.PLAN_NOT_ON_SALE.value)
        products = Product.objects.select_related("enterprise").in_bulk({place.product_id for place in places})
        enterprises = Enterprise.objects.in_bulk({place.enterprise_id for place in places})
        return {
            place: OrderRefusal.NOT_SOLD_FOR_DEVICE.value
            for place in places
            if plan
            not in plans_on_sale(
                product=products[place.product_id], device_enterprise=enterprises[place.enterprise_id], now=now
            )
        }
