"""Where sellers can be paid, as the rule `billing.wallets` wants to see them."""

from __future__ import annotations

import logging
from collections.abc import Collection

from django.conf import settings

from amp.foundation.models import Merchant
from amp.foundation.scoping import system_scope
from amp.foundation.sealed import SealBroken, unseal
from billing.models import MerchantAccount, Provider
from billing.orders import PayWay
from billing.providers.account_secrets import WeChatSecret
from billing.services.accounts import ways_of
from billing.wallets import Browser, Offer, Till, offer_to

log = logging.getLogger(__name__)


def offer_of(merchant: Merchant, browser: Browser) -> Offer:
    """What the merchant offers to a payer in `browser`."""
    return offer_to(browser, tills_of([merchant])[merchant.pk])


def tills_of(merchants: Collection[Merchant]) -> dict[int, list[Till]]:
    """The tills of each merchant, by its id; one query, and nothing is made.

    Where the sandbox is on, a merchant without an account has one there as soon as somebody pays
    (`account_that_sells`), so it has that till already.
    """
    with system_scope():  # the seller's accounts are never in a buyer's scope
        owners = {merchant.enterprise_id for merchant in merchants}
        active = list(MerchantAccount.objects.filter(enterprise_id__in=owners, is_active=True).order_by("id"))
    return {merchant.pk: _tills(merchant, active) for merchant in merchants}


def account_at(merchant: Merchant, provider: str) -> MerchantAccount | None:
    """The merchant's active account at a gateway. Runs in the system's scope."""
    accounts = MerchantAccount.objects.filter(merchant=merchant, provider=provider, is_active=True)
    found: MerchantAccount | None = accounts.select_related("merchant").first()
    return found


def _tills(merchant: Merchant, active: Collection[MerchantAccount]) -> list[Till]:
    own = [account for account in active if account.merchant_id == merchant.pk]
    tills = [_till(account) for account in own if settings.SANDBOX_ENABLED or not _is_sandbox(account)]
    has_real = any(account.enterprise_id == merchant.enterprise_id and not _is_sandbox(account) for account in active)
    if settings.SANDBOX_ENABLED and not tills and not has_real:
        return [Till(Provider.SANDBOX.value, frozenset(PayWay))]
    return tills


def _till(account: MerchantAccount) -> Till:
    ways = ways_of(account)
    if account.provider == Provider.WECHAT.value and not _can_ask_payers(account):
        ways -= {PayWay.IN_APP}
    return Till(account.provider, ways)


def _can_ask_payers(account: MerchantAccount) -> bool:
    try:
        return bool(WeChatSecret.load(unseal(account.sealed_secret, str(account.public_id))).app_secret)
    except SealBroken:  # nobody can be paid there; a page that only shows prices opens all the same
        log.error("The secret of payment account %s cannot be opened.", account.public_id)
        return False


def _is_sandbox(account: MerchantAccount) -> bool:
    return bool(account.provider == Provider.SANDBOX.value)
