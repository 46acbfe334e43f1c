"""Totals: what each merchant received, gave back, applied and could not apply, by day or month."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.access import Action, enterprises_where, reading_zone
from amp.foundation.pages import found, needs, page, signed_in
from billing.forms.books import TotalsForm
from billing.models import MoneyEntry
from billing.services.totals import MOST, Totals, totals


@needs(Action.KEEP_BOOKS)
def totals_page(request: HttpRequest) -> HttpResponse:
    """This month by day, unless asked otherwise."""
    user = signed_in(request)
    zone_name, mine = reading_zone(user), enterprises_where(user, Action.KEEP_BOOKS)
    today = timezone.localtime(clock.now()).date()
    given = {**_usual(today), **request.GET.dict()}
    form = TotalsForm(given, enterprises=mine)
    valid = form.is_valid()
    chosen: dict[str, Any] = form.cleaned_data
    found = _found(chosen, zone_name, mine) if valid else Totals((), (), is_cut=False)
    return page(
        request,
        "billing/totals.html",
        _("Totals"),
        crumbs=[(_("Money ledger"), reverse("admin:billing_moneyentry_changelist"))],
        form=form,
        totals=found,
        by_month=valid and chosen["by"] == "month",
        most=MOST,
        zone=zone_name,
        movements=_movements(chosen) if valid else "",
        status=200 if valid else 400,
    )


@needs(Action.KEEP_BOOKS)
def entry_page(request: HttpRequest, pk: int) -> HttpResponse:
    """A movement is looked at with its payment."""
    return redirect("admin:billing_paymentattempt_change", found(MoneyEntry.objects.all(), pk).attempt_id)


def _usual(today: date) -> dict[str, str]:
    return {"first": str(today.replace(day=1)), "last": str(today), "by": "day"}


def _found(chosen: dict[str, Any], zone_name: str, mine: list[int]) -> Totals:
    merchant = chosen["merchant"]
    return totals(
        first=chosen["first"],
        last=chosen["last"],
        zone=ZoneInfo(zone_name),
        by_month=chosen["by"] == "month",
        enterprises=mine,
        merchant_id=merchant.pk if merchant else None,
    )


def _movements(chosen: dict[str, Any]) -> str:
    """The filters of the ledger that show the same movements one by one."""
    filters = {"created_from": chosen["first"], "created_to": chosen["last"]}
    if chosen["merchant"]:
        filters["merchant"] = chosen["merchant"].pk
    return urlencode(filters)
