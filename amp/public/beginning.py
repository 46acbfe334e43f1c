"""What the public pages share of paying: who looks, what is offered to him, what becomes of his choice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.http import HttpRequest
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.models import Merchant
from amp.public.answers import address
from amp.public.panel import OPEN, Button, not_here
from amp.public.throttle import payer_address
from billing.models import Order, PaymentAttempt
from billing.orders import CodeForm
from billing.services.paying import begin_payment
from billing.services.polling import refresh_attempt
from billing.services.tills import tills_of
from billing.wallets import ALIPAY, OFFLINE, SANDBOX, WECHAT, Browser, Offer, browser_of, offer_to

AND_GO = "#go"
"""The page goes on by itself, once: its script takes this off the address first."""


def browser_behind(request: HttpRequest) -> Browser:
    """Where the payer is."""
    return browser_of(request.headers.get("User-Agent", ""))


def common_offer(sellers: Sequence[Merchant], browser: Browser) -> Offer | None:
    """What all these sellers offer alike; None where they differ, or there are none."""
    offers = {offer_to(browser, tills) for tills in tills_of(sellers).values()}
    return offers.pop() if len(offers) == 1 else None


def first_buttons(offer: Offer | None) -> tuple[Button, ...]:
    """Under the plans: without amounts, since these change with the choice."""
    if offer is None:
        return (Button("", _("Pay")),)
    words = {
        WECHAT: _("Pay with WeChat Pay"),
        ALIPAY: _("Pay with Alipay"),
        SANDBOX: _("Pay (TEST)"),
        OFFLINE: _("Pay by bank transfer"),
    }
    return tuple(Button(choice.provider, words.get(choice.provider, _("Pay"))) for choice in offer.choices)


def why_not(offer: Offer | None, browser: Browser) -> str:
    """Why nothing can be paid here, and what to do; "" where it can."""
    if offer is None or offer.choices:
        return ""
    title, ways_out = not_here(browser, offer)
    return _("%(why)s. %(instead)s") % {"why": title, "instead": " ".join(ways_out)}


def begin(request: HttpRequest, order: Order, *, here: str, now: datetime, wall: datetime) -> str:
    """Begin to pay as the form says; the address where the browser goes on. Raises Refused.

    Nobody is sent to a gateway by the answer to a form: the page's policy would have to know each place that a gateway
    leads on to. The next page has a link, which it follows by itself.
    """
    begun = begin_payment(
        order=order,
        browser=browser_behind(request),
        provider=request.POST.get("wallet", ""),
        return_path=here,
        payer_ip=payer_address(request),
        now=now,
        wall=wall,
    )
    if begun.token and browser_behind(request) is Browser.WECHAT:
        return address(request, "paying:page", begun.token) + AND_GO
    attempt = begun.attempt
    if attempt is None or attempt.code_form != CodeForm.LINK.value:
        return here
    return str(attempt.code) if attempt.provider == SANDBOX else here + AND_GO


def ask_gateways(attempts: Sequence[PaymentAttempt]) -> bool:
    """Ask about the newest open payment at each account, where it may be asked (F26); False where there is none."""
    open_ones = {each.account_id: each for each in reversed(attempts) if each.status in OPEN}
    for attempt in open_ones.values():
        refresh_attempt(attempt=attempt, now=clock.now(), wall=clock.wall())
    return bool(open_ones)
