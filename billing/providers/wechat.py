"""WeChat Pay (APIv3), by wechatpayv3 behind its guard; direct and partner mode."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from typing import Any, ClassVar
from urllib.parse import quote

from wechatpayv3 import WeChatPay, WeChatPayType

from billing.orders import ATTEMPT_NUMBER, CodeForm, GatewayFacts, GatewayState, PayWay
from billing.providers.account_secrets import WeChatSecret
from billing.providers.bill_downloads import unpacked, wechat_address
from billing.providers.facts import CURRENCY, TRANSACTION, instant, minor, word
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
from billing.providers.wechat_guard import SignatureRefused, guarded_sdk

BEIJING = timezone(timedelta(hours=8))
SHORTEST = timedelta(minutes=1)
"""WeChat Pay puts an earlier end there, and refuses it when the same request comes again."""
LIVES = {
    PayWay.SCREEN: timedelta(hours=2),
    PayWay.IN_APP: timedelta(hours=2),
    PayWay.BROWSER: timedelta(minutes=5),
}
TYPES = {
    PayWay.SCREEN: WeChatPayType.NATIVE,
    PayWay.IN_APP: WeChatPayType.JSAPI,
    PayWay.BROWSER: WeChatPayType.H5,
}
STATES = {
    "SUCCESS": GatewayState.PAID,
    "REFUND": GatewayState.PAID,  # paid, and something was paid back: the money did come in
    "NOTPAY": GatewayState.NOT_PAID,
    "USERPAYING": GatewayState.NOT_PAID,
    "PAYERROR": GatewayState.NOT_PAID,
    "ACCEPT": GatewayState.NOT_PAID,
    "CLOSED": GatewayState.CLOSED,
    "REVOKED": GatewayState.CLOSED,
}
REFUND_STATES = {
    "SUCCESS": RefundState.SUCCEEDED,
    "PROCESSING": RefundState.PROCESSING,
    "ABNORMAL": RefundState.PROCESSING,  # the payer's card is gone: a person ends it at WeChat Pay, then it succeeds
    "CLOSED": RefundState.FAILED,
}
NO_BILL = {"NO_STATEMENT_EXIST", "STATEMENT_CREATING"}
NOT_FOUND = {"ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"}
TRADE_EXISTS = {"ORDERPAID", "ORDER_PAID", "ORDER_CLOSED", "ORDERCLOSED", "OUT_TRADE_NO_USED"}
"""Refusals of `create` that mean: look at what is there, before anything else."""
UNCERTAIN_STATUSES = {202, 408, 425, 429}
CODE_WORD = re.compile(r"[A-Z_]{1,64}")


class Refusal(GatewayRefused):
    """WeChat Pay said no; `code` is its word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"WeChat Pay refused: {code}{': ' if message else ''}{message}")
        self.code = code


class WeChatProvider:
    """One merchant's account at WeChat Pay."""

    ways: ClassVar[frozenset[PayWay]] = frozenset(PayWay)

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._secret = WeChatSecret.load(credentials.secret)

    def create(self, request: PaymentRequest, *, wall: datetime) -> Code:
        """Native, JSAPI or H5. Asking again gives a new code for the same trade, and ends the code before it."""
        if request.currency != "CNY":
            raise GatewayRefused("WeChat Pay takes CNY only.")
        sdk = self._sdk(wall)
        try:
            told = _told(sdk.pay(**self._order(request)))
        except Refusal as refused:
            if refused.code in TRADE_EXISTS:
                raise GatewayTimeout(f"The trade exists already: {refused.code}") from None
            raise
        try:
            return Code(*self._code(sdk, request, told, wall), LIVES[request.way])
        except (KeyError, ValueError):
            raise GatewayTimeout("WeChat Pay's answer has no code.") from None

    def query(self, number: str, *, wall: datetime) -> GatewayFacts:
        """What WeChat Pay knows of the trade."""
        try:
            told = _told(self._sdk(wall).query(out_trade_no=number, **self._sub()))
        except Refusal as refused:
            if refused.code in NOT_FOUND:
                return GatewayFacts(number, GatewayState.NOT_FOUND)
            raise
        facts = self._trade(told)
        if facts.number != number:
            raise GatewayTimeout("WeChat Pay's answer is about another payment.")
        return facts

    def close(self, number: str, *, wall: datetime) -> GatewayFacts:
        """Let nobody pay any more; where WeChat Pay refuses to close, how the trade stands."""
        try:
            _told(self._sdk(wall).close(out_trade_no=number, **self._sub()))
        except Refusal:
            facts = self.query(number, wall=wall)
            if facts.state is GatewayState.NOT_PAID:
                raise
            return facts
        return GatewayFacts(number, GatewayState.CLOSED)

    def refund(self, number: str, *, refund_number: str, amount: int, wall: datetime) -> RefundFacts:
        """Pay back `amount` minor units, once per refund number. The answer says that it was accepted, not done."""
        paid = self.query(number, wall=wall)  # WeChat Pay wants to hear the total beside the part
        if paid.state is not GatewayState.PAID or not 0 < amount <= paid.amount:
            raise GatewayRefused("Only what was paid can be paid back.")
        amounts = {"refund": amount, "total": paid.amount, "currency": paid.currency}
        facts = _refund(
            _told(
                self._sdk(wall).refund(out_refund_no=refund_number, out_trade_no=number, amount=amounts, **self._sub())
            )
        )
        if (facts.number, facts.amount) != (refund_number, amount):
            raise GatewayTimeout("WeChat Pay's answer is about another refund.")
        return facts

    def query_refund(self, refund_number: str, *, number: str, wall: datetime) -> RefundFacts:
        """How the refund stands."""
        try:
            facts = _refund(_told(self._sdk(wall).query_refund(refund_number, **self._sub())))
        except Refusal as refused:
            if refused.code in NOT_FOUND:
                return RefundFacts(refund_number, RefundState.NOT_FOUND)
            raise
        if facts.number != refund_number:
            raise GatewayTimeout("WeChat Pay's answer is about another refund.")
        return facts

    def parse_notification(self, headers: Mapping[str, str], body: bytes, *, wall: datetime) -> GatewayFacts:
        """The facts of a notice: signed by a key of this account within ±300 s, encrypted with its own (F28, F29)."""
        try:
            event, told = self._sdk(wall)._core.opened(headers, body)
            if event.startswith("REFUND."):  # how a refund stands is asked for; of the payment it says nothing new
                return GatewayFacts(word(told["out_trade_no"], ATTEMPT_NUMBER), GatewayState.NOT_FOUND)
            if not event.startswith("TRANSACTION."):
                raise NoticeRefused("The notice is not about a payment.")
            return self._trade(told)
        except (SignatureRefused, GatewayTimeout) as refused:
            raise NoticeRefused(str(refused)) from None
        except (KeyError, ValueError):
            raise NoticeRefused("The notice names no payment.") from None

    def bill(self, day: date, *, wall: datetime) -> bytes:
        """The trade bill of all kinds, unpacked; its digest is held against the one that WeChat Pay has signed."""
        sdk = self._sdk(wall)
        try:
            told = _told(sdk.trade_bill(f"{day:%Y-%m-%d}", "ALL", "GZIP", self._secret.sub_mchid or None))
        except Refusal as refused:
            if refused.code in NO_BILL:
                raise BillNotMade(refused.code) from None
            raise
        url, digest = wechat_address(told, sdk._core._gate_way), str(told.get("hash_value", ""))
        status, packed = sdk.download_bill(url)
        if status != 200:
            raise GatewayTimeout(f"WeChat Pay did not send the bill (HTTP {status}).")
        content = unpacked(packed)
        if not secrets.compare_digest(hashlib.sha1(content).hexdigest(), digest.lower()):  # noqa: S324 (theirs)
            raise GatewayTimeout("The bill is not the one that WeChat Pay has made.")
        return content

    def ack(self) -> Acknowledgement:
        """200 and the word SUCCESS."""
        return Acknowledgement(200, "application/json", b'{"code":"SUCCESS","message":"OK"}')

    def _sdk(self, wall: datetime) -> WeChatPay:
        return guarded_sdk(self._secret, gateway_url=self._credentials.gateway_url, wall=wall)

    def _sub(self) -> dict[str, str]:
        return {"sub_mchid": self._secret.sub_mchid} if self._secret.is_partner else {}

    def _order(self, request: PaymentRequest) -> dict[str, Any]:
        """Parameters of `pay`; nothing in them depends on when it is called."""
        ends = max(request.expires_at, request.asked_at + SHORTEST).astimezone(BEIJING)
        order = {
            "description": request.subject[:127],
            "out_trade_no": request.number,
            "amount": {"total": request.amount, "currency": request.currency},
            "time_expire": ends.isoformat(timespec="seconds"),
            "notify_url": request.notify_url,
            "pay_type": TYPES[request.way],
        } | self._sub()
        if self._secret.sub_appid:
            order["sub_appid"] = self._secret.sub_appid
        if request.way is PayWay.IN_APP:
            order["payer"] = {self._openid_name(): _given(request.payer_id, "the payer's openid")}
        if request.way is PayWay.BROWSER:
            ip = _given(request.payer_ip, "the address of the payer's browser")
            order["scene_info"] = {"payer_client_ip": ip, "h5_info": {"type": "Wap"}}
        return order

    def _openid_name(self) -> str:
        if not self._secret.is_partner:
            return "openid"
        return "sub_openid" if self._secret.sub_appid else "sp_openid"

    def _code(
        self, sdk: WeChatPay, request: PaymentRequest, told: Mapping[str, Any], wall: datetime
    ) -> tuple[CodeForm, str]:
        if request.way is PayWay.SCREEN:
            return CodeForm.QR, _text(told["code_url"])
        if request.way is PayWay.IN_APP:
            return CodeForm.PARAMETERS, self._parameters(sdk, _text(told["prepay_id"]), request.number, wall)
        link = _text(told["h5_url"])
        if not request.return_path:
            return CodeForm.LINK, link
        back = quote(f"{self._credentials.base_url}{request.return_path}", safe="")
        return CodeForm.LINK, f"{link}{'&' if '?' in link else '?'}redirect_url={back}"

    def _parameters(self, sdk: WeChatPay, prepay_id: str, nonce: str, wall: datetime) -> str:
        """What the page hands to WeixinJSBridge, as JSON. The signature is good for this prepay_id alone."""
        appid, stamp = self._secret.payers_app, str(int(wall.timestamp()))
        package = f"prepay_id={prepay_id}"
        told = {"appId": appid, "timeStamp": stamp, "nonceStr": nonce, "package": package, "signType": "RSA"}
        return json.dumps(told | {"paySign": sdk.sign([appid, stamp, nonce, package])})

    def _trade(self, told: Mapping[str, Any]) -> GatewayFacts:
        """Facts of a trade. Raises GatewayTimeout for what isn't exactly one (F30)."""
        try:
            number, state = word(told["out_trade_no"], ATTEMPT_NUMBER), STATES[told["trade_state"]]
            if state is not GatewayState.PAID:
                return GatewayFacts(number, state)
            return GatewayFacts(
                number,
                state,
                merchant_id=self._merchant(told),
                amount=minor(told["amount"]["total"]),
                currency=word(told["amount"].get("currency", "CNY"), CURRENCY),
                transaction_id=word(told["transaction_id"], TRANSACTION),
                paid_at=instant(told["success_time"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise GatewayTimeout("WeChat Pay's answer lacks a field.") from None

    def _merchant(self, told: Mapping[str, Any]) -> str:
        """Our name of the merchant where the numbers are this account's, else the number that was paid (F29)."""
        own = self._secret
        expected = (own.mchid, own.sub_mchid) if own.is_partner else (own.mchid,)
        names = ("sp_mchid", "sub_mchid") if own.is_partner else ("mchid",)
        paid = tuple(str(told[name]) for name in names)
        return self._credentials.merchant_id if paid == expected else f"wechat:{paid[-1]}"[:64]


def _told(answer: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """The content of a success. Raises Refusal for a clear no, GatewayTimeout where nobody knows."""
    status, told = answer
    if status in {200, 204}:
        return told
    code = told.get("code")
    if status in UNCERTAIN_STATUSES or not 400 <= status < 500 or not isinstance(code, str):
        raise GatewayTimeout(f"WeChat Pay could not answer (HTTP {status}).")
    code = code if CODE_WORD.fullmatch(code) else "UNKNOWN"
    raise Refusal(code, "" if status == 401 else str(told.get("message", ""))[:100])


def _refund(told: Mapping[str, Any]) -> RefundFacts:
    try:
        number, state = word(told["out_refund_no"], ATTEMPT_NUMBER), REFUND_STATES[told["status"]]
        return RefundFacts(number, state, minor(told["amount"]["refund"]))
    except (KeyError, TypeError, ValueError):
        raise GatewayTimeout("WeChat Pay's answer lacks a field.") from None


def _given(value: str, what: str) -> str:
    if not value:
        raise GatewayRefused(f"This way of paying needs {what}.")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > 1_000:
        raise ValueError("not a code")
    return value
