"""Merchant accounts at gateways: opening them, finding the one that sells, building its adapter."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.models import Enterprise, Merchant
from amp.foundation.scoping import system_scope
from amp.foundation.sealed import seal, unseal
from amp.foundation.services.events import record_about
from billing.bills import bill_day, first_asked
from billing.models import MerchantAccount, Order, PaymentAttempt, Provider
from billing.orders import PayWay
from billing.providers.account_secrets import AlipaySecret, WeChatSecret
from billing.providers.protocol import BillSource, Credentials, PaymentProvider
from billing.providers.registry import BILLS, WAYS, bill_source_for, provider_for
from billing.services.account_secrets import AccountRefused as AccountRefused
from billing.services.account_secrets import checked_secret
from billing.services.offline_books import Books


@transaction.atomic
def open_account(
    *,
    merchant: Merchant,
    provider: Provider,
    secret: bytes | Mapping[str, str],
    actor: str,
    now: datetime,
    ways: Collection[PayWay] = (),
) -> MerchantAccount:
    """Connect a merchant to a gateway; `secret` is sealed for this account and never shown again.

    The sandbox takes random bytes, a bank transfer none, the others the texts of `account_secrets.secret_fields`.
    `ways` narrows what the account offers; none named means all that the gateway can.
    Raises AccountRefused, beside its field where one is wrong: one active account per gateway, and TEST money never
    beside real money in one enterprise, nor where the sandbox is on in production (X9).
    """
    sealable = checked_secret(provider, secret)
    if settings.IS_PRODUCTION and settings.SANDBOX_ENABLED and provider is not Provider.SANDBOX:
        raise AccountRefused.because(_("This installation takes TEST payments: switch AMP_SANDBOX off first."))
    with system_scope():
        Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)
        active = MerchantAccount.objects.filter(enterprise_id=merchant.enterprise_id, is_active=True)
        kinds = set(active.values_list("provider", flat=True))
        if active.filter(merchant=merchant, provider=provider.value).exists():
            raise AccountRefused.because(_("This merchant has an account at this gateway already."))
        if not set(ways) <= WAYS[provider.value]:
            raise AccountRefused.because(_("This gateway does not offer all of these ways of paying."), "ways")
        if kinds and (provider is Provider.SANDBOX) != (kinds == {Provider.SANDBOX.value}):
            raise AccountRefused.because(_("An enterprise can't take TEST payments and real payments side by side."))
        account = _made(merchant, provider, sealable, ways, now)
    record_account(account, "merchant.account_opened", actor=actor, now=now)
    return account


@transaction.atomic
def replace_secret(
    *, account: MerchantAccount, secret: bytes | Mapping[str, str], actor: str, now: datetime
) -> MerchantAccount:
    """New keys for an account, at once for all its payments, also those that wait. Raises AccountRefused.

    People do it in two steps, by two administrators: `account_changes`.
    """
    sealable = checked_secret(Provider(account.provider), secret)
    with system_scope():
        locked: MerchantAccount = MerchantAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        return put_in_force(locked, sealable, actor=actor, now=now)


def put_in_force(account: MerchantAccount, secret: bytes, *, actor: str, now: datetime) -> MerchantAccount:
    """Seal a checked secret for a locked account; whatever was proposed before is void."""
    account.sealed_secret = seal(secret, str(account.public_id))
    account.sealed_draft = account.drafted_by = ""
    account.save(update_fields=["sealed_secret", "sealed_draft", "drafted_by"])
    record_account(account, "merchant.account_rekeyed", actor=actor, now=now)
    return account


def record_account(account: MerchantAccount, kind: str, *, actor: str, now: datetime) -> None:
    """One event about an account, on the record of its enterprise (R9)."""
    told = {"merchant": account.merchant.merchant_id, "gateway": account.provider}
    record_about(account.enterprise, kind, actor=actor, after=told, now=now)


def ways_of(account: MerchantAccount) -> frozenset[PayWay]:
    """The ways of paying that the account offers."""
    can = WAYS[account.provider]
    return frozenset(way for way in can if way.value in account.ways) if account.ways else can


def account_that_sells(
    merchant: Merchant, *, now: datetime, way: PayWay = PayWay.SCREEN, by_transfer: bool = True
) -> MerchantAccount:
    """The oldest active account that offers `way` for `merchant`. Raises AccountRefused where there is none.

    Bank transfers come last, and not at all where `by_transfer` is off: nobody waits for one on the public page.

    Where the sandbox is on, a merchant without any account gets one there: the product can be tried at once. A buyer
    below the merchant's enterprise never reads the account, hence the system's scope.
    """
    with system_scope():
        found = accounts_of(merchant, by_transfer=by_transfer)
        if not found and settings.SANDBOX_ENABLED and (opened := _sandbox_account(merchant, now)):
            found = [opened]
        offering = next((account for account in found if way in ways_of(account)), None)
    if found and offering is None:
        raise AccountRefused.because(_("The seller's payment account does not offer this way of paying."))
    if offering is None:
        raise AccountRefused.because(_("The seller can't take payments yet: no payment account is connected."))
    return offering


def accounts_of(merchant: Merchant, *, by_transfer: bool = True) -> list[MerchantAccount]:
    """The active accounts through which `merchant` can be paid: oldest first, bank transfers last, and not at all where
    `by_transfer` is off. Runs in the system's scope."""
    active = MerchantAccount.objects.filter(merchant=merchant, is_active=True).select_related("merchant")
    if not settings.SANDBOX_ENABLED:
        active = active.exclude(provider=Provider.SANDBOX.value)
    if not by_transfer:
        active = active.exclude(provider=Provider.OFFLINE.value)
    return sorted(active.order_by("id"), key=lambda account: account.provider == Provider.OFFLINE.value)


def gateway_of(account: MerchantAccount) -> PaymentProvider:
    """The adapter of one account, with its secret. Build it, use it, let it go."""
    return provider_for(account.provider, _credentials(account))


def bill_source_of(account: MerchantAccount) -> BillSource:
    """The adapter of one account as a source of daily bills. Raises KeyError where its gateway gives none."""
    return bill_source_for(account.provider, _credentials(account))


def _credentials(account: MerchantAccount) -> Credentials:
    return Credentials(
        account=account.public_id.hex,
        merchant_id=account.merchant.merchant_id,
        secret=unseal(account.sealed_secret, str(account.public_id)),
        base_url=settings.BASE_URL,
        gateway_url=settings.PAYMENT_GATEWAYS.get(account.provider, ""),
        books=Books(account) if account.provider == Provider.OFFLINE.value else None,
    )


def gateway_of_attempt(attempt: PaymentAttempt) -> PaymentProvider:
    """The adapter of the account that the attempt was made with, whatever sells today."""
    return gateway_of(attempt.account)


def number_at_gateway(account: MerchantAccount) -> str:
    """What the gateway calls who is paid: the number that its bills name."""
    secret = unseal(account.sealed_secret, str(account.public_id))
    match Provider(account.provider):
        case Provider.WECHAT:
            wechat = WeChatSecret.load(secret)
            return wechat.sub_mchid or wechat.mchid
        case Provider.ALIPAY:
            return AlipaySecret.load(secret).seller_id
    return str(account.merchant.merchant_id)


def seller_of(order: Order) -> Enterprise:
    """Whose money the order's payments are: only people of it, or above it, say that money came or send it back.

    A buyer below the seller has its own people in its own enterprise, hence never `order.enterprise` (R6).
    """
    with system_scope():
        return order.merchant.enterprise


def notify_url(account: MerchantAccount) -> str:
    """Where the gateway reports; from the configured address, never from a request (F96)."""
    return f"{settings.BASE_URL}/pay/notify/{account.provider}/{account.public_id}"


def transfer_account_of(merchant: Merchant) -> MerchantAccount | None:
    """The account for bank transfers, where the merchant has one. Runs in the system's scope."""
    with system_scope():
        return MerchantAccount.objects.filter(
            merchant=merchant, is_active=True, provider=Provider.OFFLINE.value
        ).first()


def _sandbox_account(merchant: Merchant, now: datetime) -> MerchantAccount | None:
    """One more look under the merchant's lock: two first buyers make one account."""
    with transaction.atomic():
        Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)
        if found := accounts_of(merchant, by_transfer=False):
            return found[0]
        elsewhere = MerchantAccount.objects.filter(enterprise_id=merchant.enterprise_id, is_active=True)
        if elsewhere.exclude(provider=Provider.SANDBOX.value).exists():
            return None
        return open_account(
            merchant=merchant, provider=Provider.SANDBOX, secret=secrets.token_bytes(32), actor="system", now=now
        )


def _made(
    merchant: Merchant, provider: Provider, secret: bytes, ways: Collection[PayWay], now: datetime
) -> MerchantAccount:
    public_id = uuid.uuid4()
    account: MerchantAccount = MerchantAccount.objects.create(
        enterprise_id=merchant.enterprise_id,
        merchant=merchant,
        provider=provider.value,
        public_id=public_id,
        sealed_secret=seal(secret, str(public_id)),
        ways=sorted(way.value for way in ways),
        bill_due_at=first_asked(bill_day(now)) if provider.value in BILLS else None,
        created_at=now,
    )
    return account
