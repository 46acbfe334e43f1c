"""Pages of API keys: made and shown once, looked at, revoked (F83, F84). Only who manages them sees that they exist."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import ALLOWED, Action
from amp.foundation.key_forms import SCOPE_NAMES, ApiKeyForm
from amp.foundation.models import ApiKey, Role, Scope
from amp.foundation.pages import Crumb, done, ensure, found, needs, page, private, show, signed_in
from amp.foundation.services.api_keys import create_api_key, has_maker_with_rights, revoke_api_key
from amp.foundation.services.refusals import Refused
from amp.foundation.templatetags.amp_display import badge_html, code_html, day, moment


@needs(Action.MANAGE_API_KEYS)
@sensitive_variables("text")
def add_key(request: HttpRequest) -> HttpResponse:
    """A new key; its text is in the answer to this request and nowhere else."""
    user = signed_in(request)
    form = ApiKeyForm(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        ensure(request, Action.MANAGE_API_KEYS, given["enterprise"])
        wall = clock.wall()
        try:
            key, text = create_api_key(
                enterprise=given["enterprise"],
                name=given["name"],
                scopes=given["scopes"],
                expires_at=wall + timedelta(days=given["days"]),
                user=user,
                now=clock.now(),
                wall=wall,
            )
        except Refused as refused:
            show(form, refused)
        else:
            return private(page(request, "admin/amp_key_made.html", key.name, crumbs=[_list()], key=key, text=text))
    title = _("Add API key")
    return page(request, "admin/amp_form.html", title, crumbs=[_list()], form=form, submit=title)


@needs(Action.MANAGE_API_KEYS)
def key_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One key: what it may do, until when, when it was last used."""
    key = found(ApiKey.objects.select_related("enterprise", "created_by"), pk)
    ensure(request, Action.MANAGE_API_KEYS, key.enterprise)
    names = [(scope.value, SCOPE_NAMES[scope]) for scope in Scope if scope.value in key.scopes]
    return page(
        request,
        "admin/amp_key.html",
        key.name,
        crumbs=[_list()],
        key=key,
        scopes=names,
        state=state(key),
        is_live=key.is_live(clock.wall()),
        has_maker=has_maker_with_rights(key),
    )


@require_POST
def revoke_key(request: HttpRequest, pk: int) -> HttpResponse:
    """The key's next request is refused."""
    key = found(ApiKey.objects.select_related("enterprise"), pk)
    ensure(request, Action.MANAGE_API_KEYS, key.enterprise)
    revoke_api_key(key=key, user=signed_in(request), now=clock.now(), wall=clock.wall())
    done(request, _("%(name)s was revoked.") % {"name": key.name})
    return redirect("admin:foundation_apikey_change", pk)


def managed(keys: QuerySet[ApiKey], request: HttpRequest) -> QuerySet[ApiKey]:
    """Those of enterprises in which the user manages keys: a role that only reads elsewhere shows none of theirs."""
    roles = signed_in(request).memberships.select_related("enterprise")
    roots = [role.enterprise.path for role in roles if Action.MANAGE_API_KEYS in ALLOWED[Role(role.role)]]
    reach = Q(pk__in=())
    for root in roots:
        reach |= Q(enterprise__path__startswith=root)
    return keys.filter(reach)


@admin.display(description=gettext_lazy("key begins with"))
def begins_with(key: ApiKey) -> str:
    """The part that people tell keys apart by."""
    return code_html(key.prefix)


@admin.display(description=gettext_lazy("status"))
def state(key: ApiKey) -> str:
    """Whether the key still opens."""
    if key.revoked_at:
        return badge_html(_("Revoked"), "grey")
    return badge_html(_("Live"), "green") if key.is_live(clock.wall()) else badge_html(_("Expired"), "amber")


@admin.display(description=gettext_lazy("scopes"))
def may_do(key: ApiKey) -> str:
    """How much the key may do."""
    return ", ".join(key.scopes)


@admin.display(description=gettext_lazy("expires"))
def expiry(key: ApiKey) -> str:
    """The day."""
    return day(key.expires_at)


@admin.display(description=gettext_lazy("last used"))
def last_use(key: ApiKey) -> str:
    """To the hour."""
    return moment(key.last_used_at) if key.last_used_at else "—"


def _list() -> Crumb:
    return (_("API keys"), reverse("admin:foundation_apikey_changelist"))
