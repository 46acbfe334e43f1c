"""The simulator's process: both gateways, and `/control/…` by which a test plays the payer and orders faults."""

from __future__ import annotations

import base64
import json
import sys
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from tests.gateways.alipay import Alipay
from tests.gateways.books import Books, Merchant, Refused
from tests.gateways.openids import AUTHORIZE, TOKEN, App, OpenIds
from tests.gateways.speaking import Reply
from tests.gateways.wechat import WeChat


class Simulator:
    """The books and both wires; one request at a time, so that the books need no locks of their own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Empty books."""
        self.books = Books()
        self.openids = OpenIds(self.books)
        self.wires = {"wechat": WeChat(self.books), "alipay": Alipay(self.books)}

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """One request to a gateway."""
        name = "alipay" if target.startswith(("/gateway.do", "/downloadBillFile")) else "wechat"
        wire: WeChat | Alipay | OpenIds = self.wires[name]
        if urlsplit(target).path in {AUTHORIZE, TOKEN}:
            wire = self.openids
        with self.lock:
            self.books.calls.append(f"{method} {target.partition('?')[0]}")
            if name in self.books.down:
                return Reply(503, {"Content-Type": "text/html"}, b"<html>Service Unavailable</html>")
            return wire.answer(method, target, headers, body)

    def control(self, verb: str, told: dict[str, Any]) -> Any:
        """One word of the test."""
        with self.lock:
            try:
                return getattr(self, f"do_{verb}")(**told)
            except Refused as refused:
                return {"refused": refused.code}

    def do_reset(self) -> None:
        """Start anew."""
        self.reset()

    def do_clock(self, now: str) -> None:
        """The gateway's time from now on; it stands still."""
        self.books.moment = datetime.fromisoformat(now)

    def do_register(self, **merchant: Any) -> None:
        """A merchant's account; the same again changes it."""
        self.books.merchants[merchant["id"]] = Merchant(**merchant)

    def do_app(self, appid: str, secret: str, host: str) -> None:
        """An application of WeChat's, by which payers are known."""
        self.openids.apps[appid] = App(secret, host)

    def do_sign_in(self, payer: str) -> None:
        """Who holds the phone from now on."""
        self.openids.payer = payer

    def do_fail(self, fault: str, verb: str = "", times: int = 1) -> None:
        """The next calls of that kind go wrong so; "none" forgets all such orders."""
        self.books.faults += [(fault, verb)] * times

    def do_down(self, gateways: list[str]) -> None:
        """These gateways answer no call from now on, the others do; payers and notices are not affected."""
        self.books.down = set(gateways)

    def do_refunds(self, course: str = "", number: str = "") -> None:
        """Refunds go so from now on: "processing", "failed", or "" for at once; of one trade where it is named."""
        self.books.take_course(course, number)

    def do_scan(self, code: str, payer: str = "") -> str:
        """The payer scans or opens the code, and looks at the price."""
        return self._wire(code).trade_of(code, payer).number

    def do_pay(self, code: str, payer: str = "", fault: str = "", signer: str = "") -> str:
        """The payer scans and pays; the transaction's id."""
        trade = self._known().get(code) or self._wire(code).trade_of(code, payer)
        return self.books.pay(trade, fault, signer).id

    def do_notices(self) -> list[dict[str, Any]]:
        """The notices that are due now, signed now."""
        sent = []
        for notice in self.books.due_notices():
            gateway = self.books.merchants[notice.trade.merchant].gateway
            headers, body = self.wires[gateway].notice(notice)
            sent.append({"url": notice.trade.notify_url, "headers": headers, "body": base64.b64encode(body).decode()})
        return sent

    def do_deliver(self) -> list[int]:
        """POST the notices that are due to where they belong; statuses of the answers."""
        answers = []
        for sent in self.do_notices():
            request = Request(sent["url"], data=base64.b64decode(sent["body"]), headers=sent["headers"])
            try:
                with build_opener(ProxyHandler({})).open(request, timeout=5) as answer:
                    answers.append(answer.status)
            except HTTPError as refused:
                answers.append(refused.code)
        return answers

    def do_books(self) -> list[dict[str, Any]]:
        """The trades."""
        return self.books.told()

    def do_calls(self) -> list[str]:
        """Methods and paths of the calls so far."""
        return self.books.calls

    def _wire(self, code: str) -> WeChat | Alipay:
        is_alipay = code.startswith("https://qr.alipay.com/") or "alipay.trade.wap.pay" in code
        return self.wires["alipay" if is_alipay else "wechat"]

    def _known(self) -> dict[str, Any]:
        """Trades by the code through which they were opened, also once paid or closed: payers try again."""
        return {code: trade for trade in self.books.trades.values() for code in trade.codes[-1:]}


class Handler(BaseHTTPRequestHandler):
    """HTTP over the simulator."""

    simulator = Simulator()
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Both methods are alike here."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/control/"):
            told = self.simulator.control(self.path.removeprefix("/control/"), json.loads(body or "{}"))
            self._send(Reply(200, {}, json.dumps(told, default=str).encode()))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.simulator.answer(self.command, self.path, headers, body))

    do_POST = do_GET  # noqa: N815, the name that http.server calls

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def _send(self, reply: Reply) -> None:
        if reply.status == 0:
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)


def serve(port: int) -> None:
    """Listen on loopback until killed."""
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
