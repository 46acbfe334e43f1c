"""What a payer does next in the browser at hand: scan a code, press a button, write a reference, or go elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from amp.public.wording import long_day, short_time
from billing.models import Order, OrderStatus, PaymentAttempt
from billing.models.accounts import PROVIDER_NAMES
from billing.orders import OPEN_ATTEMPTS, CodeForm, PayWay
from billing.services.links import address_of_link
from billing.wallets import ANY_WALLET, OFFLINE, SANDBOX, WECHAT, Browser, Choice, Offer
from devices.qr import qr_svg

OPEN = {status.value for status in OPEN_ATTEMPTS}
NAMES = dict(PROVIDER_NAMES)


@dataclass(frozen=True, slots=True)
class Button:
    """A button that begins a payment; `provider` is what the form sends."""

    provider: str
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One thing to do. `go_to` leads out of the product; `tells_origin` where the gateway wants to know who sends.

    `mark` changes whenever the panel does. `ways_out` say what to do where nothing can be done here.
    """

    mark: str
    title: str = ""
    text: str = ""
    ways_out: tuple[str, ...] = ()
    qr: SafeString | str = ""
    reference: str = ""
    go_to: str = ""
    go_label: str = ""
    go_provider: str = ""
    tells_origin: bool = False
    buttons: tuple[Button, ...] = ()

    @property
    def is_bare(self) -> bool:
        """Buttons alone, which need no frame."""
        return not (self.title or self.text or self.qr or self.ways_out)


class Paying:
    """What the panel is drawn from: the order as it is, and what its seller offers here."""

    def __init__(
        self,
        order: Order,
        attempts: Sequence[PaymentAttempt],
        *,
        browser: Browser,
        offer: Offer,
        amount: str,
        zone: ZoneInfo,
        now: datetime,
        token: str = "",
        login: str = "",
    ) -> None:
        """`token` is the order's link for any wallet, `login` where WeChat tells who pays; "" where there is none."""
        self.order, self.browser, self.offer, self.amount = order, browser, offer, amount
        self.zone, self.now, self.token, self.login = zone, now, token, login
        self.open = [each for each in attempts if each.status in OPEN and each.expires_at > now]
        self.has_failed = bool(attempts) and attempts[0].status == "FAILED"

    def panel(self) -> Panel | None:
        """The panel, newest payment first; None where there is nothing to pay here any more."""
        if self.order.status != OrderStatus.PENDING.value or self.order.expires_at <= self.now:
            return None
        if self._is_shared and self.token:
            return self._shared_code()
        if self.login and Choice(WECHAT, PayWay.IN_APP) in self.offer.choices:
            return self._inside_wechat()
        attempt = next((each for each in self.open if self._fits(each)), None)
        if attempt is None:
            return self._start()
        if attempt.code_expires_at and attempt.code_expires_at <= self.now:
            return self._start(ended=True)
        return self._of(attempt) if attempt.code else self._waits(attempt)

    @property
    def _is_shared(self) -> bool:
        return any(choice.provider == ANY_WALLET for choice in self.offer.choices)

    def _fits(self, attempt: PaymentAttempt) -> bool:
        """Made for such a browser; what WeChat's script takes is for its one payer, and shown on a page of its own."""
        is_offered = (attempt.provider, attempt.way) in {(each.provider, each.way.value) for each in self.offer.choices}
        return is_offered and attempt.code_form != CodeForm.PARAMETERS.value

    def _shared_code(self) -> Panel:
        return Panel(
            mark="shared",
            title=_("Scan with WeChat or Alipay"),
            text=self._until(self.order.expires_at),
            qr=qr_svg(address_of_link(self.token), _("QR code of the payment")),
        )

    def _inside_wechat(self) -> Panel:
        label = _("Pay %(amount)s with WeChat Pay") % {"amount": self.amount}
        return Panel(mark="login", go_to=self.login, go_label=label, go_provider=WECHAT)

    def _of(self, attempt: PaymentAttempt) -> Panel:
        others = self._buttons(but=attempt.provider)
        mark = f"{attempt.pk}"
        if attempt.code_form == CodeForm.REFERENCE.value:
            return self._transfer(attempt)
        if attempt.code_form == CodeForm.QR.value:
            is_test = attempt.provider == SANDBOX
            return Panel(
                mark=mark,
                title=_("Scan to pay (TEST money)") if is_test else scan_with(attempt.provider),
                text=self._until(attempt.code_expires_at or attempt.expires_at),
                qr=qr_svg(attempt.code, _("QR code of the payment")),
                go_to=attempt.code if is_test else "",
                go_label=_("Open the TEST payment page"),
                buttons=others,
            )
        return Panel(
            mark=mark,
            text=_("Come back to this page when you have paid."),
            go_to=attempt.code,
            go_label=pay_with(attempt.provider, self.amount),
            go_provider=attempt.provider,
            tells_origin=attempt.provider == WECHAT,  # it refuses who comes from nowhere
            buttons=others,
        )

    def _transfer(self, attempt: PaymentAttempt) -> Panel:
        told = _(
            "Transfer %(amount)s to %(seller)s and write this reference on the transfer. Ask the seller for its bank "
            "account if you don't know it. The order waits until %(day)s; the service is extended when the seller has "
            "confirmed the money."
        )
        values = {"amount": self.amount, "seller": self.order.merchant_name}
        told %= values | {"day": long_day(self.order.expires_at, self.zone)}
        return Panel(mark=f"{attempt.pk}", title=_("Pay by bank transfer"), text=told, reference=attempt.code)

    def _waits(self, attempt: PaymentAttempt) -> Panel:
        told = _("%(wallet)s has not answered yet. It is asked again by itself.") % {"wallet": NAMES[attempt.provider]}
        return Panel(mark=f"{attempt.pk}-waits", text=told, buttons=self._buttons(but=attempt.provider))

    def _start(self, *, ended: bool = False) -> Panel:
        """Nothing to pay with yet, or not any more."""
        if not self.offer.choices:
            title, ways_out = not_here(self.browser, self.offer)
            return Panel(mark="nowhere", title=title, ways_out=ways_out)
        if ended:
            title, text = _("This payment code has ended"), _("Nothing was charged with it. The order is still open.")
        elif self.has_failed:
            title, text = "", ""
        else:
            title, text = (_("How do you want to pay?") if len(self.offer.choices) > 1 else ""), ""
        again = ended or self.has_failed
        return Panel(
            mark=f"start-{ended}-{self.has_failed}", title=title, text=text, buttons=self._buttons(again=again)
        )

    def _buttons(self, *, but: str | None = None, again: bool = False) -> tuple[Button, ...]:
        choices = [choice for choice in self.offer.choices if choice.provider != but]
        if len(choices) == 1 and again:
            return (Button(choices[0].provider, _("New payment")),)
        return tuple(Button(choice.provider, button_label(choice, self.amount)) for choice in choices)

    def _until(self, at: datetime) -> str:
        return _("Valid until %(time)s") % {"time": short_time(at, self.zone)}


def button_label(choice: Choice, amount: str) -> str:
    """What the button says that begins it."""
    if choice.provider == ANY_WALLET:
        return _("Show the QR code")
    if choice.provider == OFFLINE:
        return _("Pay by bank transfer")
    return pay_with(choice.provider, amount)


def pay_with(provider: str, amount: str) -> str:
    """ "Pay ¥199.00 with Alipay"."""
    match provider:
        case "wechat":
            return _("Pay %(amount)s with WeChat Pay") % {"amount": amount}
        case "alipay":
            return _("Pay %(amount)s with Alipay") % {"amount": amount}
    return _("Pay %(amount)s (TEST)") % {"amount": amount}


def scan_with(provider: str) -> str:
    """Over a code that one wallet alone can scan."""
    return _("Scan with WeChat") if provider == WECHAT else _("Scan with Alipay")


def not_here(browser: Browser, offer: Offer) -> tuple[str, tuple[str, ...]]:
    """Why nobody can pay in this browser, and what to do instead."""
    if not offer.elsewhere:
        told = _("No payment account is connected. Ask the seller how to pay, or come back later.")
        return _("The seller can't take payments yet"), (told,)
    why = {
        Browser.WECHAT: _("This seller can't be paid inside WeChat"),
        Browser.ALIPAY: _("This seller can't be paid inside Alipay"),
        Browser.PHONE: _("This seller can't be paid in this browser"),
        Browser.COMPUTER: _("This seller can't be paid on a computer"),
    }[browser]
    return why, _instead(browser, offer.elsewhere)


def _instead(browser: Browser, elsewhere: Sequence[Browser]) -> tuple[str, ...]:
    told = {
        Browser.PHONE: _("Open this page in your phone's browser: tap ⋯ at the top, then “Open in browser”.")
        if browser in {Browser.WECHAT, Browser.ALIPAY}
        else _("Open this page on your phone."),
        Browser.WECHAT: _("Open this page in WeChat: scan the code again with WeChat."),
        Browser.ALIPAY: _("Open this page in Alipay: scan the code again with Alipay."),
        Browser.COMPUTER: _("Open this page on a computer, and scan the code that it shows with your phone."),
    }
    # The easiest first: to leave a wallet for the browser is two taps, a computer is the last resort.
    order = (Browser.PHONE, Browser.ALIPAY, Browser.WECHAT, Browser.COMPUTER)
    wanted = [each for each in order if each in elsewhere][:2]
    if Browser.COMPUTER in wanted and len(wanted) > 1:
        wanted.remove(Browser.COMPUTER)
    return tuple(told[each] for each in wanted)
