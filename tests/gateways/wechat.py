"""WeChat Pay APIv3 as documented: paths, signatures over raw bytes, encrypted notices."""

from __future__ import annotations

import gzip
import json
import re
import secrets
from datetime import date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.gateways import bills
from tests.gateways.books import Books, Course, Fault, Merchant, Notice, Refund, Refused, Trade, Transaction
from tests.gateways.signing import certificate_of, is_signed, seal, sign, stranger
from tests.gateways.speaking import Reply

SCHEME = "WECHATPAY2-SHA256-RSA2048"
ORDER = re.compile(r"/v3/pay(/partner)?/transactions/(native|jsapi|h5)")
TRADE = re.compile(r"/v3/pay(/partner)?/transactions/out-trade-no/([^/]+)(/close)?")
REFUNDS = "/v3/refund/domestic/refunds"
WORDS = {
    "NUMBER_USED": "OUT_TRADE_NO_USED",
    "PAID": "ORDERPAID",
    "CLOSED": "ORDER_CLOSED",
    "NOT_FOUND": "ORDER_NOT_EXIST",
    "DIFFERENT": "INVALID_REQUEST",
    "NOT_PAID": "INVALID_REQUEST",
    "BILL_CREATING": "STATEMENT_CREATING",
    "NO_BILL": "NO_STATEMENT_EXIST",
}
BILL_FILE = "/v3/billdownload/file"
REQUIRED = {"description", "out_trade_no", "time_expire", "notify_url", "amount"}
BEIJING = timezone(timedelta(hours=8))
WINDOW = timedelta(minutes=5)


class WeChat:
    """The gateway's side of the wire."""

    def __init__(self, books: Books) -> None:
        self.books, self.host = books, ""
        self.files: dict[str, bytes] = {}

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """One request, as it came."""
        address, self.host = urlsplit(target), headers.get("host", "")
        verb = _verb(method, address.path)
        fault = self.books.fault(verb)
        if fault == Fault.LOST_REQUEST:
            return Reply(0)
        try:
            merchant = self._asker(method, target, headers, body)
            content = json.loads(body) if body else dict(parse_qsl(address.query))
            if verb == "bill_file":
                return self._file(content, fault)
            status, told = self._done(merchant, verb, address.path, content, fault)
        except Refused as refused:
            code = WORDS.get(refused.code, refused.code)
            return self._error(refused.status, code, fault)
        return self._signed(merchant, headers, status, told, fault)

    def notice(self, notice: Notice) -> tuple[dict[str, str], bytes]:
        """(headers, body) of a notice, signed now."""
        merchant = self.books.merchants[notice.trade.merchant]
        content = json.dumps(self._told(merchant, notice.trade, notice.transaction)).encode()
        body = {
            "id": secrets.token_hex(16),
            "create_time": _time(self.books.now),
            "resource_type": "encrypt-resource",
            "event_type": "TRANSACTION.SUCCESS",
            "summary": "支付成功",
            "resource": seal(merchant.secret, content, "transaction") | {"original_type": "transaction"},
        }
        raw = json.dumps(body, ensure_ascii=False).encode()
        signer = self.books.merchants[notice.signer] if notice.fault == Fault.FOREIGN_KEY else merchant
        key = stranger() if notice.fault == Fault.FORGED else signer.signing_key
        headers = self._headers(key, signer.signing_id, raw)
        if notice.fault == Fault.PROBE:
            headers["Wechatpay-Signature"] = f"WECHATPAY/SIGNTEST/{headers['Wechatpay-Signature']}"
        return headers | {"Content-Type": "application/json"}, raw

    def trade_of(self, code: str, payer: str) -> Trade:
        """The trade that a payer reaches with a code, which must be the newest and, in the app, signed."""
        told = json.loads(code) if code.startswith("{") else {}
        code = told.get("package", code).removeprefix("prepay_id=")
        trade = next((trade for trade in self.books.trades.values() if code.split("&")[0] in trade.codes[-1:]), None)
        if trade is None:
            raise Refused("NOT_FOUND", 404)
        if trade.request["kind"] == "jsapi":
            merchant = self.books.merchants[trade.merchant]
            message = "".join(f"{told[name]}\n" for name in ("appId", "timeStamp", "nonceStr", "package"))
            if payer not in trade.request["payer"].values():
                raise Refused("NOT_FOUND", 404)
            if not is_signed(merchant.public_key, message.encode(), told["paySign"]):
                raise Refused("SIGN_ERROR", 401)
        return trade

    def _asker(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Merchant:
        """Whose merchant key signed exactly this request, now."""
        scheme, _, rest = headers.get("authorization", "").partition(" ")
        told = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        merchant = self.books.merchants.get(told.get("mchid", ""))
        if scheme != SCHEME or merchant is None or merchant.serial != told["serial_no"]:
            raise Refused("SIGN_ERROR", 401)
        message = "\n".join([method, target, told["timestamp"], told["nonce_str"], ""]).encode() + body + b"\n"
        moment = datetime.fromtimestamp(int(told["timestamp"]), tz=self.books.now.tzinfo)
        is_now = abs(moment - self.books.now) <= WINDOW or target == "/v3/certificates"
        if not is_now or not is_signed(merchant.public_key, message, told["signature"]):
            raise Refused("SIGN_ERROR", 401)
        return merchant

    def _done(self, merchant: Merchant, verb: str, path: str, content: dict[str, Any], fault: str) -> tuple[int, Any]:
        if verb == "certificates":
            return 200, self._certificates(merchant)
        if verb == "bill":
            return 200, self._bill(merchant, content)
        if verb == "create":
            return 200, self._create(merchant, path, content)
        if verb in {"query", "close"}:
            found = TRADE.fullmatch(path)
            assert found
            trade = self.books.find(merchant.id, self._seller(merchant, bool(found[1]), content), found[2])
            if verb == "close":
                self.books.close(trade)
                return 204, None
            paid = trade.transactions[-1] if trade.transactions and fault != Fault.STALE else None
            return 200, self._told(merchant, trade, paid)
        return 200, self._refund(merchant, verb, path, content)

    def _bill(self, merchant: Merchant, content: dict[str, str]) -> dict[str, str]:
        seller = content.get("sub_mchid", "")
        if seller and seller not in merchant.sellers:
            raise Refused("NO_AUTH", 403)
        if (content["bill_type"], content["tar_type"]) != ("ALL", "GZIP"):
            raise Refused("PARAM_ERROR")
        found = bills.movements(self.books, merchant.id, seller, date.fromisoformat(content["bill_date"]))
        bill, token = bills.wechat(found, merchant.id, seller), secrets.token_hex(16)
        self.files[token] = gzip.compress(bill)
        url = f"http://{self.host}{BILL_FILE}?token={token}"
        return {"hash_type": "SHA1", "hash_value": bills.digest(bill), "download_url": url}

    def _file(self, content: dict[str, str], fault: str) -> Reply:
        """Unsigned, as WeChat Pay sends files."""
        if fault == Fault.LOST_ANSWER:
            return Reply(0)
        body = self.files.get(content.get("token", ""))
        if body is None:
            return self._error(404, "NOT_FOUND", fault)
        return Reply(200, {"Content-Type": "application/octet-stream"}, bills.packed(body, fault))

    def _create(self, merchant: Merchant, path: str, content: dict[str, Any]) -> dict[str, str]:
        found = ORDER.fullmatch(path)
        assert found
        seller, kind = self._seller(merchant, bool(found[1]), content), found[2]
        if REQUIRED - content.keys() or not 6 <= len(content["out_trade_no"]) <= 32:
            raise Refused("PARAM_ERROR")
        if datetime.fromisoformat(content["time_expire"]).tzinfo is None or content["amount"]["total"] < 1:
            raise Refused("PARAM_ERROR")
        if kind == "jsapi" and not content.get("payer"):
            raise Refused("PARAM_ERROR")
        if kind == "h5" and not content.get("scene_info", {}).get("payer_client_ip"):
            raise Refused("PARAM_ERROR")
        amount = content["amount"]
        made = Trade(
            merchant.id,
            seller,
            content["out_trade_no"],
            amount["total"],
            amount["currency"],
            content["description"],
            content["notify_url"],
            content | {"kind": kind},
        )
        trade = self.books.open(made)
        name, start = {
            "native": ("code_url", "weixin://wxpay/bizpayurl?pr="),
            "jsapi": ("prepay_id", "wx"),
            "h5": ("h5_url", "https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx"),
        }[kind]
        trade.codes.append(f"{start}{secrets.token_hex(8)}")
        return {name: trade.codes[-1]}

    def _seller(self, merchant: Merchant, is_partner: bool, content: dict[str, Any]) -> str:
        """The sub-merchant of a partner's request, "" in direct mode; who asks for others is refused."""
        if content.get("sp_mchid" if is_partner else "mchid") != merchant.id:
            raise Refused("PARAM_ERROR")
        if not is_partner:
            return ""
        if content.get("sub_mchid") not in merchant.sellers:
            raise Refused("NO_AUTH", 403)
        return str(content["sub_mchid"])

    def _refund(self, merchant: Merchant, verb: str, path: str, content: dict[str, Any]) -> dict[str, Any]:
        seller = str(content.get("sub_mchid", ""))
        if verb == "refund":
            try:
                trade = self.books.find(merchant.id, seller, content["out_trade_no"])
            except Refused:
                raise Refused("RESOURCE_NOT_EXISTS", 404) from None
            if content["amount"]["total"] not in {trade.amount, *(paid.amount for paid in trade.transactions)}:
                raise Refused("INVALID_REQUEST")
            refund, is_new = self.books.refund(trade, content["out_refund_no"], content["amount"]["refund"])
            return self._refund_told(trade, refund, "PROCESSING" if is_new else _course(refund))
        number = path.rsplit("/", 1)[1]
        for trade in self.books.trades.values():
            if (trade.merchant, trade.seller) == (merchant.id, seller) and number in trade.refunds:
                return self._refund_told(trade, trade.refunds[number], _course(trade.refunds[number]))
        raise Refused("RESOURCE_NOT_EXISTS", 404)

    def _refund_told(self, trade: Trade, refund: Any, status: str) -> dict[str, Any]:
        amount = {"total": trade.amount, "refund": refund.amount, "payer_refund": refund.amount, "currency": "CNY"}
        return {
            "refund_id": refund.id,
            "out_refund_no": refund.number,
            "out_trade_no": trade.number,
            "status": status,
            "amount": amount,
        }

    def _told(self, merchant: Merchant, trade: Trade, paid: Transaction | None) -> dict[str, Any]:
        """What WeChat Pay says of a trade, in answers and notices alike."""
        if trade.seller:
            told = {"sp_mchid": merchant.id, "sub_mchid": paid.seller if paid else trade.seller}
        else:
            told = {"mchid": paid.seller if paid else merchant.id}
        told["out_trade_no"] = trade.number
        if paid is None:
            return told | {"trade_state": "CLOSED" if trade.is_closed else "NOTPAY"}
        return told | {
            "trade_state": "REFUND" if trade.refunds else "SUCCESS",
            "transaction_id": paid.id,
            "success_time": _time(paid.at),
            "amount": {"total": paid.amount, "payer_total": paid.amount - 1, "currency": paid.currency},
        }

    def _certificates(self, merchant: Merchant) -> dict[str, Any]:
        other = merchant.certificate or certificate_of(merchant.signing_key, serial=0xABCDEF)
        sealed = seal(merchant.secret, other.encode(), "certificate")
        dates = {"effective_time": _time(self.books.now), "expire_time": _time(self.books.now + timedelta(days=1))}
        return {"data": [{"serial_no": merchant.signing_id, "encrypt_certificate": sealed} | dates]}

    def _signed(self, merchant: Merchant, headers: dict[str, str], status: int, told: Any, fault: str) -> Reply:
        body = b"" if told is None else json.dumps(told, ensure_ascii=False).encode()
        if fault == Fault.LOST_ANSWER:
            return Reply(0)
        if fault == Fault.SERVER_ERROR:
            return self._error(500, "SYSTEM_ERROR", "")
        if fault == Fault.REDIRECT:
            return Reply(307, {"Location": "/elsewhere"})
        if fault == Fault.MALFORMED:
            body, status = b"<html>\xff", 200
        signed = self._headers(merchant.signing_key, merchant.signing_id, body)
        if fault == Fault.PROBE:
            signed["Wechatpay-Signature"] = f"WECHATPAY/SIGNTEST/{signed['Wechatpay-Signature']}"
        return Reply(status, signed | {"Content-Type": "application/json; charset=utf-8"}, body)

    def _headers(self, key: str, key_id: str, body: bytes) -> dict[str, str]:
        stamp, nonce = str(int(self.books.now.timestamp())), secrets.token_hex(16)
        return {
            "Request-ID": secrets.token_hex(8),
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": sign(key, f"{stamp}\n{nonce}\n".encode() + body + b"\n"),
            "Wechatpay-Serial": key_id,
            "Wechatpay-Signature-Type": SCHEME,
        }

    def _error(self, status: int, code: str, fault: str) -> Reply:
        if fault in {Fault.LOST_ANSWER, Fault.LOST_REQUEST}:
            return Reply(0)
        body = json.dumps({"code": code, "message": f"模拟: {code}"}, ensure_ascii=False).encode()
        return Reply(status, {"Content-Type": "application/json; charset=utf-8"}, body)


def _verb(method: str, path: str) -> str:
    if path == "/v3/certificates":
        return "certificates"
    if ORDER.fullmatch(path) and method == "POST":
        return "create"
    if found := TRADE.fullmatch(path):
        return "close" if found[3] and method == "POST" else "query"
    if path == BILL_FILE:
        return "bill_file"
    if path == "/v3/bill/tradebill":
        return "bill"
    if path.startswith(REFUNDS):
        return "refund" if method == "POST" else "query_refund"
    return "unknown"


def _time(moment: datetime) -> str:
    return moment.astimezone(BEIJING).isoformat(timespec="seconds")


def _course(refund: Refund) -> str:
    return {Course.DONE: "SUCCESS", Course.PROCESSING: "PROCESSING", Course.FAILED: "CLOSED"}[Course(refund.course)]
