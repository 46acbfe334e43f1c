"""WeChat's OAuth for pages as documented: who holds the phone goes through it unasked, and a code counts once."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.gateways.books import Books, Fault
from tests.gateways.speaking import Reply

AUTHORIZE, TOKEN = "/connect/oauth2/authorize", "/sns/oauth2/access_token"
ORDER = ["appid", "redirect_uri", "response_type", "scope", "state"]
"""WeChat compares the address with a pattern: in another order it is refused."""
LIVES = timedelta(minutes=5)


@dataclass
class App:
    """An application (official account): its secret, and the host that it named for this."""

    secret: str
    host: str


@dataclass
class Grant:
    """A code that was given out."""

    appid: str
    openid: str
    at: datetime
    is_used: bool = False


@dataclass
class OpenIds:
    """`payer` is who holds the phone, by the openid that every application sees here."""

    books: Books
    apps: dict[str, App] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    payer: str = ""

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """One request, of the payer's browser or of the merchant's server."""
        address = urlsplit(target)
        told = dict(parse_qsl(address.query))
        if method != "GET":
            return Reply(405)
        return self._authorize(told) if address.path == AUTHORIZE else self._exchange(told)

    def _authorize(self, told: dict[str, str]) -> Reply:
        app = self.apps.get(told.get("appid", ""))
        is_sound = (
            list(told) == ORDER
            and (told["response_type"], told["scope"]) == ("code", "snsapi_base")
            and re.fullmatch(r"[A-Za-z0-9]{1,128}", told["state"])
        )
        if app is None or not is_sound:
            return Reply(200, {"Content-Type": "text/html; charset=utf-8"}, "该链接无法访问".encode())
        if urlsplit(told["redirect_uri"]).hostname != app.host:
            return Reply(200, {"Content-Type": "text/html; charset=utf-8"}, "redirect_uri 参数错误 10003".encode())
        code = secrets.token_hex(16)
        self.grants[code] = Grant(told["appid"], self.payer, self.books.now)
        back = told["redirect_uri"]
        query = urlencode({"code": code, "state": told["state"]})
        return Reply(302, {"Location": f"{back}{'&' if '?' in back else '?'}{query}"})

    def _exchange(self, told: dict[str, str]) -> Reply:
        fault = self.books.fault("openid")
        if fault in {Fault.LOST_REQUEST, Fault.LOST_ANSWER}:
            return Reply(0)
        if fault == Fault.SERVER_ERROR:
            return Reply(502, {}, b"<html>")
        grant, app = self.grants.get(told.get("code", "")), self.apps.get(told.get("appid", ""))
        if app is None:
            return _json({"errcode": 40013, "errmsg": "invalid appid"})
        if told.get("secret") != app.secret or told.get("grant_type") != "authorization_code":
            return _json({"errcode": 40125, "errmsg": f"invalid appsecret, {told.get('secret')}"})
        if grant is None or grant.appid != told["appid"] or self.books.now - grant.at > LIVES:
            return _json({"errcode": 40029, "errmsg": "invalid code"})
        if grant.is_used:
            return _json({"errcode": 40163, "errmsg": "code been used"})
        grant.is_used = True
        tokens = {"access_token": secrets.token_hex(16), "refresh_token": secrets.token_hex(16), "expires_in": 7200}
        return _json(tokens | {"openid": grant.openid, "scope": "snsapi_base"})


def _json(told: dict[str, object]) -> Reply:
    """WeChat says 200 to everything here, and `text/plain`."""
    return Reply(200, {"Content-Type": "text/plain"}, json.dumps(told).encode())
