"""Merchant accounts at gateways: opening them, finding the one that sells, building its adapter."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.foundation.models import Merchant
from amp.foundation.scoping import system_scope
from amp.foundation.sealed import seal, unseal
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.refusals import Refused
from billing.models import MerchantAccount, PaymentAttempt, Provider
from billing.providers.protocol import Credentials, PaymentProvider
from billing.providers.registry import provider_for
from billing.services.offline_books import Books


class SecretField(NamedTuple):
    """One secret that a gateway gives its merchants; it can be typed, never read."""

    name: str
    title: Any


class Connector(NamedTuple):
    """How an account at one gateway is connected: what is asked for, and the secret that is made of it."""

    provider: Provider
    title: Any
    hint: Any
    secrets: tuple[SecretField, ...]
    secret_of: Callable[[Mapping[str, str]], bytes]


CONNECTORS: Mapping[str, Connector] = {
    Provider.SANDBOX.value: Connector(
        Provider.SANDBOX,
        gettext_lazy("Sandbox (TEST)"),
        gettext_lazy("TEST money only. Its secret is made by itself."),
        (),
        lambda _typed: secrets.token_bytes(32),
    ),
    Provider.OFFLINE.value: Connector(
        Provider.OFFLINE,
        gettext_lazy("Bank transfer"),
        gettext_lazy("Two people confirm each payment by hand. No secret is needed."),
        (),
        lambda _typed: b"",
    ),
}
"""Gateways that can be connected by hand. A further one is one more row here, with its secrets."""


class AccountRefused(Refused):
    """The merchant can't have such an account, or has none to be paid through."""


@transaction.atomic
def open_account(
    *, merchant: Merchant, provider: Provider, secret: bytes, actor: str, now: datetime
) -> MerchantAccount:
    """Connect a merchant to a gateway; `secret` is sealed for this account and never shown again.

    Raises AccountRefused: one active account per gateway, and TEST money never beside real money in one enterprise.
    """
    with system_scope():
        Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)
        active = MerchantAccount.objects.filter(enterprise_id=merchant.enterprise_id, is_active=True)
        kinds = set(active.values_list("provider", flat=True))
        if active.filter(merchant=merchant, provider=provider.value).exists():
            raise AccountRefused.because(_("This merchant has an account at this gateway already."))
        if kinds and (provider is Provider.SANDBOX) != (kinds == {Provider.SANDBOX.value}):
            raise AccountRefused.because(_("An enterprise can't take TEST payments and real payments side by side."))
        account = _made(merchant, provider, secret, now)
    record_event(
        EventDraft(
            "merchant.account_opened",
            f"enterprise:{merchant.enterprise_id}",
            merchant.enterprise_id,
            now,
            actor,
            after={"merchant": merchant.merchant_id, "gateway": provider.value},
        ),
        now=now,
    )
    return account


def account_that_sells(merchant: Merchant, *, now: datetime, by_transfer: bool = True) -> MerchantAccount:
    """The active account through which `merchant` is paid. Raises AccountRefused where there is none.

    Bank transfers come last, and not at all where `by_transfer` is off: nobody waits for one on the public page.

    Where the sandbox is on, a merchant without any account gets one there: the product can be tried at once. A buyer
    below the merchant's enterprise never reads the account, hence the system's scope.
    """
    with system_scope():
        found = _first_active(merchant, by_transfer=by_transfer)
        if found is None and settings.SANDBOX_ENABLED:
            found = _sandbox_account(merchant, now)
    if found is None:
        raise AccountRefused.because(_("The seller can't take payments yet: no payment account is connected."))
    return found


def gateway_of(account: MerchantAccount) -> PaymentProvider:
    """The adapter of one account, with its secret. Build it, use it, let it go."""
    owner = str(account.public_id)
    return provider_for(
        account.provider,
        Credentials(
            account=account.public_id.hex,
            merchant_id=account.merchant.merchant_id,
            secret=unseal(account.sealed_secret, owner),
            base_url=settings.BASE_URL,
            books=Books(account) if account.provider == Provider.OFFLINE.value else None,
        ),
    )


def gateway_of_attempt(attempt: PaymentAttempt) -> PaymentProvider:
    """The adapter of the account that the attempt was made with, whatever sells today."""
    return gateway_of(attempt.account)


def notify_url(account: MerchantAccount) -> str:
    """Where the gateway reports; from the configured address, never from a request (F96)."""
    return f"{settings.BASE_URL}/pay/notify/{account.provider}/{account.public_id}"


def transfer_account_of(merchant: Merchant) -> MerchantAccount | None:
    """The account for bank transfers, where the merchant has one. Runs in the system's scope."""
    with system_scope():
        return MerchantAccount.objects.filter(
            merchant=merchant, is_active=True, provider=Provider.OFFLINE.value
        ).first()


def _first_active(merchant: Merchant, *, by_transfer: bool = True) -> MerchantAccount | None:
    active = MerchantAccount.objects.filter(merchant=merchant, is_active=True).select_related("merchant")
    if not settings.SANDBOX_ENABLED:
        active = active.exclude(provider=Provider.SANDBOX.value)
    if not by_transfer:
        active = active.exclude(provider=Provider.OFFLINE.value)
    found = list(active.order_by("id"))
    return min(found, key=lambda account: account.provider == Provider.OFFLINE.value, default=None)


def _sandbox_account(merchant: Merchant, now: datetime) -> MerchantAccount | None:
    """One more look under the merchant's lock: two first buyers make one account."""
    with transaction.atomic():
        Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)
        if found := _first_active(merchant, by_transfer=False):
            return found
        elsewhere = MerchantAccount.objects.filter(enterprise_id=merchant.enterprise_id, is_active=True)
        if elsewhere.exclude(provider=Provider.SANDBOX.value).exists():
            return None
        return open_account(
            merchant=merchant, provider=Provider.SANDBOX, secret=secrets.token_bytes(32), actor="system", now=now
        )


def _made(merchant: Merchant, provider: Provider, secret: bytes, now: datetime) -> MerchantAccount:
    public_id = uuid.uuid4()
    account: MerchantAccount = MerchantAccount.objects.create(
        enterprise_id=merchant.enterprise_id,
        merchant=merchant,
        provider=provider.value,
        public_id=public_id,
        sealed_secret=seal(secret, str(public_id)),
        created_at=now,
    )
    return account
