"""Plans, as people type them: the price in the currency's own units."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    BASE_INPUT_CLASSES,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from amp.foundation.access import Action
from amp.foundation.choosing import Choose, enterprises_where
from amp.foundation.models import Enterprise, Merchant, MerchantStatus, User
from amp.foundation.money import InvalidAmount, UnknownCurrency, parse_amount
from amp.foundation.services.enterprises import effective_merchant
from catalog.models import Plan, PlanType, ServiceLevel

INPUT = " ".join(BASE_INPUT_CLASSES)


class PlanForm(forms.Form):
    """What may change from version to version of a plan. The price is typed in the currency's own units."""

    halves = ("enterprise", "plan_type", "name", "months", "price", "currency", "sale_from", "sale_until")

    name = forms.CharField(label=_("Name"), max_length=80, widget=UnfoldAdminTextInputWidget)
    merchant = forms.ModelChoiceField(
        label=_("Merchant"),
        queryset=Merchant.objects.none(),
        widget=Choose("admin:merchant_choices"),
        empty_label=_("Choose…"),
        help_text=_("Who is paid."),
    )
    price = forms.CharField(
        label=_("Price"),
        max_length=32,
        widget=UnfoldAdminTextInputWidget({"inputmode": "decimal"}),
        help_text=_("Such as 199.00. A plan with the price 0 can be included at the end of a trial."),
    )
    currency = forms.CharField(label=_("Currency"), max_length=3, widget=UnfoldAdminTextInputWidget)
    months = forms.IntegerField(
        label=_("Period in months"), min_value=1, max_value=120, widget=UnfoldAdminIntegerFieldWidget
    )
    sale_from = forms.DateTimeField(label=_("On sale from"), required=False, help_text=_("Empty: at once."))
    sale_until = forms.DateTimeField(label=_("On sale until"), required=False, help_text=_("Empty: until withdrawn."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["merchant"].queryset = payable_merchants()  # type: ignore[attr-defined]
        for name in ("sale_from", "sale_until"):
            self.fields[name].widget = forms.DateTimeInput(
                {"type": "datetime-local", "class": INPUT}, format="%Y-%m-%dT%H:%M"
            )

    def clean(self) -> dict[str, Any]:
        """The price in minor units, as `amount`."""
        cleaned = super().clean() or {}
        if "price" in cleaned and "currency" in cleaned:
            cleaned["currency"] = cleaned["currency"].strip().upper()
            try:
                cleaned["amount"] = parse_amount(cleaned["price"].strip(), cleaned["currency"])
            except UnknownCurrency as unknown:
                self.add_error("currency", str(unknown))
            except InvalidAmount as invalid:
                self.add_error("price", str(invalid))
        return cleaned

    def terms(self) -> dict[str, Any]:
        """What the services call the terms of a plan."""
        names = ("merchant", "name", "amount", "currency", "months", "sale_from", "sale_until")
        return {name: self.cleaned_data[name] for name in names}


class NewPlanForm(PlanForm):
    """A first version: where it belongs and what it gives."""

    field_order = ("enterprise", "plan_type", "level", "name", "months", "price", "currency", "merchant")
    enterprise = forms.ModelChoiceField(
        label=_("Enterprise"),
        queryset=Enterprise.objects.none(),
        widget=Choose("admin:enterprise_choices", action=Action.EDIT_CATALOG),
    )
    plan_type = forms.ChoiceField(
        label=_("Type"), choices=Plan._meta.get_field("plan_type").choices or (), widget=UnfoldAdminSelectWidget
    )
    level = forms.ModelChoiceField(
        label=_("Product and service level"),
        queryset=ServiceLevel.objects.none(),
        widget=Choose("admin:level_choices"),
        empty_label=_("Choose…"),
        help_text=_("What the plan gives. Each product has a standard level of its own."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = enterprises_where(user, Action.EDIT_CATALOG)
        self.fields["enterprise"].queryset = rows  # type: ignore[attr-defined]
        level = self.fields["level"]
        level.queryset = offered_levels()  # type: ignore[attr-defined]
        level.label_from_instance = level_label  # type: ignore[attr-defined]
        first = rows.first()
        if first:
            self.initial.setdefault("enterprise", first)
            self.initial.setdefault("currency", first.currency)
            self.initial.setdefault("merchant", effective_merchant(first))
        self.initial.setdefault("plan_type", PlanType.MANUFACTURER.value)
        self.initial.setdefault("months", 12)


def payable_merchants() -> QuerySet[Merchant]:
    """Who may be paid for a plan."""
    return Merchant.objects.exclude(status=MerchantStatus.RETIRED.value).order_by("name", "pk")


def offered_levels() -> QuerySet[ServiceLevel]:
    """What a plan may give."""
    return ServiceLevel.objects.select_related("standard_of").order_by("enterprise", "rank", "pk")


def level_label(level: ServiceLevel) -> str:
    """The product of a standard level, and the level."""
    return f"{level.standard_of} · {level.name}" if level.standard_of_id else level.name
