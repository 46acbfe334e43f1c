"""What the order's page holds up to a payer: one code for both wallets, one wallet's, or a transfer's reference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from billing.models import Order, PaymentAttempt
from billing.orders import OPEN_ATTEMPTS, CodeForm, PayWay
from billing.services.links import address_of_link, token_of
from billing.services.tills import offer_of
from billing.wallets import ALIPAY, ANY_WALLET, OFFLINE, SANDBOX, WECHAT, Browser, Choice
from devices.qr import qr_svg


class Ask(NamedTuple):
    """A button that asks for a code: of which gateway, in which words, and whether in the place of the one shown."""

    provider: str
    label: str
    is_new: bool


class Screen(NamedTuple):
    """`attempt` is the newest open payment; `mark` changes whenever there is another code to show."""

    mark: str
    attempt: PaymentAttempt | None = None
    title: str = ""
    text: str = ""
    qr: SafeString | str = ""
    seconds_left: int = 0
    test_page: str = ""
    is_being_paid: bool = False
    asks: tuple[Ask, ...] = ()


def screen_of(order: Order, attempts: Sequence[PaymentAttempt], now: datetime) -> Screen:
    """What the page of a waiting order shows; `attempts` are all of its payments, newest first. Makes nothing."""
    open_ones = [each for each in attempts if each.status in OPEN_ATTEMPTS and each.expires_at > now]
    newest = open_ones[0] if open_ones else None
    offer = offer_of(order.merchant, Browser.COMPUTER)
    is_shared = any(choice.provider == ANY_WALLET for choice in offer.choices)
    token = token_of(order) if is_shared else ""
    base = Screen(mark_of(attempts, has_link=bool(token)), newest)
    if newest and newest.provider == OFFLINE:
        return base._replace(asks=_asks(offer.choices))
    if token:
        is_being_paid = any(each.way != PayWay.SCREEN.value for each in open_ones)
        qr, left = qr_svg(address_of_link(token), _("QR code of the payment")), _seconds(order.expires_at, now)
        title = _("Scan with WeChat or Alipay")
        return base._replace(title=title, qr=qr, seconds_left=left, is_being_paid=is_being_paid)
    shown = next((each for each in open_ones if _is_scanned(each)), None)
    if shown is None or (shown.code_expires_at and shown.code_expires_at <= now):
        title, text = _without_code(attempts, newest, offer.choices, has_ended=shown is not None)
        return base._replace(title=title, text=text, asks=_asks(offer.choices))
    return base._replace(
        attempt=shown,
        title=_title(shown.provider),
        qr=qr_svg(shown.code, _("QR code of the payment")),
        seconds_left=_seconds(shown.code_expires_at or shown.expires_at, now),
        test_page=shown.code if shown.provider == SANDBOX else "",
        asks=_asks(offer.choices, shown=shown.provider),
    )


def mark_of(attempts: Sequence[PaymentAttempt], *, has_link: bool) -> str:
    """Of all payments: somebody who pays with the other wallet is news too."""
    return "-".join([*(f"{each.pk}.{each.status}" for each in attempts), "link" if has_link else ""])


def _is_scanned(attempt: PaymentAttempt) -> bool:
    """Whether its code is one to scan: that of a bank transfer is a reference to write, others are for a script."""
    return bool(attempt.code) and attempt.code_form == CodeForm.QR.value


def _seconds(until: datetime, now: datetime) -> int:
    return max(int((until - now).total_seconds()), 0)


def _title(provider: str) -> str:
    match provider:
        case "wechat":
            return _("Scan with WeChat")
        case "alipay":
            return _("Scan with Alipay")
    return _("Scan to pay (TEST money)")


def _asks(choices: Sequence[Choice], shown: str | None = None) -> tuple[Ask, ...]:
    """A bank transfer has a button of its own."""
    wallets = [choice.provider for choice in choices if choice.provider != OFFLINE]
    if len(wallets) == 1:
        is_new = shown == wallets[0]
        return (Ask(wallets[0], _("New QR code") if is_new else _("Show QR code"), is_new),)
    names = {WECHAT: _("QR code for WeChat"), ALIPAY: _("QR code for Alipay")}
    return tuple(
        Ask(each, _("New QR code") if each == shown else names.get(each, _("Show QR code")), each == shown)
        for each in wallets
    )


def _without_code(
    attempts: Sequence[PaymentAttempt], newest: PaymentAttempt | None, choices: Sequence[Choice], *, has_ended: bool
) -> tuple[str, str]:
    if not choices:
        told = _("No payment account of the seller can be paid from a screen. Connect one, or send the device's link.")
        return _("Nobody can pay here"), told
    if choices[0].provider == OFFLINE:
        return _("Paid by bank transfer"), _(
            "The seller takes bank transfers alone. Ask for one; the order then waits."
        )
    if has_ended:
        return _("This code has ended"), _("Nothing was charged with it. Show a new one.")
    if newest and newest.status == "UNKNOWN":
        return _("No code yet"), _("The gateway has not answered; it is asked again by itself.")
    if attempts and attempts[0].problem:
        return _("No code yet"), attempts[0].problem
    return _("No code yet"), _("Ask the gateway for a code to scan.")
