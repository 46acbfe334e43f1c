"""Paying an order from where the payer is: which account is asked, which way, or that a link of ours is shown first."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.utils.translation import gettext as _

from amp.foundation.scoping import system_scope
from billing.models import MerchantAccount, Order, PaymentAttempt, Provider
from billing.orders import PayWay
from billing.services.accounts import AccountRefused, account_that_sells
from billing.services.attempts import start_attempt
from billing.services.links import link_to
from billing.services.tills import account_at, offer_of
from billing.wallets import ANY_WALLET, SANDBOX, WECHAT, Browser, Choice


class Begun(NamedTuple):
    """What came of it: a payment, or the token of a link that the payer goes to or scans, or nothing yet."""

    attempt: PaymentAttempt | None = None
    token: str = ""


def begin_payment(
    *,
    order: Order,
    browser: Browser,
    now: datetime,
    wall: datetime,
    provider: str = "",
    return_path: str = "",
    payer_ip: str = "",
    new_code: bool = False,
) -> Begun:
    """Begin to pay as `browser` can, by the gateway that was chosen; a payment or link that is there is found again.

    Nothing begins where the seller offers several wallets and none was chosen, or none. Inside WeChat it begins with a
    link: the payment follows once WeChat has told who pays (`begin_inside_wechat`).
    Raises OrderRefused, AccountRefused.
    """
    choice = offer_of(order.merchant, browser).find(provider)
    if choice is None:
        return Begun()
    if choice.provider == ANY_WALLET:
        return Begun(token=link_to(order=order, now=now))
    if (choice.provider, choice.way) == (WECHAT, PayWay.IN_APP):
        return Begun(token=link_to(order=order, now=now, return_path=return_path))
    attempt = start_attempt(
        order=order,
        now=now,
        wall=wall,
        provider_account=_account(order, choice, now),
        return_path=return_path,
        new_code=new_code,
        way=choice.way,
        payer_ip=payer_ip,
    )
    return Begun(attempt)


def begin_inside_wechat(
    *,
    order: Order,
    account: MerchantAccount,
    openid: str,
    return_path: str,
    payer_ip: str,
    now: datetime,
    wall: datetime,
) -> PaymentAttempt:
    """The payment of somebody whom WeChat knows as `openid`. Raises OrderRefused, AccountRefused."""
    return start_attempt(
        order=order,
        now=now,
        wall=wall,
        provider_account=account,
        return_path=return_path,
        way=PayWay.IN_APP,
        payer_id=openid,
        payer_ip=payer_ip,
    )


def ask_on_screen(*, order: Order, now: datetime, wall: datetime, provider: str = "", new_code: bool = False) -> Begun:
    """What a person at a screen lets somebody else pay by: one code for both wallets, one wallet's code, or the
    reference of a bank transfer. Without a choice the first wallet is taken. Raises OrderRefused, AccountRefused."""
    offer = offer_of(order.merchant, Browser.COMPUTER)
    if not offer.choices:
        raise AccountRefused.because(_("The seller can't take payments yet: no payment account is connected."))
    chosen = offer.find(provider) or offer.choices[0]
    return begin_payment(
        order=order, browser=Browser.COMPUTER, provider=chosen.provider, new_code=new_code, now=now, wall=wall
    )


def _account(order: Order, choice: Choice, now: datetime) -> MerchantAccount:
    """The account behind a choice; the sandbox's is opened by whoever first pays there."""
    with system_scope():
        if choice.provider == SANDBOX:
            return account_that_sells(order.merchant, now=now, way=choice.way, by_transfer=False)
        account = account_at(order.merchant, Provider(choice.provider).value)
    if account is None:  # closed since it was offered
        raise AccountRefused.because(_("The seller's payment account does not offer this way of paying."))
    return account
