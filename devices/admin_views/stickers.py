"""Stickers of ticked devices, or of all that match: what is printed and what it does to older links, then the PDF.

The sheet is made for one answer and kept nowhere: links are stored as digests, so nobody can print it again (F85).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.bulk import among
from amp.foundation.models import Enterprise
from amp.foundation.pages import actor, done, needs, page, private, refuse, signed_in
from amp.foundation.services.refusals import Refused
from devices.models import Device, PublicToken
from devices.papers import A_PAGE, Sticker, pages_for, sticker_sheet
from devices.services.tokens import issue_tokens, link_of, revoke_tokens

MOST = 1_000
"""Stickers of one order: 25 sheets of paper, some seconds of work."""
LINE_LENGTH = 40
TAIL = 4
KEPT = ("q", "sort", "per", "columns", "after", "before", "page", "view")


class Row(NamedTuple):
    """What a sticker needs to know of its device."""

    pk: int
    key: str
    name: str
    serial: str
    enterprise_id: int
    is_terminated: bool
    maker: str


class Choice(NamedTuple):
    """Devices to print, how many are left out for which reason, and the address that stands for the choice."""

    rows: Sequence[Row]
    terminated: int
    forbidden: int
    too_many: bool
    wrong: bool


@needs(Action.OPERATE_DEVICES)
def stickers(request: HttpRequest, *, model_admin: Any) -> HttpResponse:
    """GET says what would be printed; POST issues the links and answers with the sheets, once."""
    choice = _choice(request, model_admin)
    if request.method != "POST":
        return _sticker_page(request, choice)
    line = " ".join(request.POST.get("line", "").split())
    problems = _problems(request, choice, line)
    if problems:
        return _sticker_page(request, choice, problems)
    return _sheets(request, choice.rows, line)


@needs(Action.OPERATE_DEVICES)
def revoke_links(request: HttpRequest, *, model_admin: Any) -> HttpResponse:
    """GET says how many links would stop working; POST switches them off for good."""
    choice = _choice(request, model_admin, with_terminated=True)
    ids = [row.pk for row in choice.rows]
    if request.method == "POST" and ids and not choice.too_many:
        count = revoke_tokens(device_ids=ids, actor=actor(request), now=clock.now())
        done(request, _("Links that no longer work: %(n)s.") % {"n": f"{count:,}"})
        return redirect("admin:devices_device_changelist")
    links = PublicToken.objects.filter(among("device_id", ids), revoked_at=None).count()
    return page(
        request,
        "devices/revoke_links.html",
        _("Revoke renewal links"),
        crumbs=_crumbs(),
        choice=choice,
        devices=len(ids),
        links=links,
        most=MOST,
        status=422 if request.method == "POST" else 200,
    )


def to_stickers(request: HttpRequest, devices: QuerySet[Device]) -> HttpResponse | None:
    """From a list with ticked rows to the page of their stickers."""
    return _onward(request, devices, "admin:devices_stickers")


def to_revoke_links(request: HttpRequest, devices: QuerySet[Device]) -> HttpResponse | None:
    """From a list with ticked rows to the page that revokes their links."""
    return _onward(request, devices, "admin:devices_revoke_links")


def _onward(request: HttpRequest, devices: QuerySet[Device], name: str) -> HttpResponse | None:
    if request.POST.get("select_across") == "1":
        filters = request.GET.copy()
        for parameter in KEPT[1:]:
            filters.pop(parameter, None)
        return redirect(f"{reverse(name)}?{filters.urlencode()}")
    ids = list(devices.order_by("pk").values_list("pk", flat=True)[: MOST + 1])
    if len(ids) > MOST:
        refuse(request, Refused.because(_too_many()))
        return None
    return redirect(f"{reverse(name)}?ids={','.join(map(str, ids))}")


def _choice(request: HttpRequest, model_admin: Any, *, with_terminated: bool = False) -> Choice:
    """The ticked devices, or all that the list's filters leave, that this user may give links to."""
    matched = _matched(request, model_admin)
    if matched is None:
        return Choice((), 0, 0, too_many=False, wrong=True)
    ids = list(matched.order_by().values_list("pk", flat=True)[: MOST + 1])
    if len(ids) > MOST:
        return Choice((), 0, 0, too_many=True, wrong=False)
    rows = _rows(ids)
    allowed = _allowed(request, {row.enterprise_id for row in rows})
    mine = [row for row in rows if row.enterprise_id in allowed]
    fit = [row for row in mine if with_terminated or not row.is_terminated]
    return Choice(fit, len(mine) - len(fit), len(rows) - len(mine), too_many=False, wrong=False)


def _matched(request: HttpRequest, model_admin: Any) -> QuerySet[Device] | None:
    """None where the address can't be understood."""
    ticked = request.GET.get("ids")
    if ticked is not None:
        parts = [part for part in ticked.split(",") if part]
        if not all(part.isdecimal() and len(part) <= 18 for part in parts):
            return None
        return Device.objects.filter(among("id", sorted({int(part) for part in parts})))
    try:
        changelist = model_admin.get_changelist_instance(request)
    except IncorrectLookupParameters:
        return None
    return None if changelist.problems else changelist.queryset


def _rows(ids: list[int]) -> list[Row]:
    columns = ("pk", "key", "name", "serial", "enterprise_id", "terminated_at", "product__enterprise__name")
    found = Device.objects.filter(among("id", ids)).order_by("key", "pk").values_list(*columns)
    return [
        Row(pk, key, name, serial, owner, terminated is not None, maker)
        for pk, key, name, serial, owner, terminated, maker in found
    ]


def _allowed(request: HttpRequest, owners: set[int]) -> set[int]:
    places = Enterprise.objects.filter(pk__in=owners)
    return {place.pk for place in places if may(signed_in(request), Action.OPERATE_DEVICES, place)}


def _problems(request: HttpRequest, choice: Choice, line: str) -> list[str]:
    found = []
    if choice.too_many:
        found.append(_too_many())
    elif not choice.rows:
        found.append(_("There is no device to print a sticker for."))
    if not line or len(line) > LINE_LENGTH:
        found.append(_("Write a line of 1 to %(n)d characters.") % {"n": LINE_LENGTH})
    if request.POST.get("older") not in {"keep", "revoke"}:
        found.append(_("Choose what happens to older links."))
    return found


def _too_many() -> str:
    return _("One order prints at most %(n)s stickers. Narrow the list by its filters, and print in parts.") % {
        "n": f"{MOST:,}"
    }


def _sheets(request: HttpRequest, rows: Sequence[Row], line: str) -> HttpResponse:
    now = clock.now()
    tokens = issue_tokens(
        device_ids=[row.pk for row in rows],
        revoke_older=request.POST["older"] == "revoke",
        actor=actor(request),
        now=now,
    )
    drawn = [
        Sticker(link_of(tokens[row.pk]), row.name or row.key, (row.serial or row.key)[-TAIL:], row.maker)
        for row in rows
        if row.pk in tokens
    ]
    document = sticker_sheet(drawn, line=line, title=_("Renewal stickers"), cut_marks="marks" in request.POST)
    answer = HttpResponse(document, content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="stickers-{localtime(now):%Y%m%d-%H%M}.pdf"'
    return private(answer)


def _sticker_page(request: HttpRequest, choice: Choice, problems: Sequence[str] = ()) -> HttpResponse:
    ids = [row.pk for row in choice.rows]
    older = PublicToken.objects.filter(among("device_id", ids), revoked_at=None).count()
    return page(
        request,
        "devices/stickers.html",
        _("Renewal stickers"),
        crumbs=_crumbs(),
        choice=choice,
        count=len(choice.rows),
        sheets=pages_for(len(choice.rows)),
        a_page=A_PAGE,
        most=MOST,
        older=older,
        first=choice.rows[:5],
        problems=problems,
        line=request.POST.get("line") or _("Scan to renew"),
        line_length=LINE_LENGTH,
        chosen=request.POST.get("older", "keep" if not older else ""),
        marks=request.method != "POST" or "marks" in request.POST,
        status=422 if problems else 200,
    )


def _crumbs() -> list[tuple[Any, str]]:
    return [(_("Device List"), reverse("admin:devices_device_changelist"))]
