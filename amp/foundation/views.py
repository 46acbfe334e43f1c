"""Pages of enterprises: Organization, the merchant with its Confirm, who is a member (G4, E2)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.choosing import enterprises_where, found_choices
from amp.foundation.forms import EnterpriseForm, MerchantForm, NewEnterpriseForm
from amp.foundation.models import Enterprise, Membership, Merchant, MerchantStatus
from amp.foundation.pages import Crumb, actor, done, ensure, found, needs, page, show, signed_in
from amp.foundation.services import enterprises
from amp.foundation.services.refusals import Refused


@needs(Action.EDIT_ENTERPRISE)
def add_enterprise(request: HttpRequest) -> HttpResponse:
    """A new enterprise below one that the user administers."""
    form = NewEnterpriseForm(request.POST or None, user=signed_in(request), initial=_first_values(request))
    if request.method == "POST" and form.is_valid():
        ensure(request, Action.EDIT_ENTERPRISE, form.cleaned_data["parent"])
        try:
            made = enterprises.create_enterprise(**form.cleaned_data, actor=actor(request), now=clock.now())
        except Refused as refused:
            show(form, refused)
        else:
            done(request, _("%(name)s was added.") % {"name": made})
            return redirect(_address(made))
    title = _("Add enterprise")
    return page(request, "admin/amp_form.html", title, crumbs=[_tree()], form=form, submit=title)


@require_safe
@needs(Action.VIEW)
def enterprise_choices(request: HttpRequest) -> HttpResponse:
    """Enterprises to choose from: those in which the user may do what the form does, in a list all of the reader's."""
    asked = request.GET.get("action", "")
    action = Action(asked) if asked in set(Action) else Action.VIEW
    return found_choices(request, enterprises_where(signed_in(request), action), by="name")


def _first_values(request: HttpRequest) -> dict[str, str]:
    """A child starts with the zone and the currency of its parent."""
    given = request.GET.get("parent", "")
    is_id = given.isascii() and given.isdecimal() and len(given) < 19
    parent = Enterprise.objects.filter(pk=int(given)).first() if is_id else None
    if parent is None:
        return {"time_zone": "Asia/Shanghai", "currency": "CNY"}
    return {"parent": str(parent.pk), "time_zone": parent.time_zone, "currency": parent.currency}


@needs(Action.VIEW)
def enterprise_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One enterprise: its facts, its merchant, its members; saving the facts needs the role."""
    enterprise = found(Enterprise.objects.select_related("parent"), pk)
    facts = {"name": enterprise.name, "time_zone": enterprise.time_zone, "currency": enterprise.currency}
    form = EnterpriseForm(request.POST or None, initial=facts)
    if request.method == "POST":
        ensure(request, Action.EDIT_ENTERPRISE, enterprise)
        if form.is_valid():
            try:
                enterprises.edit_enterprise(
                    enterprise=enterprise, **form.cleaned_data, actor=actor(request), now=clock.now()
                )
            except Refused as refused:
                show(form, refused)
            else:
                done(request, _("Saved."))
                return redirect(_address(enterprise))
    return enterprise_details(request, enterprise, form)


def enterprise_details(
    request: HttpRequest,
    enterprise: Enterprise,
    form: EnterpriseForm | None = None,
    merchant_form: MerchantForm | None = None,
) -> HttpResponse:
    """The page of one enterprise, with what was typed into one of its forms."""
    facts = {"name": enterprise.name, "time_zone": enterprise.time_zone, "currency": enterprise.currency}
    form, merchant_form = form or EnterpriseForm(initial=facts), merchant_form or MerchantForm()
    merchants = list(
        Merchant.objects.filter(enterprise=enterprise).select_related("proposed_by", "verified_by").order_by("-id")
    )
    return page(
        request,
        "admin/amp_enterprise.html",
        enterprise.name,
        crumbs=[_tree()],
        enterprise=enterprise,
        form=form,
        merchant_form=merchant_form,
        merchants=merchants,
        verified=next((row for row in merchants if row.status == MerchantStatus.VERIFIED.value), None),
        draft=next((row for row in merchants if row.status == MerchantStatus.DRAFT.value), None),
        effective=enterprises.effective_merchant(enterprise),
        status=422 if (form.is_bound and form.errors) or (merchant_form.is_bound and merchant_form.errors) else 200,
        may_edit=may(signed_in(request), Action.EDIT_ENTERPRISE, enterprise),
        may_verify=may(signed_in(request), Action.VERIFY_MERCHANT, enterprise),
        members=Membership.objects.filter(enterprise=enterprise).select_related("user").order_by("user__email"),
    )


def merchant_sentence(merchant: Merchant) -> str:
    """What became of a confirmed merchant (E2)."""
    if merchant.status == MerchantStatus.VERIFIED.value:
        return _("%(merchant)s is paid from now on.") % {"merchant": merchant}
    return _("The change waits until another administrator verifies it. Until then money goes where it went.")


def crumbs_of(enterprise: Enterprise) -> list[Crumb]:
    """The steps above a page about one enterprise."""
    return [_tree(), (enterprise.name, _address(enterprise))]


def _tree() -> Crumb:
    return (_("Organization"), reverse("admin:foundation_enterprise_changelist"))


def _address(enterprise: Enterprise) -> str:
    return reverse("admin:foundation_enterprise_change", args=[enterprise.pk])
