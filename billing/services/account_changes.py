"""Changing a merchant's accounts: a new secret waits for a second administrator, an account can be closed (E2, F28)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.models import Merchant
from amp.foundation.sealed import seal, unseal
from billing.models import MerchantAccount, Provider
from billing.orders import PayWay
from billing.services.account_secrets import checked_secret, secret_of
from billing.services.accounts import AccountRefused, open_account, put_in_force, record_account


def connect_account(
    *,
    merchant: Merchant,
    provider: str,
    typed: Mapping[str, str],
    actor: str,
    now: datetime,
    ways: Collection[PayWay] = (),
) -> MerchantAccount:
    """Open an account with what somebody typed. Raises AccountRefused."""
    if provider not in {each.value for each in Provider}:
        raise AccountRefused.because(_("Choose a gateway."), "provider")
    gateway = Provider(provider)
    secret = secret_of(gateway, typed)
    return open_account(merchant=merchant, provider=gateway, secret=secret, actor=actor, now=now, ways=ways)


@transaction.atomic
def propose_secret(*, account: MerchantAccount, typed: Mapping[str, str], actor: str, now: datetime) -> MerchantAccount:
    """A new secret, checked and sealed, beside the one in force; a later proposal replaces it.

    Raises AccountRefused, which names each wrong field.
    """
    account = _locked(account)
    gateway = Provider(account.provider)
    if gateway is Provider.OFFLINE:
        raise AccountRefused.because(_("Bank transfers have no secret."))
    secret = checked_secret(gateway, secret_of(gateway, typed))
    account.sealed_draft, account.drafted_by = seal(secret, draft_owner(account)), actor
    account.save(update_fields=["sealed_draft", "drafted_by"])
    record_account(account, "merchant.secret_proposed", actor=actor, now=now)
    return account


@transaction.atomic
def verify_secret(*, account: MerchantAccount, actor: str, now: datetime) -> MerchantAccount:
    """Put the proposed secret in force; another administrator than who proposed it (E2). Raises AccountRefused."""
    account = _locked(account)
    if not account.sealed_draft:
        raise AccountRefused.because(_("No new secret waits. Reload the page."))
    if account.drafted_by == actor:
        raise AccountRefused.because(_("Ask another administrator: who changed the secret can't verify it too."))
    return put_in_force(account, unseal(account.sealed_draft, draft_owner(account)), actor=actor, now=now)


@transaction.atomic
def close_account(*, account: MerchantAccount, actor: str, now: datetime) -> MerchantAccount:
    """Nobody is asked to pay there any more; payments and refunds that exist go on. Closing again changes nothing."""
    account = _locked(account, only_active=False)
    if account.is_active:
        account.is_active, account.sealed_draft, account.drafted_by = False, "", ""
        account.save(update_fields=["is_active", "sealed_draft", "drafted_by"])
        record_account(account, "merchant.account_closed", actor=actor, now=now)
    return account


def _locked(account: MerchantAccount, *, only_active: bool = True) -> MerchantAccount:
    locked: MerchantAccount = MerchantAccount.objects.select_for_update(of=("self",)).get(pk=account.pk)
    if only_active and not locked.is_active:
        raise AccountRefused.because(_("This account is closed."))
    return locked


def draft_owner(account: MerchantAccount) -> str:
    """A sealed draft can't be put in the place of the secret by moving a column."""
    return f"{account.public_id}:draft"
