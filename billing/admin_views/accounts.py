"""Enterprise > merchant > payment accounts: connect a gateway, change its secret by two people, close it (E2)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.models import Enterprise, Merchant, MerchantStatus
from amp.foundation.pages import actor, done, ensure, found, needs, page, refuse, show, signed_in
from amp.foundation.services.refusals import Refused
from billing.forms.payments import ConnectForm, SecretForm
from billing.models import MerchantAccount, Provider
from billing.models.accounts import PROVIDER_NAMES
from billing.services.account_changes import close_account, connect_account, propose_secret, verify_secret
from billing.services.accounts import AccountRefused

HINTS = {
    Provider.SANDBOX.value: gettext_lazy("TEST money only. Its secret is made by itself."),
    Provider.WECHAT.value: gettext_lazy("Real money, CNY. Needs the keys of the merchant at WeChat Pay (APIv3)."),
    Provider.ALIPAY.value: gettext_lazy("Real money, CNY. Needs the keys of an application at Alipay (RSA2)."),
    Provider.OFFLINE.value: gettext_lazy("Two people confirm each payment by hand. No secret is needed."),
}


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
                _connect(merchant, form, actor(request))
            except Refused as refused:
                show(form, _beside(form, refused))
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
            form = _secrets(account, request.POST)
            if not form.is_valid():
                raise AccountRefused.because(" ".join(str(each[0]) for each in form.errors.values()))
            propose_secret(account=account, typed=form.typed(account.provider), actor=who, now=now)
            return _("Another administrator has to verify the new secret; until then the old one is used.")
        case "verify":
            verify_secret(account=account, actor=who, now=now)
            return _("The new secret is used from now on.")
        case "close":
            close_account(account=account, actor=who, now=now)
            return _("The account is closed. Payments and refunds that exist go on.")
    return ""


def _connect(merchant: Merchant, form: ConnectForm, who: str) -> None:
    provider = form.cleaned_data["provider"]
    connect_account(
        merchant=merchant,
        provider=provider,
        typed=form.typed(provider),
        ways=form.chosen_ways(),
        actor=who,
        now=clock.now(),
    )


def _beside(form: ConnectForm, refused: Refused) -> Refused:
    """The reasons with the form's names of their fields, which name the gateway too."""
    provider = form.cleaned_data["provider"]
    named = [(each, f"{provider}_{each.field}") for each in refused.problems]
    return Refused([each._replace(field=name) if name in form.fields else each for each, name in named])


def _secrets(account: MerchantAccount, given: QueryDict | None = None) -> SecretForm:
    return SecretForm(given, gateways=[Provider(account.provider)], auto_id=f"s{account.pk}-%s")


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
        accounts=[(each, _secrets(each)) for each in accounts.order_by("-is_active", "id")],
        form=form,
        gateways=[(title, HINTS[name]) for name, title in PROVIDER_NAMES],
        may_edit=may(user, Action.EDIT_ENTERPRISE, enterprise),
        may_verify=may(user, Action.VERIFY_MERCHANT, enterprise),
        me=user.email,
        zone=enterprise.time_zone,
        status=422 if request.method == "POST" else 200,
    )
