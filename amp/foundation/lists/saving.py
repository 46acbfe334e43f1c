"""Saved views of a list: kept and dropped below the list's address, shown as tabs above it."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.access import Action, home_enterprise, may
from amp.foundation.models import SavedView
from amp.foundation.pages import done, found, refuse, signed_in
from amp.foundation.services.refusals import Refused
from amp.foundation.services.saved_views import delete_view, save_view


class Tab(NamedTuple):
    """One saved view above its list."""

    name: str
    url: str
    is_open: bool
    is_shared: bool
    # Where its owner deletes it; empty for the views of others.
    delete: str
    pk: int


def tabs(request: HttpRequest, model_admin: Any) -> list[Tab]:
    """The reader's views of the list, by name."""
    reader = signed_in(request)
    views = SavedView.objects.of_list(model_admin.opts.label_lower, reader_id=reader.pk).order_by("name", "pk")
    return [
        Tab(
            view.name,
            f"?{view.query}&view={view.pk}".replace("?&", "?"),
            request.GET.get("view") == str(view.pk),
            view.is_shared,
            reverse(f"admin:{_name(model_admin)}_drop_view", args=[view.pk]) if view.owner_id == reader.pk else "",
            view.pk,
        )
        for view in views
    ]


def may_share(request: HttpRequest) -> bool:
    """Views are shared by those who shape the enterprise."""
    home = home_enterprise(signed_in(request))
    return home is not None and may(signed_in(request), Action.EDIT_ENTERPRISE, home)


def keep_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """POST `name`, `query` (the address of the list), with the permission `shared`, and `view`: the one to change."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    query = QueryDict(request.POST.get("query", "")[:4_000]).urlencode()
    back = f"{reverse(f'admin:{_name(model_admin)}_changelist')}?{query}"
    home = home_enterprise(signed_in(request))
    if home is None:
        return redirect(back)
    shared, opened = "shared" in request.POST, request.POST.get("view", "")[:18]
    if shared and not may_share(request):
        refuse(request, Refused.because(_("Your role does not include sharing views. Save it for yourself.")))
        return redirect(back)
    try:
        view = save_view(
            owner=signed_in(request),
            enterprise=home,
            list_name=model_admin.opts.label_lower,
            name=request.POST.get("name", ""),
            query=query,
            is_shared=shared,
            now=clock.now(),
            instead_of=_own(request, model_admin).filter(pk=int(opened)).first() if opened.isdecimal() else None,
        )
    except Refused as refused:
        refuse(request, refused)
        return redirect(back)
    done(request, _("View “%(name)s” saved.") % {"name": view.name})
    return redirect(f"{back}&view={view.pk}".replace("?&", "?"))


def drop_view(request: HttpRequest, model_admin: Any, pk: int) -> HttpResponse:
    """POST: the owner's own view goes."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    view = found(_own(request, model_admin), pk)
    name = view.name
    delete_view(view=view, actor=signed_in(request), now=clock.now())
    messages.success(request, _("View “%(name)s” deleted.") % {"name": name})
    return redirect(f"admin:{_name(model_admin)}_changelist")


def _own(request: HttpRequest, model_admin: Any) -> QuerySet[SavedView]:
    return SavedView.objects.filter(owner=signed_in(request), list_name=model_admin.opts.label_lower)


def _name(model_admin: Any) -> str:
    return f"{model_admin.opts.app_label}_{model_admin.opts.model_name}"
