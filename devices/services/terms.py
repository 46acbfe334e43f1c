"""The rule as it stands now, for many devices at once: what `devices.lifecycle` asks for (A5, A9, A14)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from amp.foundation.models import Enterprise
from amp.foundation.scoping import system_scope
from catalog.models import ServiceRule
from catalog.services.included import included_plan_refusal
from catalog.services.rules import RuleDraft
from devices.lifecycle import Included, Terms

Place = tuple[int, int]
"""(product id, id of the device's enterprise)"""


def terms_for(places: Iterable[Place], *, now: datetime) -> dict[Place, Terms]:
    """Terms of each (product, enterprise of the device); two queries, whatever the number of devices.

    The plan that auto-subscription gives is checked again here, because it may have changed since it was chosen (F43).
    """
    wanted = set(places)
    with system_scope():  # a child's device follows its ancestor's rule, wherever the caller looks from
        rules = {
            rule.product_id: rule
            for rule in ServiceRule.objects.filter(
                product_id__in={product for product, _ in wanted}, is_current=True
            ).select_related("auto_plan__merchant")
        }
        zones = dict(
            Enterprise.objects.filter(id__in={enterprise for _, enterprise in wanted}).values_list("id", "time_zone")
        )
    return {(product, owner): _terms(rules[product], zones[owner], now) for product, owner in wanted}


def terms_of(
    rule: ServiceRule | RuleDraft, *, maker_id: int, thresholds_since: datetime, time_zone: str, now: datetime
) -> Terms:
    """What a rule, in force or only proposed, says to devices in `time_zone` at `now`."""
    plan = rule.auto_plan if rule.auto_subscribe else None
    unfit = included_plan_refusal(plan, maker_id=maker_id, now=now) if plan else None
    return Terms(
        paid_mode=rule.paid_mode,
        trial_start=rule.trial_start_seconds,
        trial_end=rule.trial_end_seconds,
        included=Included(plan.name, plan.months, plan.level_id) if plan else None,
        included_refusal=unfit.value if unfit else None,
        early_renewal=rule.renewal_before_trial_end,
        time_zone=time_zone,
        thresholds_since=thresholds_since,
    )


def _terms(rule: ServiceRule, time_zone: str, now: datetime) -> Terms:
    since = rule.thresholds_since
    return terms_of(rule, maker_id=rule.enterprise_id, thresholds_since=since, time_zone=time_zone, now=now)
