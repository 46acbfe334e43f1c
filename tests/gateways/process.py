"""What a test holds of the simulator: the running process, its words, and accounts at it."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from billing.providers import account_secrets
from billing.providers.keys import private_pem
from tests.gateways import signing
from tests.stack.daemon import Daemon, accepts, free_port
from tests.stack.plugin import Stack
from tests.stack.processes import REPOSITORY

MCHID, OTHER_MCHID, SUB_MCHID = "1900000109", "1900000999", "1900006491"
APP_ID, OTHER_APP_ID = "2021000000000001", "2021000000000009"
SELLER, SUB_SELLER, TOKEN = "2088000000000001", "2088000000000055", "202011BBtokenOfTheMerchant"
APPID, APP_SECRET, OPENID = "wx8888888888888888", "c0ffee" * 5 + "c0", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
APIV3_KEY, OTHER_APIV3_KEY = "k" * 16 + "0123456789abcdef", "z" * 32


@dataclass(kw_only=True)
class Gateways(Daemon):
    """The simulator's process and its control words."""

    name: str = "gateways"
    port: int = field(default_factory=free_port)

    def command(self) -> tuple[str, ...]:
        """Plain Python; nothing of the product is imported."""
        return sys.executable, "-m", "tests.gateways.server", str(self.port)

    def is_ready(self) -> bool:
        """Whether it listens."""
        return accepts(self.port)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def addresses(self) -> dict[str, str]:
        """What the product's settings name instead of the gateways."""
        return {
            "wechat": self.url,
            "alipay": f"{self.url}/gateway.do",
            "wechat_login": f"{self.url}/connect/oauth2/authorize",
            "wechat_api": self.url,
        }

    def say(self, word: str, /, **told: Any) -> Any:
        """One control word."""
        request = Request(f"{self.url}/control/{word}", data=json.dumps(told).encode())
        with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)

    def at(self, now: datetime) -> None:
        """Set the gateways' clock."""
        self.say("clock", now=now.isoformat())

    def pay(self, code: str, **told: Any) -> str:
        """The payer scans and pays; AssertionError where the gateway says no."""
        answer = self.say("pay", code=code, **told)
        assert isinstance(answer, str), answer
        return answer

    def notices(self) -> list[Sent]:
        """The notices that are due, each once."""
        return [Sent(told["url"], told["headers"], base64.b64decode(told["body"])) for told in self.say("notices")]

    def books(self) -> list[dict[str, Any]]:
        """The trades, as the gateways keep them."""
        told: list[dict[str, Any]] = self.say("books")
        return told


class Sent(NamedTuple):
    """A notice on its way."""

    url: str
    headers: dict[str, str]
    body: bytes


@cache
def key(name: str) -> str:
    """A private key of this test run; made once, since that takes its time."""
    return signing.new_key()


def wechat_secret(*, is_partner: bool = False, **changes: str) -> dict[str, str]:
    """What the merchant types in for its account at WeChat Pay."""
    told = {
        "mchid": MCHID,
        "appid": APPID,
        "certificate_serial": "5157F09EFDC096DE15EBE81A47057A7232F1B8E1",
        "private_key": key("wechat merchant"),
        "apiv3_key": APIV3_KEY,
        "public_key_id": "PUB_KEY_ID_0119000001092024",
        "public_key": signing.public_of(key("wechat platform")),
    }
    return told | ({"sub_mchid": SUB_MCHID} if is_partner else {}) | changes


def alipay_secret(*, is_partner: bool = False, **changes: str) -> dict[str, str]:
    """What the merchant types in for its account at Alipay."""
    told = {
        "app_id": APP_ID,
        "seller_id": SUB_SELLER if is_partner else SELLER,
        "private_key": key("alipay application"),
        "alipay_public_key": signing.public_of(key("alipay platform")),
    }
    return told | ({"app_auth_token": TOKEN} if is_partner else {}) | changes


def register_all(gateways: Gateways) -> None:
    """The gateways' side of those accounts, and of another merchant's at each."""
    mine, other = key("wechat platform"), key("other platform")
    merchant = {"public_key": signing.public_of(key("wechat merchant")), "sellers": {SUB_MCHID: ""}}
    serial = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
    signer = {"signing_key": mine, "signing_id": "PUB_KEY_ID_0119000001092024", "secret": APIV3_KEY}
    gateways.say("register", gateway="wechat", id=MCHID, serial=serial, **merchant, **signer)
    signer = {"signing_key": other, "signing_id": "PUB_KEY_ID_0119000009992024", "secret": OTHER_APIV3_KEY}
    gateways.say("register", gateway="wechat", id=OTHER_MCHID, serial=serial, **merchant, **signer)
    application = {
        "public_key": signing.public_of(key("alipay application")),
        "sellers": {"": SELLER, TOKEN: SUB_SELLER},
    }
    gateways.say("register", gateway="alipay", id=APP_ID, signing_key=key("alipay platform"), **application)
    gateways.say("register", gateway="alipay", id=OTHER_APP_ID, signing_key=other, **application)
    gateways.say("app", appid=APPID, secret=APP_SECRET, host="testserver")
    gateways.say("sign_in", payer=OPENID)


@cache
def checked_once(text: str) -> str:
    """The product checks a private key whenever one is typed in; the same ones come in each test."""
    return private_pem(text)


@pytest.fixture(scope="session")
def gateway_process(stack: Stack) -> Iterator[Gateways]:
    """The simulator, started once."""
    process = Gateways(directory=stack.directory, working_directory=REPOSITORY)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def gateways(gateway_process: Gateways, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Gateways:
    """The simulator with empty books and known merchants, in the place of the real gateways."""
    monkeypatch.setattr(account_secrets, "private_pem", checked_once)
    settings.PAYMENT_GATEWAYS = gateway_process.addresses
    gateway_process.say("reset")
    register_all(gateway_process)
    return gateway_process
