"""Enterprise > Organization: the tree with its figures, and who is paid, with the consequences first (G4, E1, E2).

Composed at the roof: the tree is foundation's, products are the catalogue's, figures of devices were counted ahead.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock, views
from amp.foundation.access import Action, may, may_anywhere
from amp.foundation.forms import MerchantForm
from amp.foundation.models import Enterprise, Figure, Merchant, MerchantStatus, Tally
from amp.foundation.pages import done, ensure, found, needs, page, refuse, show, signed_in
from amp.foundation.services import enterprises
from amp.foundation.services.refusals import Refused
from catalog.services.merchants import merchant_consequences
from devices.services.figures import GROUP

WHOLE = 200
"""A tree of so many enterprises is shown as a whole; of a larger one the way to the chosen one, and what lies below."""
BELOW = 50
MATCHES = 50


@dataclass(slots=True)
class Node:
    """One row of the tree. `below` counts children, listed or not; `figures` are of this enterprise alone."""

    enterprise: Enterprise
    figures: dict[str, int] | None = None
    merchant: Merchant | None = None
    waits: bool = False
    below: int = 0
    is_open: bool = False
    is_chosen: bool = False
    children: list[Node] = field(default_factory=list)


@needs(Action.VIEW)
def organization(request: HttpRequest) -> HttpResponse:
    """The tree on the left, the chosen enterprise on the right: as many queries for a large tree as for a small one."""
    words = request.GET.get("q", "").strip()[:120]
    chosen = _chosen(request)
    start = _start(request)
    rows, rest = _matches(words) if words else _rows(chosen, start)
    nodes = _nodes(rows, chosen)
    return page(
        request,
        "admin/amp_organization.html",
        _("Organization"),
        tree=list(nodes.values()) if words else _nested(nodes),
        words=words,
        rest=rest,
        following=start + BELOW if rest else None,
        start=start,
        chosen=nodes.get(chosen.pk) or _nodes([chosen], chosen)[chosen.pk] if chosen else None,
        totals=_totals(chosen) if chosen else None,
        may_add=may_anywhere(signed_in(request), Action.EDIT_ENTERPRISE),
        may_edit=chosen is not None and may(signed_in(request), Action.EDIT_ENTERPRISE, chosen),
    )


@require_POST
def set_merchant(request: HttpRequest, pk: int) -> HttpResponse:
    """The first POST says where money would go; Confirm sets the first merchant, or drafts the change (E2)."""
    enterprise = found(Enterprise.objects.select_related("parent"), pk)
    ensure(request, Action.EDIT_ENTERPRISE, enterprise)
    form = MerchantForm(request.POST)
    if not form.is_valid():
        return views.enterprise_details(request, enterprise, merchant_form=form)
    if "confirm" not in request.POST:
        return _consequences(request, enterprise, form.cleaned_data, action="set")
    try:
        merchant = enterprises.set_merchant(
            enterprise=enterprise, **form.cleaned_data, user=signed_in(request), now=clock.now()
        )
    except Refused as refused:
        show(form, refused)
        return views.enterprise_details(request, enterprise, merchant_form=form)
    done(request, views.merchant_sentence(merchant))
    return redirect("admin:foundation_enterprise_change", pk)


@require_POST
def verify_merchant(request: HttpRequest, pk: int) -> HttpResponse:
    """The first POST says where money would go; Confirm puts in force what was seen. Another administrator (E2)."""
    enterprise = found(Enterprise.objects.select_related("parent"), pk)
    ensure(request, Action.VERIFY_MERCHANT, enterprise)
    given = request.POST.get("merchant", "")
    is_id = given.isascii() and given.isdecimal() and len(given) < 19
    draft = found(Merchant.objects.filter(enterprise=enterprise), int(given) if is_id else 0)
    draft.name, draft.merchant_id = request.POST.get("name", "")[:400], request.POST.get("merchant_id", "")[:400]
    if "confirm" not in request.POST:
        names = {"merchant": draft.pk, "name": draft.name, "merchant_id": draft.merchant_id}
        return _consequences(request, enterprise, names, action="verify")
    try:
        enterprises.verify_merchant(merchant=draft, user=signed_in(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, _("%(merchant)s is paid from now on.") % {"merchant": draft})
    return redirect("admin:foundation_enterprise_change", pk)


def _consequences(request: HttpRequest, enterprise: Enterprise, given: dict[str, Any], *, action: str) -> HttpResponse:
    statuses = set(Merchant.objects.filter(enterprise=enterprise).values_list("status", flat=True))
    return page(
        request,
        "admin/amp_merchant.html",
        _("Merchant of %(enterprise)s") % {"enterprise": enterprise},
        crumbs=views.crumbs_of(enterprise),
        enterprise=enterprise,
        given=given,
        action=action,
        waits=action == "set" and bool(statuses),
        redirects=MerchantStatus.VERIFIED.value in statuses,
        what=merchant_consequences(enterprise=enterprise),
    )


def _chosen(request: HttpRequest) -> Enterprise | None:
    given = request.GET.get("at", "")
    rows = Enterprise.objects.select_related("parent")
    if given.isascii() and given.isdecimal() and len(given) < 19:
        return found(rows, int(given))
    return rows.order_by("path").first()


def _start(request: HttpRequest) -> int:
    given = request.GET.get("from", "")
    return min(int(given), 100_000) if given.isascii() and given.isdecimal() and len(given) < 7 else 0


def _matches(words: str) -> tuple[list[Enterprise], int]:
    rows = list(Enterprise.objects.filter(name__icontains=words).order_by("path")[: MATCHES + 1])
    return rows[:MATCHES], len(rows) > MATCHES


def _rows(chosen: Enterprise | None, start: int) -> tuple[list[Enterprise], bool]:
    """What the tree lists, and whether more lies below the chosen one than is listed."""
    rows = list(Enterprise.objects.order_by("path")[: WHOLE + 1])
    if len(rows) <= WHOLE or chosen is None:
        return rows, False
    tops = _tops()
    way = Enterprise.objects.filter(pk__in=[*chosen.ancestor_ids, chosen.pk])
    below = list(Enterprise.objects.filter(parent=chosen).order_by("path")[start : start + BELOW + 1])
    listed = {row.pk: row for row in [*tops, *way, *below[:BELOW]]}
    return sorted(listed.values(), key=lambda row: row.path), len(below) > BELOW


def _tops() -> list[Enterprise]:
    """Enterprises whose parent the reader doesn't see."""
    seen = Enterprise.objects.order_by().values("pk")
    return list(Enterprise.objects.filter(Q(parent=None) | ~Q(parent__in=seen)).order_by("path")[:BELOW])


def _nodes(rows: list[Enterprise], chosen: Enterprise | None) -> dict[int, Node]:
    ids = [row.pk for row in rows]
    merchants, figures = enterprises.effective_merchants(rows), _figures(ids)
    drafts = set(
        Merchant.objects.filter(enterprise__in=ids, status=MerchantStatus.DRAFT.value).values_list(
            "enterprise_id", flat=True
        )
    )
    counted = Enterprise.objects.filter(parent__in=ids).order_by().values_list("parent_id").annotate(number=Count("pk"))
    below = dict(counted)
    way = {*chosen.ancestor_ids, chosen.pk} if chosen else set()
    return {
        row.pk: Node(
            enterprise=row,
            figures=figures.get(row.pk),
            merchant=merchants.get(row.pk),
            waits=row.pk in drafts,
            below=below.get(row.pk, 0),
            is_open=len(rows) <= BELOW or row.pk in way,
            is_chosen=chosen is not None and row.pk == chosen.pk,
        )
        for row in rows
    }


def _nested(nodes: dict[int, Node]) -> list[Node]:
    """The topmost nodes, each with its children."""
    tops: list[Node] = []
    for node in nodes.values():
        parent = nodes.get(node.enterprise.parent_id or 0)
        (parent.children if parent else tops).append(node)
    return tops


def _figures(ids: list[int]) -> dict[int, dict[str, int]]:
    """Devices, active and expiring of each enterprise whose figures were counted."""
    counted = Tally.objects.filter(enterprise__in=ids, group=GROUP, counted_at__isnull=False)
    found: dict[int, dict[str, int]] = {pk: defaultdict(int) for pk in counted.values_list("enterprise_id", flat=True)}
    rows = Figure.objects.filter(enterprise__in=ids, name__in=["services", "ends_soon"])
    for pk, name, bucket, number in rows.values_list("enterprise_id", "name", "bucket", "number"):
        if pk in found:
            _add(found[pk], name, bucket, number)
    return found


def _totals(chosen: Enterprise) -> dict[str, int]:
    """The same for the chosen enterprise with everything below it, and how many enterprises that is.

    Without "devices" where nothing of it was counted yet.
    """
    totals: dict[str, int] = defaultdict(int)
    if Tally.objects.filter(enterprise__path__startswith=chosen.path, group=GROUP, counted_at__isnull=False).exists():
        totals.update(devices=0, active=0, expiring=0)
    rows = Figure.objects.filter(enterprise__path__startswith=chosen.path, name__in=["services", "ends_soon"])
    for name, bucket, number in rows.order_by().values_list("name", "bucket").annotate(number=Sum("number")):
        _add(totals, name, bucket, number)
    totals["enterprises"] = Enterprise.objects.within(chosen).count() - 1
    return dict(totals)


def _add(figures: dict[str, int], name: str, bucket: str, number: int) -> None:
    if name == "ends_soon":
        figures["expiring"] += number
    elif bucket != "TERMINATED":
        figures["devices"] += number
        figures["active"] += number if bucket == "ACTIVE" else 0
