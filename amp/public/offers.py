"""What the page offers: plans on sale for this device, with the end that each would give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amp.foundation.models import Merchant
from amp.foundation.money import format_money
from amp.public.wording import long_day
from catalog.models import Plan
from catalog.services.plans import plans_on_sale
from devices.lifecycle import State
from devices.models import Device
from devices.services.renewal import Quote, quote_periods


@dataclass(frozen=True, slots=True)
class Choice:
    """One plan as it is offered. `name` and `seller` are empty where every choice would say the same."""

    plan_id: int
    title: str
    name: str
    price: str
    price_a_month: str
    new_end: str
    seller: str


@dataclass(frozen=True, slots=True)
class Offer:
    """The choices, longest first, and who is paid; `quote` tells where the device stands now."""

    choices: tuple[Choice, ...]
    sellers: tuple[Merchant, ...]
    quote: Quote

    @property
    def merchants(self) -> tuple[str, ...]:
        """Names of who is paid."""
        return tuple(dict.fromkeys(seller.name for seller in self.sellers))


def payable_plans(device: Device, *, now: datetime) -> list[Plan]:
    """Plans that the page may sell for this device, longest first.

    Free ones are never public (Q5); a running service is renewed on its own level only (E4).
    """
    level = device.service.level_id
    running = device.service.state == State.ACTIVE.value and (device.service.ends_at or now) > now
    plans = plans_on_sale(product=device.product, device_enterprise=device.enterprise, now=now)
    sold = [plan for plan in plans if plan.amount and (not running or level in {None, plan.level_id})]
    return sorted(sold, key=lambda plan: (plan.level.rank, -plan.months, plan.amount, plan.pk))


def offer_for(device: Device, *, zone: ZoneInfo, language: str, now: datetime) -> Offer:
    """What can be bought for the device now; without choices, `quote.refusal` may say why."""
    plans = payable_plans(device, now=now)
    quotes = quote_periods(device.pk, months=[*(plan.months for plan in plans), 1], now=now)
    sold = [plan for plan in plans if quotes[plan.months].refusal is None]
    sellers = tuple({plan.merchant_id: plan.merchant for plan in sold}.values())
    names = {seller.name for seller in sellers}
    titles = Counter(_title(plan) for plan in sold)
    choices = [
        _choice(
            plan,
            quotes[plan.months],
            name=plan.name if titles[_title(plan)] > 1 else "",
            seller=plan.merchant.name if len(names) > 1 else "",
            zone=zone,
            language=language,
        )
        for plan in sold
    ]
    return Offer(tuple(choices), sellers, _telling(plans, quotes))


def price_a_month(plan: Plan) -> int:
    """Minor units for one month, rounded half up (F39: integers only)."""
    return (2 * plan.amount + plan.months) // (2 * plan.months)


def _telling(plans: Sequence[Plan], quotes: dict[int, Quote]) -> Quote:
    """The quote that explains the page: the first plan's, so that a refusal speaks of what is really sold."""
    return quotes[plans[0].months] if plans else quotes[1]


def _title(plan: Plan) -> str:
    length = ngettext("%(count)d month", "%(count)d months", plan.months) % {"count": plan.months}
    if plan.level.standard_of_id:
        return length
    return _("%(level)s, %(length)s") % {"level": plan.level.name, "length": length}


def _choice(plan: Plan, quote: Quote, *, name: str, seller: str, zone: ZoneInfo, language: str) -> Choice:
    return Choice(
        plan_id=plan.pk,
        title=_title(plan),
        name=name,
        price=format_money(plan.amount, plan.currency, language),
        price_a_month=format_money(price_a_month(plan), plan.currency, language) if plan.months > 1 else "",
        new_end=long_day(quote.renewal.ends_at, zone) if quote.renewal else "",
        seller=seller,
    )
