"""The device service rule of a product: checked, saved as a new version, read when it is used (A1–A5, A9, A19, A20)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Problem, Refused
from catalog import tsl
from catalog.models import Plan, Product, ServiceRule
from catalog.models.rules import DEFAULT_CACHE_SECONDS, MAX_CACHE_SECONDS
from catalog.services.included import included_plan_problem
from catalog.services.products import current_tsl, lock_product

MAX_THRESHOLD_SECONDS = 10 * 366 * 86_400
MAX_HEARTBEAT_SECONDS = 7 * 86_400
FIELDS = (
    "paid_mode",
    "trial_start_seconds",
    "trial_end_seconds",
    "auto_subscribe",
    "auto_plan_id",
    "renewal_before_trial_end",
    "lock_action",
    "unlock_action",
    "cache_seconds",
    "heartbeat_seconds",
)
Action = list[dict[str, Any]]
"""A lock or unlock action: `[{"code": "service_lock", "value": "true"}, …]` (A19)."""


class RuleRefused(Refused):
    """The rule breaks the bounds of A3, A9, A19 or A20; each problem names its field."""


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """What a person may set of a rule. Thresholds, cache and heartbeat are seconds."""

    paid_mode: bool = False
    trial_start_seconds: int = 0
    trial_end_seconds: int = 3_600
    auto_subscribe: bool = False
    auto_plan: Plan | None = None
    renewal_before_trial_end: bool = False
    lock_action: Action = field(default_factory=list)
    unlock_action: Action = field(default_factory=list)
    cache_seconds: int = DEFAULT_CACHE_SECONDS
    heartbeat_seconds: int | None = None

    @classmethod
    def of(cls, rule: ServiceRule, **changes: Any) -> Self:
        """The draft that says what `rule` says, but for `changes`."""
        draft = cls(
            paid_mode=rule.paid_mode,
            trial_start_seconds=rule.trial_start_seconds,
            trial_end_seconds=rule.trial_end_seconds,
            auto_subscribe=rule.auto_subscribe,
            auto_plan=rule.auto_plan,
            renewal_before_trial_end=rule.renewal_before_trial_end,
            lock_action=rule.lock_action,
            unlock_action=rule.unlock_action,
            cache_seconds=rule.cache_seconds,
            heartbeat_seconds=rule.heartbeat_seconds,
        )
        return replace(draft, **changes)

    @property
    def auto_plan_id(self) -> int | None:
        """Id of the included plan."""
        return self.auto_plan.pk if self.auto_plan else None


def check_rule(product: Product, draft: RuleDraft, now: datetime) -> list[Problem]:
    """Everything that is wrong with `draft` for `product`; empty where it can be saved."""
    return [
        *_threshold_problems(draft),
        *_wait_problems(draft),
        *_action_problems(draft, current_tsl(product)),
        *_auto_problems(product, draft, now),
    ]


@transaction.atomic
def save_rule(
    *, product: Product, draft: RuleDraft, actor: str, now: datetime, based_on: int | None = None
) -> ServiceRule:
    """Put `draft` in force as the next version; the same rule again makes none.

    `based_on` is the version that the person was shown: a rule that somebody else changed meanwhile is refused.
    Raises RuleRefused. Devices are replanned by `devices.services.replanning.change_rule`, which calls this.
    """
    product = lock_product(product.pk)
    before = current_rule(product.pk)
    if based_on is not None and before.version != based_on:
        raise RuleRefused.because(changed_by_another(before))
    if all(getattr(draft, name) == getattr(before, name) for name in FIELDS):
        return before
    if problems := check_rule(product, draft, now):
        raise RuleRefused(problems)
    after = _store(product, before, draft, actor, now)
    record_about(product, "rule.saved", actor=actor, now=now, before=told(before), after=told(after))
    return after


def changed_by_another(rule: ServiceRule) -> str:
    """Who was faster (F99). What the person typed is kept, and previewed against the rule that is in force now."""
    message = _(
        "%(who)s changed this rule meanwhile: version %(version)d is in force. Your entries are kept; look again."
    )
    return message % {"who": rule.created_by, "version": rule.version}


def current_rule(product_id: int) -> ServiceRule:
    """The rule in force; every product has one."""
    rule: ServiceRule = ServiceRule.objects.select_related("auto_plan").get(product_id=product_id, is_current=True)
    return rule


def current_rules(product_ids: Iterable[int]) -> dict[int, ServiceRule]:
    """The rules in force by product id, in one query."""
    rules = ServiceRule.objects.filter(product_id__in=set(product_ids), is_current=True).select_related("auto_plan")
    return {rule.product_id: rule for rule in rules}


def told(rule: ServiceRule) -> dict[str, Any]:
    """The rule as the record keeps it."""
    return {"version": rule.version, **{name: getattr(rule, name) for name in FIELDS}}


def _store(product: Product, before: ServiceRule, draft: RuleDraft, actor: str, now: datetime) -> ServiceRule:
    ServiceRule.objects.filter(pk=before.pk).update(is_current=False)
    rule: ServiceRule = ServiceRule.objects.create(
        enterprise_id=product.enterprise_id,
        product=product,
        version=before.version + 1,
        paid_mode_since=_paid_mode_since(before, draft, now),
        thresholds_since=_thresholds_since(before, draft, now),
        created_at=now,
        created_by=actor,
        **{name: getattr(draft, name) for name in FIELDS},
    )
    return rule


def _paid_mode_since(before: ServiceRule, draft: RuleDraft, now: datetime) -> datetime | None:
    """A4: online time counts from the moment of switching on, and goes on counting while it stays on."""
    if not draft.paid_mode:
        return None
    return before.paid_mode_since if before.paid_mode else now


def _thresholds_since(before: ServiceRule, draft: RuleDraft, now: datetime) -> datetime:
    """Thresholds that are new, or in force again, move devices from now on and never in the past."""
    kept = [getattr(draft, name) == getattr(before, name) for name in ("trial_start_seconds", "trial_end_seconds")]
    return before.thresholds_since if all(kept) and before.paid_mode and draft.paid_mode else now


def _threshold_problems(draft: RuleDraft) -> list[Problem]:
    problems = []
    if not 0 <= draft.trial_start_seconds <= MAX_THRESHOLD_SECONDS:
        problems.append(Problem("trial_start_seconds", _("The trial starts after 0 seconds to 10 years online.")))
    if not 0 < draft.trial_end_seconds <= MAX_THRESHOLD_SECONDS:
        problems.append(Problem("trial_end_seconds", _("The trial ends after 1 second to 10 years online.")))
    elif draft.trial_start_seconds >= draft.trial_end_seconds:
        message = _("The trial must end after it starts: both count the same online time. Give a larger value.")
        problems.append(Problem("trial_end_seconds", message))
    return problems


def _wait_problems(draft: RuleDraft) -> list[Problem]:
    problems = []
    if not 0 <= draft.cache_seconds <= MAX_CACHE_SECONDS:
        problems.append(Problem("cache_seconds", _("Commands are kept for 0 to 90 days.")))
    if draft.heartbeat_seconds is not None and not 1 <= draft.heartbeat_seconds <= MAX_HEARTBEAT_SECONDS:
        message = _("The heartbeat is 1 second to 7 days. Leave it empty where devices promise none.")
        problems.append(Problem("heartbeat_seconds", message))
    return problems


def _action_problems(draft: RuleDraft, model: tsl.Tsl | None) -> list[Problem]:
    """A19: both actions, on the product's thing model; needed as soon as paid mode is on."""
    if not (draft.paid_mode or draft.lock_action or draft.unlock_action):
        return []
    if model is None:
        return [Problem("lock_action", _("Import the product's TSL first: lock and unlock write its properties."))]
    missing = [
        Problem(name, _("Choose at least one property and its value."))
        for name in ("lock_action", "unlock_action")
        if not getattr(draft, name)
    ]
    return missing or _misfits(tsl.check_action_pair(model, draft.lock_action, draft.unlock_action))


def _misfits(found: Sequence[tsl.Problem]) -> list[Problem]:
    """The thing model's words, beside the action that they are about."""
    return [Problem(f"{problem.path.partition('[')[0]}_action", _(problem.text) % problem.values) for problem in found]


def _auto_problems(product: Product, draft: RuleDraft, now: datetime) -> list[Problem]:
    if not draft.auto_subscribe:
        return []
    if draft.auto_plan is None:
        return [Problem("auto_plan", _("Choose the plan that is included, or switch auto-subscription off."))]
    why = included_plan_problem(draft.auto_plan, product, now=now)
    return [Problem("auto_plan", why)] if why else []
