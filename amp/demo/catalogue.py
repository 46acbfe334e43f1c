"""What is sold in the demo: three products with three different rules, and their plans."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from amp.demo.organisation import ACTOR, Organisation
from amp.demo.thing_models import LOCK, UNLOCK, choice, number, thing_model
from amp.foundation.models import Enterprise, Merchant
from catalog.models import Plan, PlanType, Product
from catalog.services.plans import draft_plan, publish_plan
from catalog.services.products import create_product, import_thing_model
from catalog.services.rules import RuleDraft
from devices.services.replanning import change_rule

MINUTE, HOUR, DAY = 60, 3_600, 86_400
Readings = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One product of the demo, with what simulated devices of it measure: lowest and highest value by TSL code."""

    product: Product
    readings: Readings
    month: Plan
    year: Plan


class Catalogue(NamedTuple):
    """The three product lines, and the dealer's own plan."""

    autosteer: Line
    fieldcam: Line
    tidelog: Line
    dealer_month: Plan

    @property
    def lines(self) -> tuple[Line, Line, Line]:
        """All product lines."""
        return self.autosteer, self.fieldcam, self.tidelog


def build_catalogue(organisation: Organisation, *, now: datetime) -> Catalogue:
    """Products, thing models, plans and rules, put in force at `now`."""
    autosteer = _autosteer(organisation, now)
    fieldcam = _fieldcam(organisation, now)
    tidelog = _tidelog(organisation, now)
    return Catalogue(autosteer, fieldcam, tidelog, _dealer_month(fieldcam, organisation, now))


def _autosteer(organisation: Organisation, now: datetime) -> Line:
    """A long trial that counts working hours, then a year that comes with the purchase."""
    readings = {"battery_voltage": (12.1, 14.2), "speed": (0.0, 11.5), "heading": (0.0, 359.9)}
    fix = choice(6, "gnss_fix", "GNSS fix", "None", "Single", "RTK float", "RTK fixed")
    measured = [
        number(3, "battery_voltage", "Battery voltage", "V", 0, 60),
        number(4, "speed", "Speed", "km/h", 0, 40),
        number(5, "heading", "Heading", "°", 0, 360),
        fix,
    ]
    product = _product(organisation.greenfield, "AutoSteer N2", "ASN2", "Steering for tractors", measured, now)
    seller = _Seller(product, organisation, now)
    included = seller.plan("Included first year", 0, 12)
    line = Line(product, readings, seller.plan("Monthly", 4_900, 1), seller.plan("Yearly", 49_900, 12))
    rule = _rule(2 * HOUR, 72 * HOUR, auto_subscribe=True, auto_plan=included)
    change_rule(product=product, draft=rule, actor=ACTOR, now=now)
    return line


def _fieldcam(organisation: Organisation, now: datetime) -> Line:
    """A trial so short that it can be watched; renewal only after it."""
    readings = {"temperature": (11.0, 26.0), "battery_level": (55.0, 98.0)}
    measured = [
        number(3, "temperature", "Temperature", "°C", -40, 85),
        number(4, "battery_level", "Battery level", "%", 0, 100),
    ]
    product = _product(organisation.greenfield, "FieldCam 4", "FC4", "A camera that watches the field", measured, now)
    seller = _Seller(product, organisation, now)
    line = Line(product, readings, seller.plan("1 month", 1_990, 1), seller.plan("12 months", 19_900, 12))
    change_rule(product=product, draft=_rule(5 * MINUTE, 10 * MINUTE), actor=ACTOR, now=now)
    return line


def _tidelog(organisation: Organisation, now: datetime) -> Line:
    """A week's trial that may be ended early by paying."""
    readings = {"water_level": (0.4, 4.9), "water_temperature": (6.0, 15.0)}
    measured = [
        number(3, "water_level", "Water level", "m", -5, 20),
        number(4, "water_temperature", "Water temperature", "°C", -5, 40),
    ]
    product = _product(organisation.bluewave, "TideLog", "TIDE", "A gauge for harbours", measured, now)
    seller = _Seller(product, organisation, now)
    line = Line(product, readings, seller.plan("1 month", 590, 1), seller.plan("12 months", 4_900, 12))
    rule = _rule(HOUR, 7 * DAY, renewal_before_trial_end=True)
    change_rule(product=product, draft=rule, actor=ACTOR, now=now)
    return line


def _product(
    enterprise: Enterprise, name: str, key: str, description: str, measured: list[dict[str, Any]], now: datetime
) -> Product:
    product = create_product(enterprise=enterprise, name=name, key=key, description=description, actor=ACTOR, now=now)
    import_thing_model(product=product, text=json.dumps(thing_model(key, *measured)), actor=ACTOR, now=now)
    return product


def _rule(trial_start: int, trial_end: int, **more: Any) -> RuleDraft:
    return RuleDraft(
        paid_mode=True,
        trial_start_seconds=trial_start,
        trial_end_seconds=trial_end,
        lock_action=LOCK,
        unlock_action=UNLOCK,
        **more,
    )


class _Seller(NamedTuple):
    """Makes and publishes plans of one product."""

    product: Product
    organisation: Organisation
    now: datetime

    def plan(self, name: str, amount: int, months: int) -> Plan:
        maker = self.product.enterprise
        merchant = self.organisation.merchant_of(maker)
        return _published(self.product, maker, merchant, PlanType.MANUFACTURER, name, amount, months, self.now)


def _dealer_month(fieldcam: Line, organisation: Organisation, now: datetime) -> Plan:
    """The dealer sells its own cameras a month with service on the spot."""
    dealer = organisation.north
    merchant = organisation.merchant_of(dealer)
    return _published(
        fieldcam.product, dealer, merchant, PlanType.RESELLER, "1 month with field service", 2_990, 1, now
    )


def _published(
    product: Product,
    enterprise: Enterprise,
    merchant: Merchant,
    plan_type: PlanType,
    name: str,
    amount: int,
    months: int,
    now: datetime,
) -> Plan:
    plan = draft_plan(
        enterprise=enterprise,
        level=product.standard_level,
        merchant=merchant,
        name=name,
        plan_type=plan_type,
        amount=amount,
        currency=enterprise.currency,
        months=months,
        sale_from=None,
        sale_until=None,
        actor=ACTOR,
        now=now,
    )
    return publish_plan(plan=plan, actor=ACTOR, now=now)
