"""Changing a merchant's accounts: a new secret waits for a second administrator, an account can be closed (E2, F28)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.models import Merchant
from amp.foundation.sealed import seal, unseal
from amp.foundation.services.events import EventDraft, record_event
from billing.models import MerchantAccount, Provider
from billing.services.accounts import CONNECTORS, AccountRefused, open_account


def connect_account(
    *, merchant: Merchant, provider: str, typed: Mapping[str, str], actor: str, now: datetime
) -> MerchantAccount:
    """Open an account with what somebody typed. Raises AccountRefused."""
    connector = CONNECTORS.get(provider)
    if connector is None:
        raise AccountRefused.because(_("Choose a gateway."), "provider")
    for secret in connector.secrets:
        if not typed.get(secret.name):
            sentence = _("Type the %(secret)s.") % {"secret": secret.title}
            raise AccountRefused.because(sentence, f"{provider}_{secret.name}")
    return open_account(
        merchant=merchant, provider=connector.provider, secret=connector.secret_of(typed), actor=actor, now=now
    )


@transaction.atomic
def propose_secret(*, account: MerchantAccount, typed: Mapping[str, str], actor: str, now: datetime) -> MerchantAccount:
    """A new secret, sealed, beside the one in force; a later proposal replaces it. Raises AccountRefused."""
    account = _locked(account)
    if account.provider == Provider.OFFLINE.value:
        raise AccountRefused.because(_("Bank transfers have no secret."))
    connector = CONNECTORS[account.provider]
    if any(not typed.get(secret.name) for secret in connector.secrets):
        raise AccountRefused.because(_("Type every secret of the gateway anew."))
    account.sealed_draft, account.drafted_by = seal(connector.secret_of(typed), _draft_owner(account)), actor
    account.save(update_fields=["sealed_draft", "drafted_by"])
    _record("merchant.secret_proposed", account, actor, now)
    return account


@transaction.atomic
def verify_secret(*, account: MerchantAccount, actor: str, now: datetime) -> MerchantAccount:
    """Put the proposed secret in force; another administrator than who proposed it (E2). Raises AccountRefused."""
    account = _locked(account)
    if not account.sealed_draft:
        raise AccountRefused.because(_("No new secret waits. Reload the page."))
    if account.drafted_by == actor:
        raise AccountRefused.because(_("Ask another administrator: who changed the secret can't verify it too."))
    secret = unseal(account.sealed_draft, _draft_owner(account))
    account.sealed_secret = seal(secret, str(account.public_id))
    account.sealed_draft = account.drafted_by = ""
    account.save(update_fields=["sealed_secret", "sealed_draft", "drafted_by"])
    _record("merchant.secret_verified", account, actor, now)
    return account


@transaction.atomic
def close_account(*, account: MerchantAccount, actor: str, now: datetime) -> MerchantAccount:
    """Nobody is asked to pay there any more; payments and refunds that exist go on. Closing again changes nothing."""
    account = _locked(account, only_active=False)
    if account.is_active:
        account.is_active, account.sealed_draft, account.drafted_by = False, "", ""
        account.save(update_fields=["is_active", "sealed_draft", "drafted_by"])
        _record("merchant.account_closed", account, actor, now)
    return account


def _locked(account: MerchantAccount, *, only_active: bool = True) -> MerchantAccount:
    locked: MerchantAccount = MerchantAccount.objects.select_for_update(of=("self",)).get(pk=account.pk)
    if only_active and not locked.is_active:
        raise AccountRefused.because(_("This account is closed."))
    return locked


def _draft_owner(account: MerchantAccount) -> str:
    """A sealed draft can't be put in the place of the secret by moving a column."""
    return f"{account.public_id}:draft"


def _record(kind: str, account: MerchantAccount, actor: str, now: datetime) -> None:
    told = {"merchant": account.merchant.merchant_id, "gateway": account.provider}
    subject = f"enterprise:{account.enterprise_id}"
    record_event(EventDraft(kind, subject, account.enterprise_id, now, actor, after=told), now=now)
