"""Choosing devices to renew together: from the list of device services, or by a file of keys (Q1, F92)."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.lists.search import LONGEST, matching
from amp.foundation.pages import Crumb, needs, page, refuse, signed_in
from amp.foundation.services.refusals import Refused
from billing.forms import KeyFileForm
from billing.models import RenewalSelection
from billing.orders import MAX_LINES
from billing.services.selecting import SelectionRefused, select_devices, select_from_file
from catalog.models import Product
from devices.filters import DeviceServiceFilters
from devices.forms.import_words import problem_sentence
from devices.models import DeviceService
from devices.sheets import MAX_BYTES, SheetRefused

LARGEST_ID = 2**63 - 1
OF_THE_LIST = frozenset({"sort", "per", "columns", "view", "after", "before", "page", "q"})


@needs(Action.RENEW)
@require_POST
def select(request: HttpRequest) -> HttpResponse:
    """Keep what was ticked in the list, or all that its address and filters leave; the list's own form comes here."""
    try:
        ids = _matching(request) if request.POST.get("select_across") == "1" else _ticked(request)
        selection = select_devices(device_ids=ids, owner=signed_in(request), now=clock.now(), wall=clock.wall())
    except Refused as refused:
        refuse(request, refused)
        return redirect(f"{reverse('admin:devices_deviceservice_changelist')}?{request.GET.urlencode()}")
    return redirect("admin:order_selection", selection.pk)


@needs(Action.RENEW)
def upload(request: HttpRequest) -> HttpResponse:
    """A file of device keys: read and kept; lines that name no device are told with their numbers."""
    form = KeyFileForm(request.POST or None, request.FILES or None)
    problems: list[tuple[int, str]] = []
    if request.method == "POST" and form.is_valid():
        try:
            return redirect("admin:order_selection", _read(request, form.cleaned_data["file"]).pk)
        except SheetRefused as refused:
            problems = [(each.line, problem_sentence(each.code, each.arguments)) for each in refused.problems]
        except Refused as refused:
            form.add_error("file", str(refused))
    return page(
        request,
        "billing/renew_upload.html",
        _("Renew devices from a file"),
        crumbs=[services_list()],
        form=form,
        problems=problems,
        status=422 if problems else 200,
    )


def services_list() -> Crumb:
    """The list that selections come from."""
    return (_("Device Service"), reverse("admin:devices_deviceservice_changelist"))


def _read(request: HttpRequest, file: Any) -> RenewalSelection:
    return select_from_file(
        content=file.read(MAX_BYTES + 1),
        file_name=file.name,
        owner=signed_in(request),
        now=clock.now(),
        wall=clock.wall(),
    )


def _ticked(request: HttpRequest) -> list[int]:
    given = request.POST.getlist("_selected_action")
    if not all(each.isascii() and each.isdecimal() and 0 < int(each[:20]) <= LARGEST_ID for each in given):
        raise SelectionRefused.because(_("Some of these devices are not there any more. Choose again."))
    return [int(each) for each in given]


def _matching(request: HttpRequest) -> list[int]:
    """Ids of all rows that the list has with the filters and the search of its address, newest device first."""
    rows = _listed()
    filters = DeviceServiceFilters(request.GET, rows)
    words = request.GET.get("q", "").strip()
    if any(filters.problems(OF_THE_LIST)) or len(words) > LONGEST:
        raise SelectionRefused.because(_("These filters can't be used. Mend them, then choose again."))
    rows = filters.qs
    found = matching(rows, filters.searched, words) if words else rows
    ids = list(found.order_by("-pk").values_list("pk", flat=True)[: MAX_LINES + 1])
    if len(ids) > MAX_LINES:
        raise SelectionRefused.because(
            _("More than %(most)s devices match. At most so many are renewed together: filter further.")
            % {"most": f"{MAX_LINES:,}"}
        )
    return ids


def _listed() -> QuerySet[DeviceService]:
    """As Plan > Device Service has it (G3)."""
    paid = Product.objects.filter(rules__is_current=True, rules__paid_mode=True).values_list("pk", flat=True)
    rows: QuerySet[DeviceService] = DeviceService.objects.filter(product_id__in=list(paid))
    return rows.exclude(state="TERMINATED")
