"""A selection: choose a plan, see every end it gives and who is left out, order (Q1, Q5, F32, F35)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.models import Enterprise
from amp.foundation.pages import actor, found, needs, page, refuse, signed_in
from amp.foundation.services.refusals import Refused
from billing.admin_views.selecting import services_list
from billing.admin_views.windows import window
from billing.models import RenewalSelection, SelectedDevice
from billing.services.ordering import DevicesNotEligible
from billing.services.paying import ask_on_screen
from billing.services.quoting import Quote, QuoteLine, quote, quote_plans, refusal_text
from billing.services.selecting import device_ids_of, open_orders, order_selection
from catalog.models import Plan
from devices.forms.import_words import problem_sentence
from devices.lifecycle import State
from devices.models import Device, Presence
from devices.models.service import STATE_CHOICES

SHOWN_UNKNOWN = 20
WORDS = dict(STATE_CHOICES)


class Reason(NamedTuple):
    """Why devices are left out: the code, its sentence, and how many there are."""

    code: str
    sentence: str
    devices: int


class Offer(NamedTuple):
    """One plan over the whole selection."""

    quote: Quote
    accepted: int
    reasons: list[Reason]


class LineView(NamedTuple):
    """One device of the preview."""

    line: QuoteLine
    state: str
    lock: str
    tone: str
    why: str


class Effects(NamedTuple):
    """How many devices of an order end later, start at payment, are unlocked, give up an included period (A13)."""

    later: int
    start: int
    unlocked: int
    give_up: int


@needs(Action.RENEW)
def selection_page(request: HttpRequest, pk: int) -> HttpResponse:
    """GET shows the plans, with `plan` what that one does; POST orders it."""
    selection = selection_of(request, pk)
    if request.method == "POST":
        return _order(request, selection)
    chosen = request.GET.get("plan", "")
    return _preview(request, selection, plan_of(chosen)) if chosen else _choose(request, selection)


def selection_of(request: HttpRequest, pk: int) -> RenewalSelection:
    """The user's own selection; anybody else's is a 404. 403 where a role was lost since."""
    rows = RenewalSelection.objects.filter(owner=signed_in(request)).select_related("enterprise", "order")
    selection = found(rows, pk)
    owners = Device.objects.filter(pk__in=SelectedDevice.objects.filter(selection=selection).values("device_id"))
    for enterprise in Enterprise.objects.filter(pk__in=owners.values("enterprise_id")):
        if not may(signed_in(request), Action.RENEW, enterprise):
            raise PermissionDenied
    return selection


def plan_of(chosen: str) -> Plan:
    """The plan of that id in the user's scope, or a 404."""
    is_id = chosen.isascii() and chosen.isdecimal() and len(chosen) < 19
    plan = Plan.objects.filter(pk=int(chosen)).select_related("merchant").first() if is_id else None
    if plan is None:
        raise Http404
    return plan


def reasons_of(quoted: Quote) -> list[Reason]:
    """Who is left out, grouped, the most frequent reason first."""
    return [Reason(code, refusal_text(code), devices) for code, devices in quoted.reasons.items()]


def _choose(request: HttpRequest, selection: RenewalSelection) -> HttpResponse:
    quotes = quote_plans(device_ids=device_ids_of(selection), now=clock.now())
    offers = [Offer(each, len(each.accepted), reasons_of(each)) for each in quotes]
    for_all = [offer for offer in offers if offer.accepted == selection.devices]
    for_some = sorted((offer for offer in offers if offer not in for_all), key=lambda offer: -offer.accepted)
    groups = [(_("For all of these devices"), for_all), (_("For some of them"), for_some)]
    possible = [offer for offer in (*for_all, *for_some) if offer.accepted]
    return page(
        request,
        "billing/renew_many.html",
        title_of(selection.devices),
        crumbs=[services_list()],
        selection=selection,
        groups=[group for group in groups if group[1]],
        first=possible[0].quote.plan.pk if possible else None,
        zone=selection.enterprise.time_zone,
        unknown=_unknown(selection),
    )


def _preview(request: HttpRequest, selection: RenewalSelection, plan: Plan, meanwhile: bool = False) -> HttpResponse:
    now = clock.now()
    quoted = quote(device_ids=device_ids_of(selection), plan=plan, now=now)
    reason = request.GET.get("reason", "")
    refused = [line for line in quoted.refused if reason in {"", line.refusal}]
    shows_refused = request.GET.get("show") == "refused" and bool(quoted.refused)
    shown = window(refused if shows_refused else quoted.accepted, request.GET.get("after", ""))
    return page(
        request,
        "billing/renew_preview.html",
        title_of(len(quoted.accepted)) if quoted.accepted else _("Nothing to renew"),
        crumbs=[services_list(), (_("Choose a plan"), reverse("admin:order_selection", args=[selection.pk]))],
        selection=selection,
        plan=plan,
        quote=quoted,
        accepted=len(quoted.accepted),
        refused=len(quoted.refused),
        effects=_effects(quoted),
        reasons=reasons_of(quoted),
        reason=reason if shows_refused else "",
        shows_refused=shows_refused,
        here="?" + urlencode({"plan": plan.pk, **({"show": "refused", "reason": reason} if shows_refused else {})}),
        window=shown,
        rows=_views(shown.lines),
        others=open_orders(selection=selection, now=now),
        meanwhile=meanwhile,
        zone=selection.enterprise.time_zone,
        status=409 if meanwhile else 200,
    )


def _order(request: HttpRequest, selection: RenewalSelection) -> HttpResponse:
    plan = plan_of(request.POST.get("plan", ""))
    now, expected = clock.now(), request.POST.get("expected", "")
    try:
        order, is_new = order_selection(
            selection=selection,
            plan=plan,
            created_by=actor(request),
            expected=int(expected) if expected.isascii() and expected.isdecimal() and len(expected) < 6 else 0,
            now=now,
        )
    except DevicesNotEligible:
        return _preview(request, selection, plan, meanwhile=True)
    except Refused as refused:
        refuse(request, refused)
        return redirect("admin:order_selection", selection.pk)
    if not is_new:
        refuse(request, Refused.because(_("These devices were ordered already: this is their order.")))
    elif order.total:
        try:
            ask_on_screen(order=order, now=now, wall=clock.wall())
        except Refused as refused:  # the order stands; its page offers to ask for a code again
            refuse(request, refused)
    return redirect("admin:billing_order_change", order.pk)


def title_of(devices: int) -> str:
    """As the order's page says it."""
    return _("Renew 1 device") if devices == 1 else _("Renew %(n)s devices") % {"n": f"{devices:,}"}


def _effects(quoted: Quote) -> Effects:
    lines = quoted.accepted
    later = sum(line.state is State.ACTIVE for line in lines)
    unlocked = sum(line.state is State.EXPIRED for line in lines)
    return Effects(later, len(lines) - later, unlocked, sum(bool(line.gives_up_months) for line in lines))


def _views(lines: Sequence[QuoteLine]) -> list[LineView]:
    ids = [line.device_id for line in lines if line.state is State.EXPIRED]
    online = set(Presence.objects.filter(pk__in=ids, is_online=True).values_list("pk", flat=True))
    return [_view(line, line.device_id in online) for line in lines]


def _view(line: QuoteLine, is_online: bool) -> LineView:
    state = str(WORDS.get(line.state.value, "")) if line.state else ""
    why = refusal_text(line.refusal) if line.refusal else ""
    if line.state is not State.EXPIRED:
        return LineView(line, state, _("no command"), "grey", why)
    return LineView(line, state, _("unlock") if is_online else _("unlock when online"), "blue", why)


def _unknown(selection: RenewalSelection) -> list[tuple[int, str]]:
    if not selection.unknown:
        return []
    rows = SelectedDevice.objects.filter(selection=selection, device__isnull=True).order_by("line")
    told = rows.values_list("line", "problem")[:SHOWN_UNKNOWN]
    return [(line, problem_sentence(problem[0], problem[1:])) for line, problem in told if problem]
