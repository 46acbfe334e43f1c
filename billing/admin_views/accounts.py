"""Enterprise > merchant > payment accounts: connect a gateway, change its secret by two people, close it (E2)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.models import Enterprise, Merchant, MerchantStatus
from amp.foundation.pages import actor, done, ensure, found, needs, page, refuse, show, signed_in
from amp.foundation.services.refusals import Refused
from billing.forms import ConnectForm
from billing.models import MerchantAccount
from billing.services.account_changes import close_account, connect_account, propose_secret, verify_secret
from billing.services.accounts import CONNECTORS


@needs(Action.VIEW)
def payment_accounts(request: HttpRequest, pk: int) -> HttpResponse:
    """The accounts of the enterprise's own merchant; POST connects one."""
    enterprise = found(Enterprise.objects.all(), pk)
    merchant = _merchant(enterprise)
    form = ConnectForm(request.POST or None)
    if request.method == "POST":
        ensure(request, Action.EDIT_ENTERPRISE, enterprise)
        if merchant and form.is_valid():
            try:
                provider = form.cleaned_data["provider"]
                connect_account(
                    merchant=merchant,
                    provider=provider,
                    typed=_typed(form.cleaned_data, provider),
                    actor=actor(request),
                    now=clock.now(),
                )
            except Refused as refused:
                show(form, refused)
            else:
                done(request, _("The account is connected."))
                return redirect("admin:payment_accounts", pk)
    return _page(request, enterprise, merchant, form)


@require_POST
def change_account(request: HttpRequest, pk: int, account_pk: int) -> HttpResponse:
    """Propose a new secret, verify the proposed one, close the account."""
    enterprise = found(Enterprise.objects.all(), pk)
    account = found(MerchantAccount.objects.filter(merchant__enterprise=enterprise), account_pk)
    verb = request.POST.get("change", "")
    ensure(request, Action.VERIFY_MERCHANT if verb == "verify" else Action.EDIT_ENTERPRISE, enterprise)
    try:
        if sentence := _changed(account, verb, request):
            done(request, sentence)
    except Refused as refused:
        refuse(request, refused)
    return redirect("admin:payment_accounts", pk)


def _changed(account: MerchantAccount, verb: str, request: HttpRequest) -> str:
    who, now = actor(request), clock.now()
    match verb:
        case "secret":
            typed = {name: value[:8_000] for name, value in request.POST.items() if isinstance(value, str)}
            propose_secret(account=account, typed=_typed(typed, account.provider), actor=who, now=now)
            return _("Another administrator has to verify the new secret; until then the old one is used.")
        case "verify":
            verify_secret(account=account, actor=who, now=now)
            return _("The new secret is used from now on.")
        case "close":
            close_account(account=account, actor=who, now=now)
            return _("The account is closed. Payments and refunds that exist go on.")
    return ""


def _typed(given: dict[str, str], provider: str) -> dict[str, str]:
    connector = CONNECTORS.get(provider)
    return {each.name: given.get(f"{provider}_{each.name}", "") for each in connector.secrets} if connector else {}


def _merchant(enterprise: Enterprise) -> Merchant | None:
    return Merchant.objects.filter(enterprise=enterprise, status=MerchantStatus.VERIFIED.value).first()


def _page(request: HttpRequest, enterprise: Enterprise, merchant: Merchant | None, form: ConnectForm) -> HttpResponse:
    user = signed_in(request)
    accounts = MerchantAccount.objects.filter(merchant__enterprise=enterprise).select_related("merchant")
    return page(
        request,
        "billing/accounts.html",
        _("Payment accounts"),
        crumbs=[
            (_("Organization"), reverse("admin:foundation_enterprise_changelist")),
            (enterprise.name, reverse("admin:foundation_enterprise_change", args=[enterprise.pk])),
        ],
        enterprise=enterprise,
        merchant=merchant,
        accounts=[(each, CONNECTORS.get(each.provider)) for each in accounts.order_by("-is_active", "id")],
        form=form,
        connectors=list(CONNECTORS.values()),
        may_edit=may(user, Action.EDIT_ENTERPRISE, enterprise),
        may_verify=may(user, Action.VERIFY_MERCHANT, enterprise),
        me=user.email,
        zone=enterprise.time_zone,
        status=422 if request.method == "POST" else 200,
    )
