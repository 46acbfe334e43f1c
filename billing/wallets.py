"""Which browser can pay how, and where: the table of the public page (payments, gateway facts). Pure.

A browser is told by its user agent alone; whoever lies about it sees a button that doesn't work. A seller is seen here
as its tills: one for each active account, with the ways that it can really be paid in.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from billing.orders import PayWay

SANDBOX, WECHAT, ALIPAY, OFFLINE = "sandbox", "wechat", "alipay", "offline"
WALLETS = (WECHAT, ALIPAY)
"""In the order in which they are offered."""
ANY_WALLET = ""
"""In the place of a gateway: a code of our own, which leads each wallet to its own way of paying."""
PHONE_WORDS = ("iphone", "ipad", "ipod", "android", "mobile", "harmony")


class Browser(StrEnum):
    """Where the payer looks at our page."""

    WECHAT = "wechat"
    ALIPAY = "alipay"
    PHONE = "phone"
    COMPUTER = "computer"


class Till(NamedTuple):
    """One account as a payer meets it. WeChat's IN_APP is among `ways` only where its payers' openid can be asked."""

    provider: str
    ways: frozenset[PayWay]


class Choice(NamedTuple):
    """One button: the gateway, or ANY_WALLET, and the way that is asked of it."""

    provider: str
    way: PayWay


class Offer(NamedTuple):
    """What a seller offers to one browser. Without choices, `elsewhere` are the browsers that have some."""

    choices: tuple[Choice, ...]
    elsewhere: tuple[Browser, ...] = ()

    def find(self, provider: str) -> Choice | None:
        """The choice of a gateway; without a name the only one there is."""
        if provider:
            return next((each for each in self.choices if each.provider == provider), None)
        return self.choices[0] if len(self.choices) == 1 else None


WAYS_IN: dict[Browser, dict[str, tuple[PayWay, ...]]] = {
    # Inside a wallet only that wallet pays. Alipay's page for phones is the same one inside its app.
    Browser.WECHAT: {SANDBOX: (PayWay.IN_APP, PayWay.BROWSER), WECHAT: (PayWay.IN_APP,)},
    Browser.ALIPAY: {SANDBOX: (PayWay.IN_APP, PayWay.BROWSER), ALIPAY: (PayWay.IN_APP, PayWay.BROWSER)},
    # No QR code: a phone can't scan itself, and WeChat takes no picture of a Native code.
    Browser.PHONE: {SANDBOX: (PayWay.BROWSER, PayWay.IN_APP), WECHAT: (PayWay.BROWSER,), ALIPAY: (PayWay.BROWSER,)},
    Browser.COMPUTER: {SANDBOX: (PayWay.SCREEN,), WECHAT: (PayWay.SCREEN,), ALIPAY: (PayWay.SCREEN,)},
}
"""The first of these ways that an account offers is taken."""


def browser_of(user_agent: str) -> Browser:
    """The browser behind a user agent; a computer where it names neither wallet nor phone."""
    told = user_agent.lower()
    if "micromessenger" in told and "wxwork" not in told:  # WeCom names itself so too, and knows no such payer
        return Browser.WECHAT
    if "alipayclient" in told:
        return Browser.ALIPAY
    return Browser.PHONE if any(word in told for word in PHONE_WORDS) else Browser.COMPUTER


def offer_to(browser: Browser, tills: Sequence[Till]) -> Offer:
    """What the seller behind these tills offers to a payer in `browser`.

    A bank transfer is offered where nothing else is, anywhere: nobody waits for one who could pay at once.
    """
    if choices := _choices(browser, tills):
        return Offer(choices)
    elsewhere = tuple(other for other in Browser if other is not browser and _choices(other, tills))
    if not elsewhere and any(till.provider == OFFLINE for till in tills):
        return Offer((Choice(OFFLINE, PayWay.SCREEN),))
    return Offer((), elsewhere)


def stand_side_by_side(provider: str) -> tuple[str, ...]:
    """Gateways whose newer payment leaves an open one of `provider` payable: the other wallet, on the one code."""
    return tuple(other for other in WALLETS if other != provider) if provider in WALLETS else ()


def _choices(browser: Browser, tills: Sequence[Till]) -> tuple[Choice, ...]:
    """Wallets in their order, after the sandbox, which never stands beside one."""
    if browser is Browser.COMPUTER and _shares_one_code(tills):
        return (Choice(ANY_WALLET, PayWay.SCREEN),)
    known = {till.provider: till for till in tills}
    found = []
    for provider, ways in WAYS_IN[browser].items():
        till = known.get(provider)
        way = next((way for way in ways if till and way in till.ways), None)
        if way:
            found.append(Choice(provider, way))
    return tuple(found)


def _shares_one_code(tills: Sequence[Till]) -> bool:
    """Both wallets can be paid from a page of ours; or one can, and has no code of its own to show."""
    inside = [
        wallet for wallet in WALLETS if _choices(Browser(wallet), [each for each in tills if each.provider == wallet])
    ]
    own_codes = any(till.provider in WALLETS and PayWay.SCREEN in till.ways for till in tills)
    return len(inside) == len(WALLETS) or (bool(inside) and not own_codes)
