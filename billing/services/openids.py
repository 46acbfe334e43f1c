"""Asking WeChat who pays, for one link: the way there, and back with a state that is good for this link alone."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from amp.foundation.scoping import system_scope
from amp.foundation.sealed import unseal
from billing.models import MerchantAccount, PaymentLink, Provider
from billing.providers.account_secrets import WeChatSecret
from billing.providers.protocol import GatewayRefused, GatewayTimeout
from billing.providers.wechat_login import WeChatLogin
from billing.services.tills import account_at

PATIENCE = timedelta(minutes=10)
"""The whole way takes seconds; a state that is older was kept by somebody."""
NONCE, STAMP, MAC = 16, 10, 64
"""Lengths of the parts of a state; all of it is 90 characters of the 128 that WeChat takes."""


class PayerUnknown(Exception):
    """WeChat did not tell who pays; `may_try_again` where it did not answer at all."""

    def __init__(self, *, may_try_again: bool) -> None:
        super().__init__("WeChat did not tell who pays.")
        self.may_try_again = may_try_again


def login_address(*, link: PaymentLink, back: str, wall: datetime) -> str:
    """Where a payer inside WeChat goes to be known, and comes `back` from; "" where the seller can't ask. Stores
    nothing: the state carries its own proof."""
    account = _account(link)
    login = _login(account) if account else None
    if account is None or login is None:
        return ""
    nonce, stamp = secrets.token_hex(NONCE // 2), f"{int(wall.timestamp()):0{STAMP}d}"
    return login.address(back=back, state=f"{nonce}{stamp}{_mac(link, account, nonce, stamp)}")


def payer_behind(*, link: PaymentLink, state: str, code: str, wall: datetime) -> tuple[MerchantAccount, str]:
    """The account and the openid of who comes back. Raises PayerUnknown.

    A state of another link, order or account, or an old one, is refused before WeChat is asked. WeChat takes a code
    once.
    """
    account = _account(link)
    login = _login(account) if account else None
    if account is None or login is None or not _is_ours(state, link, account, wall):
        raise PayerUnknown(may_try_again=False)
    try:
        return account, login.openid(code)
    except GatewayTimeout:
        raise PayerUnknown(may_try_again=True) from None
    except GatewayRefused:
        raise PayerUnknown(may_try_again=False) from None


def _is_ours(state: str, link: PaymentLink, account: MerchantAccount, wall: datetime) -> bool:
    nonce, stamp, mac = state[:NONCE], state[NONCE : NONCE + STAMP], state[NONCE + STAMP :]
    if not (stamp.isascii() and stamp.isdecimal() and len(mac) == MAC):
        return False
    age = wall - datetime.fromtimestamp(int(stamp), tz=UTC)
    return timedelta(seconds=-1) <= age <= PATIENCE and constant_time_compare(mac, _mac(link, account, nonce, stamp))


def _mac(link: PaymentLink, account: MerchantAccount, nonce: str, stamp: str) -> str:
    """Bound to the link, hence to its order and plan, and to whom WeChat is asked for."""
    bound = "\n".join([link.digest, str(account.public_id), nonce, stamp])
    return salted_hmac("billing.services.openids", bound, algorithm="sha256").hexdigest()


def _account(link: PaymentLink) -> MerchantAccount | None:
    with system_scope():
        return account_at(link.order.merchant, Provider.WECHAT.value)


def _login(account: MerchantAccount) -> WeChatLogin | None:
    secret = WeChatSecret.load(unseal(account.sealed_secret, str(account.public_id)))
    if not secret.app_secret:
        return None
    addresses = settings.PAYMENT_GATEWAYS
    return WeChatLogin(secret.payers_app, secret.app_secret, addresses["wechat_login"], addresses["wechat_api"])
