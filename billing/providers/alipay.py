"""Alipay (OpenAPI, RSA2), by python-alipay-sdk behind its guard; direct and partner mode.

`alipay.trade.cancel` is never called: it pays back what was paid.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from amp.foundation.money import MAX_MINOR
from billing.bill_files import MAX_BYTES
from billing.orders import ATTEMPT_NUMBER, CodeForm, GatewayFacts, GatewayState, PayWay
from billing.providers.account_secrets import AlipaySecret
from billing.providers.alipay_guard import BEIJING, NO_BILL, GuardedAliPay, Refusal, SignatureRefused
from billing.providers.calling import FILE_SECONDS, call
from billing.providers.facts import CURRENCY, TRANSACTION, word
from billing.providers.protocol import (
    Acknowledgement,
    BillNotMade,
    Code,
    Credentials,
    GatewayRefused,
    GatewayTimeout,
    NoticeRefused,
    PaymentRequest,
    RefundFacts,
    RefundState,
)

YUAN = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,2}))?")
FORBIDDEN = str.maketrans("/=&", "   ")
"""Signs that Alipay takes in no subject."""
STATES = {
    "WAIT_BUYER_PAY": GatewayState.NOT_PAID,
    "TRADE_SUCCESS": GatewayState.PAID,
    "TRADE_FINISHED": GatewayState.PAID,
    "TRADE_CLOSED": GatewayState.CLOSED,
}
WAP_PRODUCT = "QUICK_WAP_WAY"
"""The SDK says QUICK_WAP_PAY, which is no product that a merchant could have signed up for."""
BILL_HOSTS = (".alipay.com", ".alipaydev.com")
NOT_EXIST = "ACQ.TRADE_NOT_EXIST"
TRADE_EXISTS = {"ACQ.TRADE_HAS_SUCCESS", "ACQ.TRADE_HAS_CLOSE", "ACQ.CONTEXT_INCONSISTENT"}
"""Refusals of `create` that mean: look at what is there, before anything else."""


class AlipayProvider:
    """One merchant's account at Alipay."""

    ways: ClassVar[frozenset[PayWay]] = frozenset(PayWay)

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._secret = AlipaySecret.load(credentials.secret)

    def create(self, request: PaymentRequest, *, wall: datetime) -> Code:
        """A QR code, or a link that opens Alipay. Neither makes a trade before somebody scans or opens it."""
        if request.currency != "CNY":
            raise GatewayRefused("Alipay takes CNY only.")
        sdk, order = self._sdk(wall), self._order(request)
        if request.way is not PayWay.SCREEN:
            return Code(CodeForm.LINK, self._link(sdk, request, order))
        minutes = f"{max(1, (request.expires_at - request.asked_at) // timedelta(minutes=1))}m"
        try:
            # One ends the trade after it was scanned, the other the code before that.
            told = sdk.api_alipay_trade_precreate(
                **order, timeout_express=minutes, qr_code_timeout_express=minutes, notify_url=request.notify_url
            )
        except Refusal as refused:
            if refused.code in TRADE_EXISTS:
                raise GatewayTimeout(f"The trade exists already: {refused.code}") from None
            raise
        code = told.get("qr_code")
        if told.get("out_trade_no") != request.number or not isinstance(code, str) or not 0 < len(code) <= 1_000:
            raise GatewayTimeout("Alipay's answer has no code.")
        return Code(CodeForm.QR, code)

    def query(self, number: str, *, wall: datetime) -> GatewayFacts:
        """What Alipay knows of the trade; NOT_FOUND until somebody scanned the code."""
        try:
            told = self._sdk(wall).api_alipay_trade_query(out_trade_no=number)
        except Refusal as refused:
            if refused.code == NOT_EXIST:
                return GatewayFacts(number, GatewayState.NOT_FOUND)
            raise
        facts = _trade(told, paid_at=told.get("send_pay_date"), merchant=self._credentials.merchant_id)
        if facts.number != number:
            raise GatewayTimeout("Alipay's answer is about another payment.")
        return facts

    def close(self, number: str, *, wall: datetime) -> GatewayFacts:
        """Let nobody pay any more; where Alipay refuses to close, how the trade stands."""
        try:
            self._sdk(wall).api_alipay_trade_close(out_trade_no=number)
        except Refusal as refused:
            if refused.code == NOT_EXIST:
                return GatewayFacts(number, GatewayState.NOT_FOUND)
            facts = self.query(number, wall=wall)
            if facts.state is GatewayState.NOT_PAID:
                raise
            return facts
        return GatewayFacts(number, GatewayState.CLOSED)

    def refund(self, number: str, *, refund_number: str, amount: int, wall: datetime) -> RefundFacts:
        """Pay back `amount` minor units, once per refund number."""
        if amount <= 0:
            raise GatewayRefused("Only what was paid can be paid back.")
        told = self._sdk(wall).api_alipay_trade_refund(
            refund_amount=_yuan(amount), out_trade_no=number, out_request_no=refund_number
        )
        if told.get("out_trade_no") != number:
            raise GatewayTimeout("Alipay's answer is about another payment.")
        if told.get("fund_change") == "Y":
            return RefundFacts(refund_number, RefundState.SUCCEEDED, amount)
        # No money moved by this call: it was paid back before, or not yet. `refund_fee` is the sum of all refunds.
        facts = self.query_refund(refund_number, number=number, wall=wall)
        if facts.state is RefundState.NOT_FOUND:
            return RefundFacts(refund_number, RefundState.PROCESSING, amount)
        return facts

    def query_refund(self, refund_number: str, *, number: str, wall: datetime) -> RefundFacts:
        """How the refund stands; an answer without a refund in it says that there is none."""
        try:
            told = self._sdk(wall).api_alipay_trade_fastpay_refund_query(refund_number, out_trade_no=number)
        except Refusal as refused:
            if refused.code == NOT_EXIST:
                return RefundFacts(refund_number, RefundState.NOT_FOUND)
            raise
        if not told.get("refund_amount"):
            return RefundFacts(refund_number, RefundState.NOT_FOUND)
        if told.get("out_request_no") != refund_number:
            raise GatewayTimeout("Alipay's answer is about another refund.")
        is_done = told.get("refund_status", "REFUND_SUCCESS") == "REFUND_SUCCESS"
        try:
            state = RefundState.SUCCEEDED if is_done else RefundState.PROCESSING
            return RefundFacts(refund_number, state, _minor(told["refund_amount"]))
        except ValueError:
            raise GatewayTimeout("Alipay's answer lacks a field.") from None

    def parse_notification(self, headers: Mapping[str, str], body: bytes, *, wall: datetime) -> GatewayFacts:
        """The facts of a notice that is signed with this account's key.

        It has no timestamp to hold against `wall`: Alipay repeats the same notice for 25 hours. A replay tells what
        is known already, and changes nothing.
        """
        try:
            told = self._sdk(wall).notice(body)
            return _trade(told, paid_at=told.get("gmt_payment"), merchant=self._merchant(told))
        except (SignatureRefused, GatewayTimeout) as refused:
            raise NoticeRefused(str(refused)) from None

    def bill(self, day: date, *, wall: datetime) -> bytes:
        """The trade bill: an archive, from the address that Alipay has signed and keeps for 30 s."""
        wanted = {"bill_type": "trade", "bill_date": f"{day:%Y-%m-%d}"}
        try:
            told = self._sdk(wall).server_api("alipay.data.dataservice.bill.downloadurl.query", wanted)
        except Refusal as refused:
            if refused.code == NO_BILL:
                raise BillNotMade(refused.code) from None
            raise
        url = self._download_address(str(told.get("bill_download_url", "")))
        headers = {"Accept": "*/*", "User-Agent": "amp"}
        answer = call("GET", url, headers=headers, body=None, most=MAX_BYTES, seconds=FILE_SECONDS)
        if answer.status != 200:
            raise GatewayTimeout(f"Alipay did not send the bill (HTTP {answer.status}).")
        return answer.body

    def _download_address(self, url: str) -> str:
        """Over TLS whatever Alipay writes, and to nobody else. Raises GatewayTimeout."""
        address, gateway = urlsplit(url), urlsplit(self._credentials.gateway_url)
        if (address.scheme, address.netloc) == (gateway.scheme, gateway.netloc):
            return url
        host = address.netloc
        if address.scheme not in {"http", "https"} or host != address.hostname or not host.endswith(BILL_HOSTS):
            raise GatewayTimeout("Alipay's answer names no bill.")
        return address._replace(scheme="https").geturl()

    def ack(self) -> Acknowledgement:
        """Exactly `success`."""
        return Acknowledgement(200, "text/plain; charset=utf-8", b"success")

    def _sdk(self, wall: datetime) -> GuardedAliPay:
        return GuardedAliPay(self._secret, gateway_url=self._credentials.gateway_url, wall=wall)

    def _order(self, request: PaymentRequest) -> dict[str, Any]:
        """Parameters of both calls; nothing in them depends on when it is called."""
        order: dict[str, Any] = {
            "subject": request.subject.translate(FORBIDDEN)[:256],
            "out_trade_no": request.number,
            "total_amount": _yuan(request.amount),
        }
        if self._secret.smid:
            order["sub_merchant"] = {"merchant_id": self._secret.smid}
        if self._secret.service_provider_id:
            order["extend_params"] = {"sys_service_provider_id": self._secret.service_provider_id}
        return order

    def _link(self, sdk: GuardedAliPay, request: PaymentRequest, order: dict[str, Any]) -> str:
        back = f"{self._credentials.base_url}{request.return_path}" if request.return_path else None
        ends = f"{request.expires_at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"
        order |= {"time_expire": ends, "product_code": WAP_PRODUCT} | ({"quit_url": back} if back else {})
        signed = sdk.api_alipay_trade_wap_pay(**order, return_url=back, notify_url=request.notify_url)
        return f"{self._credentials.gateway_url}?{signed}"

    def _merchant(self, told: Mapping[str, str]) -> str:
        """Our name of the merchant where application and seller are this account's, else who was paid (F29)."""
        own = (self._secret.app_id, self._secret.seller_id)
        paid = (told.get("app_id", ""), told.get("seller_id", ""))
        return self._credentials.merchant_id if paid == own else f"alipay:{paid[0]}:{paid[1]}"[:64]


def _trade(told: Mapping[str, Any], *, paid_at: object, merchant: str) -> GatewayFacts:
    """Facts of a trade. Raises GatewayTimeout for what isn't exactly one (F30).

    A trade is also closed once it was paid back in full: what has a moment of payment was paid.
    """
    try:
        number, state = word(told["out_trade_no"], ATTEMPT_NUMBER), STATES[told["trade_status"]]
        if state is GatewayState.NOT_PAID or (state is GatewayState.CLOSED and not paid_at):
            return GatewayFacts(number, state)
        return GatewayFacts(
            number,
            GatewayState.PAID,
            merchant_id=merchant,
            amount=_minor(told["total_amount"]),
            currency=word(told.get("trans_currency") or "CNY", CURRENCY),
            transaction_id=word(told["trade_no"], TRANSACTION),
            paid_at=_beijing(paid_at),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        raise GatewayTimeout("Alipay's answer lacks a field.") from None


def _yuan(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02}"


def _minor(text: object) -> int:
    """Minor units of an amount in yuan, exactly. Raises ValueError."""
    found = YUAN.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError("not an amount")
    amount = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))
    if amount > MAX_MINOR:
        raise ValueError("not an amount")
    return amount


def _beijing(text: object) -> datetime:
    if not isinstance(text, str):
        raise ValueError("not a moment")
    return datetime.strptime(f"{text} +0800", "%Y-%m-%d %H:%M:%S %z").astimezone(UTC)
