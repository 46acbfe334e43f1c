"""Registering devices: a form for one, a CSV file for many; passwords and links are shown once (F68, F92, X4)."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.pages import Crumb, actor, ensure, needs, page, private, show, signed_in
from amp.foundation.services.refusals import Refused
from devices.forms.registration import DeviceForm, DeviceListConfirmForm, DeviceListForm, PlaceForm
from devices.registration_csv import Parsed, Problem, parse
from devices.services.registration import NewDevice, register_device, register_many

SHOWN_ROWS = 20
PROBLEMS = {
    "file_too_large": gettext_lazy("The file is larger than 10 MB. Split it."),
    "file_empty": gettext_lazy("The file is empty. The first line names the columns: key, serial, name, iccid."),
    "no_devices": gettext_lazy("There is no device below the header."),
    "too_many_rows": gettext_lazy("The file has %s devices; 50,000 is the limit. Split it."),
    "header_without_key": gettext_lazy("The first line must name a column “key”."),
    "unknown_column": gettext_lazy("“%s” is no column. Use key, serial, name, iccid."),
    "column_twice": gettext_lazy("A column is named twice. Keep one."),
    "quotes_not_closed": gettext_lazy("A quotation mark is opened and not closed."),
    "too_many_columns": gettext_lazy("The line has %s values for %s columns."),
    "line_too_long": gettext_lazy("The line is longer than 1,000 bytes."),
    "nul_byte": gettext_lazy("The line holds a NUL byte. Is it a text file?"),
    "not_utf8": gettext_lazy("The line is not UTF-8. Save the file as “CSV UTF-8”."),
    "bad_key": gettext_lazy("“%s” is no device key. Use 1 to 64 letters, digits, - or _."),
    "key_twice": gettext_lazy("The key “%s” is on line %s already."),
    "too_long": gettext_lazy("The %s is longer than %s characters."),
    "bad_iccid": gettext_lazy("“%s” is no ICCID. Use up to 22 digits."),
}


@needs(Action.REGISTER_DEVICES)
def add_device(request: HttpRequest) -> HttpResponse:
    """One device; its credential is on the answer to the POST and nowhere else."""
    initial = {"product": request.GET.get("product")}
    form = DeviceForm(request.POST or None, user=signed_in(request), initial=initial)
    if request.method == "POST" and form.is_valid():
        ensure(request, Action.REGISTER_DEVICES, form.cleaned_data["enterprise"])
        try:
            made = register_device(**form.cleaned_data, actor=actor(request), now=clock.now())
        except Refused as refused:
            show(form, refused)
        else:
            new = NewDevice(made.device.pk, made.device.key, made.password, made.renewal_token)
            return _credentials(request, form, [new])
    title = _("Register a device")
    return page(request, "admin/amp_form.html", title, crumbs=[_list()], form=form, submit=_("Register"))


@needs(Action.REGISTER_DEVICES)
def import_devices(request: HttpRequest) -> HttpResponse:
    """Reads a file, shows what it would register or what is wrong with it; changes nothing."""
    form = DeviceListForm(request.POST or None, request.FILES or None, user=signed_in(request))
    read: Parsed | None = None
    confirm: DeviceListConfirmForm | None = None
    if request.method == "POST" and form.is_valid():
        ensure(request, Action.REGISTER_DEVICES, form.cleaned_data["enterprise"])
        content = form.cleaned_data["file"].read(10 * 1024 * 1024 + 1)
        read = parse(content)
        if read.rows:
            given = {**{name: form.cleaned_data[name].pk for name in ("product", "enterprise")}}
            text = base64.b64encode(content).decode()
            confirm = DeviceListConfirmForm(user=signed_in(request), initial={**given, "text": text})
    return _import_page(request, form, read, confirm)


@needs(Action.REGISTER_DEVICES)
def register_list(request: HttpRequest) -> HttpResponse:
    """Registers the list that was shown: all of it or nothing."""
    form = DeviceListConfirmForm(request.POST or None, user=signed_in(request))
    if request.method != "POST" or not form.is_valid():
        return _import_page(request, DeviceListForm(user=signed_in(request)), None, None)
    place = {name: form.cleaned_data[name] for name in ("product", "enterprise")}
    ensure(request, Action.REGISTER_DEVICES, place["enterprise"])
    read = parse(_decoded(form.cleaned_data["text"]))
    again = DeviceListForm(user=signed_in(request), initial=place)
    if not read.rows:
        return _import_page(request, again, read, None)
    try:
        made = register_many(**place, rows=read.rows, actor=actor(request), now=clock.now())
    except Refused as refused:
        return _import_page(request, again, None, None, refusals=[problem.message for problem in refused.problems])
    return _credentials(request, form, made)


def _credentials(request: HttpRequest, form: PlaceForm, made: list[NewDevice]) -> HttpResponse:
    product = form.cleaned_data["product"]
    rows = [
        (new.device_id, new.key, f"{product.key}/{new.key}", new.password, link_of(new.renewal_token)) for new in made
    ]
    table = _csv(("key", "mqtt_user_name", "mqtt_password", "renewal_link"), (row[1:] for row in rows))
    response = page(
        request,
        "devices/credentials.html",
        _("Keep these credentials now"),
        crumbs=[_list()],
        rows=rows[:SHOWN_ROWS],
        count=len(rows),
        product=product,
        file=base64.b64encode(table.encode()).decode(),
        file_name=f"{product.key}-credentials.csv",
    )
    return private(response)


def link_of(token: str) -> str:
    """Address of a renewal page: from the configured base, never from the request (F96)."""
    return f"{settings.BASE_URL}/r/{token}"


def _import_page(
    request: HttpRequest,
    form: DeviceListForm,
    read: Parsed | None,
    confirm: DeviceListConfirmForm | None,
    refusals: Iterable[str] = (),
) -> HttpResponse:
    problems = [(problem.line, _sentence(problem)) for problem in read.problems] if read else []
    problems += [(0, refusal) for refusal in refusals]
    return page(
        request,
        "devices/import.html",
        _("Register devices from a file"),
        crumbs=[_list()],
        form=form,
        rows=read.rows[:SHOWN_ROWS] if read else [],
        count=len(read.rows) if read else 0,
        problems=problems,
        confirm=confirm,
        place=form.cleaned_data if form.is_bound and form.is_valid() else {},
        status=422 if problems else 200,
    )


def _sentence(problem: Problem) -> str:
    return str(PROBLEMS[problem.code]) % problem.arguments if problem.arguments else str(PROBLEMS[problem.code])


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _csv(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def _list() -> Crumb:
    return (_("Device List"), reverse("admin:devices_device_changelist"))
