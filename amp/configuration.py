"""System > Platform Configuration (G5): the few decisions that hold for every enterprise, and the facts around them.

A switch is offered only where something obeys it: expiry alerts show theirs once the app that sends them says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django import forms
from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from alerts.services.previews import told_within
from alerts.services.settings import extra_days, set_extra_days
from alerts.thresholds import Service
from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.money import MAX_MINOR
from amp.foundation.pages import actor, done, needs, page, show
from amp.foundation.services import configuration
from amp.foundation.services.configuration import (
    LEAST_MINUTES,
    LOCK_BOUNDS,
    MOST_MINUTES,
    AlertedService,
    LockLimits,
)
from amp.foundation.services.refusals import Refused
from amp.foundation.services.retention import set_days_kept
from amp.foundation.templatetags.amp_display import actor_name, moment
from amp.retention.forms import RetentionForm
from amp.retention.kinds import KINDS

SERVICES = {
    AlertedService.SIM: gettext_lazy("Expiry alerts of SIM services"),
    AlertedService.RTK: gettext_lazy("Expiry alerts of RTK services"),
    AlertedService.DEVICE: gettext_lazy("Expiry alerts of device services"),
}

LOCK_FIELDS = ("lock_settle_minutes", "lock_allowance", "lock_allowance_percent")
"""In the order of `LockLimits`."""


class Fact(NamedTuple):
    """What was decided at installation: its name, its value, where it is set."""

    name: str
    value: str
    setting: str


class ConfigurationForm(forms.Form):
    """What can be changed here."""

    order_minutes = forms.IntegerField(
        label=gettext_lazy("Minutes to pay an order"),
        min_value=LEAST_MINUTES,
        max_value=MOST_MINUTES,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text=gettext_lazy("An order that isn't paid by then expires. Orders that wait already keep their time."),
    )

    refund_threshold = forms.IntegerField(
        label=gettext_lazy("Refunds without a second person, up to"),
        required=False,
        min_value=0,
        max_value=MAX_MINOR,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text=gettext_lazy(
            "In the smallest unit of the order's currency: 100000 is ¥1,000.00. Above it another person approves; "
            "0 asks for two people always."
        ),
    )

    lock_allowance = forms.IntegerField(
        label=gettext_lazy("Locks of an enterprise in an hour without a person"),
        required=False,
        min_value=LOCK_BOUNDS["lock_allowance"][0],
        max_value=LOCK_BOUNDS["lock_allowance"][1],
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text=gettext_lazy("The larger of this number and the percentage below; further ones are held."),
    )
    lock_allowance_percent = forms.IntegerField(
        label=gettext_lazy("The same, percent of its devices"),
        required=False,
        min_value=LOCK_BOUNDS["lock_allowance_percent"][0],
        max_value=LOCK_BOUNDS["lock_allowance_percent"][1],
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text=gettext_lazy(
            "0: only the number counts. 100: all devices of an enterprise may be locked in an hour."
        ),
    )
    lock_settle_minutes = forms.IntegerField(
        label=gettext_lazy("Minutes that locks wait after an outage"),
        required=False,
        min_value=LOCK_BOUNDS["lock_settle_minutes"][0],
        max_value=LOCK_BOUNDS["lock_settle_minutes"][1],
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text=gettext_lazy(
            "While a bridge is away, and so long after, locks from trial ends are held: online times settle first. "
            "0: they aren't held."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not alerts_are_sent():
            return
        for service, label in SERVICES.items():
            self.fields[service.value] = forms.BooleanField(
                label=label, required=False, widget=UnfoldBooleanSwitchWidget, help_text=_since(service)
            )
        self.fields["extra_days"] = forms.CharField(
            label=gettext_lazy("Further notices to people, days before the end"),
            required=False,
            max_length=100,
            widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "90, 60"}),
            help_text=gettext_lazy(
                "Devices are always told 30 days, 7 days and 24 hours before an end. Mails, the inbox and webhooks can "
                "have more: whole numbers of days, separated by commas."
            ),
        )

    def clean_extra_days(self) -> list[int]:
        """Numbers between commas."""
        parts = [part.strip() for part in self.cleaned_data["extra_days"].replace("，", ",").split(",")]
        if any(part and not (part.isascii() and part.isdecimal() and len(part) < 5) for part in parts):
            raise forms.ValidationError(_("Type whole numbers, separated by commas: 90, 60."))
        return sorted({int(part) for part in parts if part}, reverse=True)


class Consequence(NamedTuple):
    """A service that is about to be switched on, and how many devices that tells within a day."""

    service: str
    label: Any
    devices: int


def alerts_are_sent() -> bool:
    """Whether this version has anything that reads the switches."""
    return bool(getattr(apps.get_app_config("alerts"), "sends_expiry_notices", False))


@needs(Action.OPERATE_PLATFORM)
def platform_configuration(request: HttpRequest) -> HttpResponse:
    """Show and save the decisions; every change is an event of the audit."""
    form = ConfigurationForm(request.POST or None, initial=_initial())
    consequences: list[Consequence] = []
    if request.method == "POST" and form.is_valid():
        consequences = _consequences(form, agreed=request.POST.getlist("confirmed"))
        if not consequences and _saved(form, actor(request)):
            done(request, _("The configuration was saved."))
            return redirect(reverse("admin:platform_configuration"))
    return _shown(request, form, RetentionForm(), consequences)


@needs(Action.OPERATE_PLATFORM)
def configure_retention(request: HttpRequest) -> HttpResponse:
    """Save how long rows of each kind are kept (X5); a GET shows the whole page."""
    form = RetentionForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _stored(form, actor(request)):
        done(request, _("The configuration was saved."))
        return redirect(reverse("admin:platform_configuration"))
    return _shown(request, ConfigurationForm(initial=_initial()), form, [])


def _shown(
    request: HttpRequest, form: ConfigurationForm, retention: RetentionForm, consequences: list[Consequence]
) -> HttpResponse:
    return page(
        request,
        "admin/amp_configuration.html",
        _("Platform Configuration"),
        amp_section=_("System"),
        form=form,
        retention=retention,
        facts=_facts(),
        alerts_are_sent=alerts_are_sent(),
        consequences=consequences,
        changed_at=configuration.configuration().changed_at,
    )


def _initial() -> dict[str, Any]:
    switches = {service.value: configuration.expiry_alerts_since(service) is not None for service in SERVICES}
    return {
        "order_minutes": configuration.order_minutes(),
        "refund_threshold": configuration.refund_threshold(),
        **dict(zip(LOCK_FIELDS, configuration.lock_limits(), strict=True)),
        "extra_days": ", ".join(map(str, extra_days())),
        **switches,
    }


def _since(service: AlertedService) -> str:
    """Since when it is on, and who did that."""
    since = configuration.expiry_alerts_since(service)
    if since is None:
        return ""
    told = {"at": moment(since), "who": actor_name(configuration.switched_by(service))}
    return _("On since %(at)s, by %(who)s. Nothing that lay before is made up for.") % told


def _consequences(form: ConfigurationForm, *, agreed: Sequence[str]) -> list[Consequence]:
    """What saving would switch on; nothing where all of it has been agreed to."""
    now = clock.now()
    wanted = {
        service: label
        for service, label in SERVICES.items()
        if form.cleaned_data.get(service.value) and configuration.expiry_alerts_since(service) is None
    }
    if {service.value for service in wanted} <= {*agreed}:
        return []
    return [
        Consequence(service.value, label, told_within(Service(service.name), now=now))
        for service, label in wanted.items()
    ]


def _saved(form: ConfigurationForm, who: str) -> bool:
    """False where a decision was refused; the form says which, and nothing was changed."""
    try:
        with transaction.atomic():
            _save(form, who)
    except Refused as refused:
        show(form, refused)
        return False
    return True


def _stored(form: RetentionForm, who: str) -> bool:
    """False where a time was refused; the form says which, and nothing was changed."""
    try:
        with transaction.atomic():
            for kept in KINDS:
                set_days_kept(kept=kept, days=form.cleaned_data[kept.name], actor=who, now=clock.now())
    except Refused as refused:
        show(form, refused)
        return False
    return True


def _save(form: ConfigurationForm, who: str) -> None:
    now = clock.now()
    configuration.set_order_minutes(minutes=form.cleaned_data["order_minutes"], actor=who, now=now)
    if (threshold := form.cleaned_data["refund_threshold"]) is not None:
        configuration.set_refund_threshold(minor=threshold, actor=who, now=now)
    known = zip(LOCK_FIELDS, configuration.lock_limits(), strict=True)
    typed = (form.cleaned_data[name] for name in LOCK_FIELDS)
    limits = LockLimits(*(old if new is None else new for (_name, old), new in zip(known, typed, strict=True)))
    configuration.set_lock_limits(limits=limits, actor=who, now=now)
    for service in SERVICES:
        if service.value in form.fields:
            on = form.cleaned_data[service.value]
            configuration.switch_expiry_alerts(service=service, on=on, actor=who, now=now)
    if "extra_days" in form.fields:
        set_extra_days(days=form.cleaned_data["extra_days"], actor=who, now=now)


def _facts() -> list[Fact]:
    mode = _("production") if settings.IS_PRODUCTION else _("demo") if settings.IS_DEMO else _("test")
    sandbox = _("on: payments can be tried without money") if settings.SANDBOX_ENABLED else _("off")
    return [
        Fact(_("Mode"), mode, "AMP_MODE"),
        Fact(_("Address in links and QR codes"), settings.BASE_URL, "AMP_BASE_URL"),
        Fact(_("Sandbox gateway"), sandbox, "AMP_SANDBOX"),
        Fact(_("Services are looked at every"), _seconds(settings.SWEEP_SECONDS), "AMP_SWEEP_SECONDS"),
        Fact(_("Commands are sent every"), _seconds(settings.DISPATCH_SECONDS), "AMP_DISPATCH_SECONDS"),
        Fact(_("Figures of the overview are counted every"), _seconds(settings.FIGURES_SECONDS), "AMP_FIGURES_SECONDS"),
    ]


def _seconds(number: int) -> str:
    return _("%(n)d s, at the soonest") % {"n": number}
