"""The device service rule of a product, as people type it (G1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from catalog.forms.widgets import (
    DAYS_AND_HOURS,
    HOURS_AND_MINUTES,
    MINUTES_AND_SECONDS,
    ActionWidget,
    DurationField,
    OptionalDurationField,
)
from catalog.models import Plan, ServiceRule
from catalog.services.rules import RuleDraft
from catalog.tsl import Property


class RuleForm(forms.Form):
    """The device service rule (G1); field names are those of `RuleDraft`, so that its problems find their place."""

    based_on = forms.IntegerField(widget=forms.HiddenInput)
    paid_mode = forms.BooleanField(
        label=_("Paid service mode"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("Off: online time is not counted and nothing is locked."),
    )
    trial_start_seconds = DurationField(
        label=_("Trial starts after"),
        units=HOURS_AND_MINUTES,
        help_text=_("Cumulative online time. 0: at the first connection."),
    )
    trial_end_seconds = DurationField(
        label=_("Trial ends after"),
        units=HOURS_AND_MINUTES,
        help_text=_("Counted from the same zero as the start. Devices that are in their trial already keep their end."),
    )
    auto_subscribe = forms.BooleanField(
        label=_("Auto-subscription upon trial expiration"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("Gives the included plan once, when the trial ends. Off: the device stops and is locked."),
    )
    auto_plan = forms.ModelChoiceField(
        label=_("Included plan"),
        queryset=Plan.objects.none(),
        required=False,
        widget=UnfoldAdminSelectWidget,
        empty_label=_("Choose a plan…"),
    )
    renewal_before_trial_end = forms.BooleanField(
        label=_("Allow renewal before trial ends"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("Paying then ends the trial and gives up the included plan."),
    )
    lock_action = forms.Field(label=_("Lock"), required=False, widget=ActionWidget)
    unlock_action = forms.Field(label=_("Unlock"), required=False, widget=ActionWidget)
    cache_seconds = DurationField(
        label=_("Keep commands for"),
        units=DAYS_AND_HOURS,
        help_text=_("0 to 90 days. A device that is offline gets its command when it is next online within this time."),
    )
    heartbeat_seconds = OptionalDurationField(
        label=_("Heartbeat"),
        units=MINUTES_AND_SECONDS,
        help_text=_(
            "Only where devices promise to report at least this often: silence then ends their online session. "
            "Empty: only a disconnect does."
        ),
    )

    def __init__(
        self, *args: Any, rule: ServiceRule, properties: Sequence[Property], plans: Iterable[Plan], **kwargs: Any
    ) -> None:
        draft = RuleDraft.of(rule)
        initial = {name: getattr(draft, name) for name in self.base_fields if name != "based_on"}
        kwargs["initial"] = {**initial, "based_on": rule.version}
        super().__init__(*args, **kwargs)
        self.rule = rule
        offered = [plan.pk for plan in plans] + ([rule.auto_plan_id] if rule.auto_plan_id else [])
        self.fields["auto_plan"].queryset = Plan.objects.filter(pk__in=offered).order_by("months", "name")  # type: ignore[attr-defined]
        for name in ("lock_action", "unlock_action"):
            widget = self.fields[name].widget
            assert isinstance(widget, ActionWidget)  # noqa: S101 (for the type checker)
            widget.properties = properties

    def rebase(self) -> None:
        """Compare what was typed with the rule that is in force now, whatever version it was typed over (F99)."""
        typed = cast(QueryDict, self.data).copy()
        typed["based_on"] = str(self.rule.version)
        self.data = typed

    def draft(self) -> RuleDraft:
        """What was typed."""
        values = {name: value for name, value in self.cleaned_data.items() if name != "based_on"}
        return RuleDraft.of(self.rule, **values)
