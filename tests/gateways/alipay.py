"""Alipay's OpenAPI as documented: one address, RSA2 over sorted parameters, answers signed as they are written."""

from __future__ import annotations

import json
import secrets
from datetime import date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.gateways import bills
from tests.gateways.books import Books, Course, Fault, Merchant, Notice, Refused, Trade, Transaction
from tests.gateways.signing import is_signed, sign, stranger
from tests.gateways.speaking import Reply

BEIJING = timezone(timedelta(hours=8))
WINDOW = timedelta(minutes=5)
VERBS = {
    "alipay.trade.precreate": "create",
    "alipay.trade.query": "query",
    "alipay.trade.close": "close",
    "alipay.trade.refund": "refund",
    "alipay.trade.fastpay.refund.query": "query_refund",
    "alipay.data.dataservice.bill.downloadurl.query": "bill",
}
BILL_FILE = "/downloadBillFile.resource"
WORDS = {
    "NUMBER_USED": "ACQ.CONTEXT_INCONSISTENT",
    "PAID": "ACQ.TRADE_HAS_SUCCESS",
    "CLOSED": "ACQ.TRADE_HAS_CLOSE",
    "NOT_FOUND": "ACQ.TRADE_NOT_EXIST",
    "DIFFERENT": "ACQ.DISCORDANT_REPEAT_REQUEST",
    "NOT_PAID": "ACQ.TRADE_STATUS_ERROR",
    "NO_BALANCE": "ACQ.SELLER_BALANCE_NOT_ENOUGH",
    "NOT_ENOUGH": "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL",
}


class Alipay:
    """The gateway's side of the wire. A precreated code is no trade before somebody scans it."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.codes: dict[str, Trade] = {}
        self.host = ""
        self.files: dict[str, tuple[datetime, bytes]] = {}

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """One request, as it came; parameters in the address or in the body."""
        self.host = headers.get("host", "")
        if target.startswith(BILL_FILE):
            return self._file(urlsplit(target).query.removeprefix("token="))
        told = dict(parse_qsl(urlsplit(target).query) + parse_qsl(body.decode(), keep_blank_values=True))
        name = told.get("method", "")
        verb, response = VERBS.get(name, "unknown"), f"{name.replace('.', '_')}_response"
        fault = self.books.fault(verb)
        if fault == Fault.LOST_REQUEST:
            return Reply(0)
        try:
            merchant = self._asker(told)
        except Refused as refused:
            return self._complaint(refused.code, told)
        try:
            content = self._done(merchant, verb, json.loads(told["biz_content"]), told, fault)
            content = {"code": "10000", "msg": "Success"} | content
        except Refused as refused:
            if refused.code in {"NO_BILL", "BILL_CREATING"}:
                content = {
                    "code": "40004",
                    "msg": "Business Failed",
                    "sub_code": "isp.bill_not_exist",
                    "sub_msg": "模拟",
                }
                return self._signed(merchant, response, content, fault)
            code = "ACQ.TRADE_STATUS_ERROR" if verb == "close" and refused.code == "PAID" else WORDS[refused.code]
            content = {"code": "40004", "msg": "Business Failed", "sub_code": code, "sub_msg": "模拟"}
        return self._signed(merchant, response, content, fault)

    def notice(self, notice: Notice) -> tuple[dict[str, str], bytes]:
        """(headers, body) of a notice."""
        merchant, trade, paid = self.books.merchants[notice.trade.merchant], notice.trade, notice.transaction
        told = {
            "notify_time": _time(self.books.now),
            "notify_type": "trade_status_sync",
            "notify_id": secrets.token_hex(16),
            "app_id": merchant.id,
            "charset": "utf-8",
            "version": "1.0",
            "seller_id": paid.seller,
            "out_trade_no": trade.number,
            "trade_no": paid.id,
            "trade_status": self._status(trade, paid),
            "subject": trade.subject,
            "total_amount": _yuan(paid.amount),
            "trans_currency": paid.currency,
            "receipt_amount": _yuan(paid.amount - 1),
            "gmt_create": _time(paid.at),
            "gmt_payment": _time(paid.at),
            "fund_bill_list": '[{"amount":"1.00","fundChannel":"ALIPAYACCOUNT"}]',
            "passback_params": "",
        }
        signer = self.books.merchants[notice.signer] if notice.fault == Fault.FOREIGN_KEY else merchant
        key = stranger() if notice.fault in {Fault.FORGED, Fault.PROBE} else signer.signing_key
        message = "&".join(f"{name}={value}" for name, value in sorted(told.items()))
        body = urlencode(told | {"sign_type": "RSA2", "sign": sign(key, message.encode())}).encode()
        return {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, body

    def trade_of(self, code: str, payer: str) -> Trade:
        """The trade that a payer reaches by scanning the code, or by opening the signed link."""
        address = urlsplit(code)
        told = dict(parse_qsl(address.query))
        if told.get("method") == "alipay.trade.wap.pay":
            merchant = self._asker(told)
            content = json.loads(told["biz_content"])
            if content["product_code"] != "QUICK_WAP_WAY":
                raise Refused("ACCESS_FORBIDDEN")
            made = self._made(merchant, content, told)
        elif code in self.codes:
            made = self.codes[code]
        else:
            raise Refused("NOT_FOUND", 404)
        trade = self.books.open(made)
        trade.is_scanned = True
        trade.codes.append(code)
        return trade

    def _asker(self, told: dict[str, str]) -> Merchant:
        """Whose key signed exactly these parameters."""
        merchant = self.books.merchants.get(told.get("app_id", ""))
        if merchant is None:
            raise Refused("isv.invalid-app-id")
        message = "&".join(f"{name}={value}" for name, value in sorted(told.items()) if name != "sign")
        if told.get("sign_type") != "RSA2" or not is_signed(merchant.public_key, message.encode(), told["sign"]):
            raise Refused("isv.invalid-signature")
        moment = datetime.strptime(f"{told['timestamp']} +0800", "%Y-%m-%d %H:%M:%S %z")
        if abs(moment - self.books.now) > WINDOW:
            raise Refused("isv.invalid-timestamp")
        if told.get("app_auth_token", "") not in merchant.sellers:
            raise Refused("isv.invalid-app-auth-token")
        return merchant

    def _done(
        self, merchant: Merchant, verb: str, content: dict[str, Any], told: dict[str, str], fault: str
    ) -> dict[str, Any]:
        if verb == "bill":
            return self._bill(merchant, content, told)
        if verb == "create":
            made = self._made(merchant, content, told)
            if (made.merchant, made.seller, made.number) in self.books.trades:
                self.books.open(made)
            if any(made.number == other.number and made.request != other.request for other in self.codes.values()):
                raise Refused("NUMBER_USED")
            code = f"https://qr.alipay.com/bax{secrets.token_hex(8)}"
            self.codes[code] = made
            return {"out_trade_no": made.number, "qr_code": code}
        trade = self.books.find(merchant.id, self._seller(merchant, content, told), content["out_trade_no"])
        named = {"out_trade_no": trade.number}
        if verb == "close":
            self.books.close(trade)
            return named
        if verb == "query":
            paid = trade.transactions[-1] if trade.transactions and fault != Fault.STALE else None
            return named | self._told(trade, paid)
        number = content["out_request_no"]
        if verb == "refund":
            if self.books.course_of(trade) == Course.FAILED:
                raise Refused("NO_BALANCE")
            refund, is_new = self.books.refund(trade, number, _minor(content["refund_amount"]))
            moved = is_new and refund.course == Course.DONE
            # The sum of all refunds of this trade, not this one's.
            return named | {"fund_change": "Y" if moved else "N", "refund_fee": _yuan(trade.refunded)}
        if (refund := trade.refunds.get(number)) and refund.course == Course.DONE:
            amounts = {"refund_amount": _yuan(refund.amount), "total_amount": _yuan(trade.amount)}
            return named | amounts | {"out_request_no": number, "refund_status": "REFUND_SUCCESS"}
        return {}

    def _bill(self, merchant: Merchant, content: dict[str, Any], told: dict[str, str]) -> dict[str, Any]:
        seller, day = self._seller(merchant, content, told), date.fromisoformat(content["bill_date"])
        assert content["bill_type"] == "trade"
        found = bills.movements(self.books, merchant.id, seller, day)
        token = secrets.token_hex(16)
        self.files[token] = self.books.now, bills.alipay(found, found[0].trade.transactions[0].seller, day)
        return {"bill_download_url": f"http://{self.host}{BILL_FILE}?token={token}"}

    def _file(self, token: str) -> Reply:
        """Without a signature, for 30 seconds."""
        fault = self.books.fault("bill_file")
        made, body = self.files.get(token, (None, b""))
        if fault == Fault.LOST_ANSWER:
            return Reply(0)
        if made is None or self.books.now - made > timedelta(seconds=30):
            return Reply(404, {"Content-Type": "text/html"}, b"<html>")
        return Reply(200, {"Content-Type": "application/zip"}, bills.packed(body, fault))

    def _made(self, merchant: Merchant, content: dict[str, Any], told: dict[str, str]) -> Trade:
        if set("/=&") & set(content["subject"]) or len(content["out_trade_no"]) > 64:
            raise Refused("NOT_PAID")
        return Trade(
            merchant.id,
            self._seller(merchant, content, told),
            content["out_trade_no"],
            _minor(content["total_amount"]),
            "CNY",
            content["subject"],
            told["notify_url"],
            content | {"notify_url": told["notify_url"], "return_url": told.get("return_url", "")},
        )

    def _seller(self, merchant: Merchant, content: dict[str, Any], told: dict[str, str]) -> str:
        return merchant.sellers[told.get("app_auth_token", "")]

    def _told(self, trade: Trade, paid: Transaction | None) -> dict[str, Any]:
        told = {"trade_status": self._status(trade, paid), "subject": trade.subject}
        if paid is None:
            return told | {"total_amount": _yuan(trade.amount)}
        return told | {
            "trade_no": paid.id,
            "total_amount": _yuan(paid.amount),
            "trans_currency": paid.currency,
            "receipt_amount": _yuan(paid.amount - 1),
            "send_pay_date": _time(paid.at),
            "buyer_logon_id": "sim***@example.com",
        }

    def _status(self, trade: Trade, paid: Transaction | None) -> str:
        """A trade that was paid back in full is closed too."""
        if trade.is_closed or (paid and trade.refunded >= paid.amount):
            return "TRADE_CLOSED"
        return "TRADE_SUCCESS" if paid else "WAIT_BUYER_PAY"

    def _signed(self, merchant: Merchant, response: str, content: dict[str, Any], fault: str) -> Reply:
        if fault == Fault.LOST_ANSWER:
            return Reply(0)
        if fault == Fault.SERVER_ERROR:
            return Reply(502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>")
        if fault == Fault.REDIRECT:
            return Reply(307, {"Location": "/elsewhere"})
        if fault == Fault.MALFORMED:
            return Reply(200, {"Content-Type": "text/html"}, b'{"' + response.encode() + b'":[')
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
        key = stranger() if fault == Fault.PROBE else merchant.signing_key
        body = f'{{"{response}":{text},"sign":"{sign(key, text.encode())}"}}'
        return Reply(200, {"Content-Type": "text/html;charset=utf-8"}, body.encode())

    def _complaint(self, code: str, told: dict[str, str]) -> Reply:
        """Unsigned, and as talkative as the real one: it repeats what was signed."""
        message = "&".join(f"{name}={value}" for name, value in sorted(told.items()) if name != "sign")
        content = {"code": "40002", "msg": "Invalid Arguments", "sub_code": code, "sub_msg": f"验签出错: {message}"}
        return Reply(200, {}, json.dumps({"error_response": content}, ensure_ascii=False).encode())


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"


def _yuan(amount: int) -> str:
    return f"{amount / 100:.2f}"


def _minor(text: str) -> int:
    return round(float(text) * 100)
