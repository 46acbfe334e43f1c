"""Pages of enterprises: Organization, the merchant with its Confirm, who is a member (G4, E2)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.forms import EnterpriseForm, MerchantForm, NewEnterpriseForm
from amp.foundation.models import Enterprise, Membership, Merchant, MerchantStatus
from amp.foundation.pages import Crumb, actor, done, ensure, found, needs, page, refuse, show, signed_in
from amp.foundation.services import enterprises
from amp.foundation.services.refusals import Refused
from amp.foundation.templatetags.amp_display import badge_html, code_html


def merchant_cell(enterprise: Enterprise) -> str:
    """Merchant of a row of the tree, from prefetched merchants."""
    by_status = {merchant.status: merchant for merchant in enterprise.merchants.all()}
    verified = by_status.get(MerchantStatus.VERIFIED.value)
    draft = by_status.get(MerchantStatus.DRAFT.value)
    above = format_html('<span class="amp-muted">{}</span>', _("from above"))
    shown = code_html(verified.merchant_id) if verified else above
    return format_html("{} {}", shown, badge_html(_("change waits"), "amber")) if draft else shown


@needs(Action.EDIT_ENTERPRISE)
def add_enterprise(request: HttpRequest) -> HttpResponse:
    """A new enterprise below one that the user administers."""
    form = NewEnterpriseForm(
        request.POST or None, user=signed_in(request), initial={"time_zone": "Asia/Shanghai", "currency": "CNY"}
    )
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
    return _enterprise_page(request, enterprise, form, MerchantForm())


@require_POST
def set_merchant(request: HttpRequest, pk: int) -> HttpResponse:
    """Confirm a merchant id: the first takes effect at once, a change is a draft (E2)."""
    enterprise = found(Enterprise.objects.all(), pk)
    ensure(request, Action.EDIT_ENTERPRISE, enterprise)
    form = MerchantForm(request.POST)
    if form.is_valid():
        try:
            merchant = enterprises.set_merchant(
                enterprise=enterprise, **form.cleaned_data, user=signed_in(request), now=clock.now()
            )
        except Refused as refused:
            show(form, refused)
        else:
            done(request, _merchant_sentence(merchant))
            return redirect(_address(enterprise))
    facts = {"name": enterprise.name, "time_zone": enterprise.time_zone, "currency": enterprise.currency}
    return _enterprise_page(request, enterprise, EnterpriseForm(initial=facts), form)


@require_POST
def verify_merchant(request: HttpRequest, pk: int) -> HttpResponse:
    """A second administrator puts the drafted merchant in force; what was seen is what is verified (E2)."""
    enterprise = found(Enterprise.objects.all(), pk)
    ensure(request, Action.VERIFY_MERCHANT, enterprise)
    chosen = request.POST.get("merchant", "")
    is_id = chosen.isascii() and chosen.isdecimal() and len(chosen) < 19
    draft = found(Merchant.objects.filter(enterprise=enterprise), int(chosen) if is_id else 0)
    draft.name, draft.merchant_id = request.POST.get("name", ""), request.POST.get("merchant_id", "")
    try:
        enterprises.verify_merchant(merchant=draft, user=signed_in(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, _("%(merchant)s is paid from now on.") % {"merchant": draft})
    return redirect(_address(enterprise))


def _enterprise_page(
    request: HttpRequest, enterprise: Enterprise, form: EnterpriseForm, merchant_form: MerchantForm
) -> HttpResponse:
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
        may_edit=may(signed_in(request), Action.EDIT_ENTERPRISE, enterprise),
        may_verify=may(signed_in(request), Action.VERIFY_MERCHANT, enterprise),
        members=Membership.objects.filter(enterprise=enterprise).select_related("user").order_by("user__email"),
    )


def _merchant_sentence(merchant: Merchant) -> str:
    if merchant.status == MerchantStatus.VERIFIED.value:
        return _("%(merchant)s is paid from now on.") % {"merchant": merchant}
    return _("The change waits until another administrator verifies it. Until then money goes where it went.")


def _tree() -> Crumb:
    return (_("Organization"), reverse("admin:foundation_enterprise_changelist"))


def _address(enterprise: Enterprise) -> str:
    return reverse("admin:foundation_enterprise_change", args=[enterprise.pk])
