"""The words for a changed rule: each field before and after, and what it means for how many devices (A4, A5, A25)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from amp.foundation.templatetags.amp_display import duration, long_duration
from catalog.forms.rules import RuleForm
from catalog.models import ServiceRule
from catalog.services.rules import RuleDraft
from devices.services.rule_previews import Effect

_EFFECTS: dict[Effect, Any] = {
    Effect.WAIT_FOR_NEW_START: ngettext_lazy(
        "%(n)d pending device waits for the new start of the trial.",
        "%(n)d pending devices wait for the new start of the trial.",
        "n",
    ),
    Effect.GET_NEW_TRIAL_END: ngettext_lazy(
        "%(n)d pending device gets the new end when its trial starts.",
        "%(n)d pending devices get the new end when their trial starts.",
        "n",
    ),
    Effect.KEEP_THEIR_TRIAL_END: ngettext_lazy(
        "%(n)d device in its trial keeps the end that it started with.",
        "%(n)d devices in their trial keep the end that they started with.",
        "n",
    ),
    Effect.GET_INCLUDED_PLAN: ngettext_lazy(
        "%(n)d device gets the included plan when its trial ends.",
        "%(n)d devices get the included plan when their trial ends.",
        "n",
    ),
    Effect.STOP_AT_TRIAL_END: ngettext_lazy(
        "%(n)d device stops and is locked when its trial ends.",
        "%(n)d devices stop and are locked when their trial ends.",
        "n",
    ),
    Effect.MAY_RENEW_IN_TRIAL: ngettext_lazy(
        "%(n)d device may be renewed before its trial ends.",
        "%(n)d devices may be renewed before their trial ends.",
        "n",
    ),
    Effect.WAIT_WITH_RENEWAL: ngettext_lazy(
        "%(n)d device can be renewed only when its trial is over.",
        "%(n)d devices can be renewed only when their trial is over.",
        "n",
    ),
    Effect.KEEP_THEIR_CACHE_TIME: ngettext_lazy(
        "%(n)d waiting command is kept as long as before; new ones get the new time.",
        "%(n)d waiting commands are kept as long as before; new ones get the new time.",
        "n",
    ),
    Effect.UNLOCK_IN_OLD_WORDS: ngettext_lazy(
        "%(n)d device that was told to lock is unlocked with the values of the rule that locked it.",
        "%(n)d devices that were told to lock are unlocked with the values of the rule that locked them.",
        "n",
    ),
    Effect.LOCK_IN_NEW_WORDS: ngettext_lazy(
        "%(n)d device is locked with the new values when its service ends.",
        "%(n)d devices are locked with the new values when their service ends.",
        "n",
    ),
    Effect.CLOSED_BY_SILENCE: ngettext_lazy(
        "%(n)d online device counts as offline once it is silent for longer.",
        "%(n)d online devices count as offline once they are silent for longer.",
        "n",
    ),
    Effect.NOT_CLOSED_BY_SILENCE: ngettext_lazy(
        "%(n)d online device stays online until it disconnects, however silent.",
        "%(n)d online devices stay online until they disconnect, however silent.",
        "n",
    ),
    Effect.FROZEN: ngettext_lazy(
        "%(n)d device stays as it is: states, notices and commands are frozen, and online time is not counted.",
        "%(n)d devices stay as they are: states, notices and commands are frozen, and online time is not counted.",
        "n",
    ),
    Effect.COUNT_FROM_NOW: ngettext_lazy(
        "%(n)d pending device counts its online time towards the trial from now on.",
        "%(n)d pending devices count their online time towards the trial from now on.",
        "n",
    ),
}
_LENGTHS = {
    "trial_start_seconds": duration,
    "trial_end_seconds": duration,
    "cache_seconds": long_duration,
    "heartbeat_seconds": duration,
}


def effect_lines(effects: Iterable[tuple[Effect, int]]) -> list[str]:
    """A sentence for each effect."""
    return [str(_EFFECTS[effect] % {"n": number}) for effect, number in effects]


def changed_rows(
    form: RuleForm, rule: ServiceRule, draft: RuleDraft, changed: Iterable[str]
) -> list[tuple[str, str, str]]:
    """Label, before and after of each field that differs from the rule in force."""
    rows = []
    for name in changed:
        field = "auto_plan" if name == "auto_plan_id" else name
        label = str(form.fields[field].label)
        rows.append((label, _shown(field, getattr(rule, field)), _shown(field, getattr(draft, field))))
    return rows


def _shown(name: str, value: Any) -> str:
    if name in _LENGTHS and value is not None:
        return str(_LENGTHS[name](value))
    if isinstance(value, bool):
        return str(_ON if value else _OFF)
    if isinstance(value, list):
        return ", ".join(f"{pair['code']} = {pair['value']}" for pair in value) or _("nothing")
    return str(value) if value else _("none")


_ON, _OFF = gettext_lazy("On"), gettext_lazy("Off")
