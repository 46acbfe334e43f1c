"""Why wechatpayv3 stands behind a guard: each part of it first with the SDK alone, which fails, then guarded."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from wechatpayv3 import WeChatPay, WeChatPayType

from billing.providers.account_secrets import WeChatSecret
from billing.providers.protocol import GatewayTimeout
from billing.providers.wechat_guard import GuardedCore, SignatureRefused, guarded_sdk
from tests.gateways import signing
from tests.gateways.process import (
    APIV3_KEY,
    MCHID,
    Gateways,
    Sent,
    gateway_process,
    gateways,
    key,
    wechat_secret,
)
from tests.services.shop import WALL

__all__ = ["gateway_process", "gateways"]
NUMBER, SERIAL = "GUARDED00001", "00ABCDEF"
YEARS = timedelta(days=800)


def bare(gateways: Gateways, **changes: Any) -> WeChatPay:
    """The SDK alone, pointed at the simulator."""
    told = wechat_secret()
    options: dict[str, Any] = {
        "wechatpay_type": WeChatPayType.NATIVE,
        "mchid": MCHID,
        "private_key": told["private_key"],
        "cert_serial_no": told["certificate_serial"],
        "appid": told["appid"],
        "apiv3_key": APIV3_KEY,
        "public_key": told["public_key"],
        "public_key_id": told["public_key_id"],
    }
    sdk = WeChatPay(**options | changes)
    sdk._core._gate_way = gateways.url
    return sdk


def guarded(gateways: Gateways, wall: datetime = WALL, **changes: str) -> WeChatPay:
    """The SDK behind its guard."""
    return guarded_sdk(WeChatSecret.parse(wechat_secret(**changes)), gateway_url=gateways.url, wall=wall)


def order() -> dict[str, Any]:
    """Parameters of `pay`."""
    return {
        "description": "Yearly",
        "out_trade_no": NUMBER,
        "amount": {"total": 19_900, "currency": "CNY"},
        "time_expire": "2026-03-01T20:30:00+08:00",
        "notify_url": "https://amp.example.com/pay/notify",
    }


def notice(gateways: Gateways) -> Sent:
    """A true notice of a payment, signed at WALL."""
    gateways.at(WALL)
    gateways.pay(guarded(gateways).pay(**order())[1]["code_url"])
    (sent,) = gateways.notices()
    return sent


def test_a_notice_of_years_ago_is_refused_F28(gateways: Gateways) -> None:
    old = notice(gateways)
    assert bare(gateways).callback(old.headers, old.body)["event_type"] == "TRANSACTION.SUCCESS"
    with pytest.raises(SignatureRefused, match="window"):
        guarded(gateways, WALL + YEARS)._core.opened(old.headers, old.body)


@pytest.fixture
def certified(gateways: Gateways, tmp_path: Path) -> tuple[WeChatPay, WeChatPay]:
    """Both, where WeChat Pay signs by a platform certificate."""
    platform = key("wechat platform")
    pem = signing.certificate_of(platform, serial=int(SERIAL, 16))
    told = {"public_key": signing.public_of(key("wechat merchant")), "sellers": {}, "certificate": pem}
    serial = wechat_secret()["certificate_serial"]
    signer = {"signing_key": platform, "signing_id": SERIAL, "secret": APIV3_KEY}
    gateways.say("register", gateway="wechat", id=MCHID, serial=serial, **told, **signer)
    (tmp_path / "platform.pem").write_text(pem)
    alone = bare(gateways, public_key=None, public_key_id=None, cert_dir=str(tmp_path))
    return alone, guarded(gateways, public_key="", public_key_id="", platform_certificates=pem)


def test_a_forged_serial_makes_us_call_nobody_and_forget_no_certificate_F29(
    gateways: Gateways, certified: tuple[WeChatPay, WeChatPay]
) -> None:
    gateways.at(WALL)
    alone, with_guard = certified
    gateways.pay(with_guard.pay(**order())[1]["code_url"])
    (sent,) = gateways.notices()
    forged = sent._replace(headers=sent.headers | {"Wechatpay-Serial": "5157F09E"})
    calls = len(gateways.say("calls"))
    with pytest.raises(SignatureRefused, match="does not know"):
        with_guard._core.opened(forged.headers, forged.body)
    assert len(gateways.say("calls")) == calls
    assert with_guard._core.opened(sent.headers, sent.body)[0] == "TRANSACTION.SUCCESS"

    assert alone.callback(sent.headers, sent.body) is not None
    gateways.say("fail", fault="lost_request", verb="certificates")
    with pytest.raises(requests.ConnectionError):
        alone.callback(forged.headers, forged.body)
    assert gateways.say("calls")[-1] == "GET /v3/certificates", "the SDK alone asked on a stranger's word"
    assert alone._core._certificates == [], "and has forgotten what it knew"


@pytest.fixture
def sent_with(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """How each call was made."""
    seen: list[dict[str, Any]] = []
    original = requests.Session.request

    def request(self: requests.Session, method: str, url: str, **options: Any) -> Any:
        seen.append({"allow_redirects": True, "timeout": None} | options)
        return original(self, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", request)
    return seen


def test_no_call_waits_for_ever_or_goes_elsewhere_F87(gateways: Gateways, sent_with: list[dict[str, Any]]) -> None:
    gateways.at(WALL)
    bare(gateways).query(out_trade_no=NUMBER)
    guarded(gateways).query(out_trade_no=NUMBER)
    alone, with_guard = sent_with
    assert (alone["timeout"], alone["allow_redirects"]) == (None, True)
    assert all(0 < seconds <= 5 for seconds in with_guard["timeout"])
    assert with_guard["allow_redirects"] is False


def test_an_answer_that_is_too_long_or_comes_too_slowly_is_none(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateways.at(WALL)
    for limit, value in (("MAX_ANSWER", 10), ("DEADLINE_SECONDS", -1)):
        with monkeypatch.context() as patch:
            patch.setattr(f"billing.providers.calling.{limit}", value)
            with pytest.raises(GatewayTimeout, match="too long or too slow"):
                guarded(gateways).pay(**order())
    assert guarded(gateways).pay(**order())[0] == 200


def test_a_netrc_replaces_no_signature(
    gateways: Gateways, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent_with: list[dict[str, Any]]
) -> None:
    gateways.at(WALL)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert bare(gateways).pay(**order())[0] == 401
    assert guarded(gateways).pay(**order())[0] == 200


def test_nothing_of_requests_and_notices_is_logged_F83(gateways: Gateways, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sent = notice(gateways)
    guarded(gateways)._core.opened(sent.headers, sent.body)
    assert "signature=" not in caplog.text
    assert "transaction_id" not in caplog.text
    talkative = bare(gateways, logger=logging.getLogger("sdk"))
    talkative.callback(sent.headers, sent.body)
    talkative.query(out_trade_no=NUMBER)
    assert "signature=" in caplog.text
    assert "transaction_id" in caplog.text


BROKEN: dict[str, Callable[[Sent], Sent]] = {
    "a serial that is no number": lambda sent: _with(sent, Serial="zz"),
    "no serial": lambda sent: _with(sent, Serial=""),
    "another scheme": lambda sent: _with(sent, **{"Signature-Type": "WECHATPAY2-SM2-WITH-SM3"}),
    "no text": lambda sent: sent._replace(body=b"\xff\xfe"),
}


def _with(sent: Sent, **headers: str) -> Sent:
    return sent._replace(headers=sent.headers | {f"Wechatpay-{name}": value for name, value in headers.items()})


@pytest.mark.parametrize("what", BROKEN)
def test_malformed_notices_are_refused_and_crash_nothing_F38(
    gateways: Gateways, certified: tuple[WeChatPay, WeChatPay], what: str
) -> None:
    alone, with_guard = certified
    gateways.at(WALL)
    gateways.pay(with_guard.pay(**order())[1]["code_url"])
    (sent,) = gateways.notices()
    broken = BROKEN[what](sent)
    with pytest.raises(SignatureRefused):
        with_guard._core.opened(broken.headers, broken.body)
    with pytest.raises(Exception, match=r"invalid literal|does not support|can't decode"):  # of any class
        alone.callback(broken.headers, broken.body)


def test_what_is_verified_is_the_bytes_that_came(gateways: Gateways) -> None:
    """An answer whose header names another character set was signed as it was sent all the same."""
    stamp, body = str(int(WALL.timestamp())), '{"message":"成功"}'.encode()
    signature = signing.sign(key("wechat platform"), f"{stamp}\nnonce\n".encode() + body + b"\n")
    headers = {"Content-Type": "application/json; charset=gbk", "Wechatpay-Serial": wechat_secret()["public_key_id"]}
    headers |= {"Wechatpay-Timestamp": stamp, "Wechatpay-Nonce": "nonce", "Wechatpay-Signature": signature}
    headers |= {"Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048"}
    answer = requests.Response()
    answer._content, answer.encoding = body, "gbk"
    assert guarded(gateways)._core._verify_signature(headers, body)
    assert not bare(gateways)._core._verify_signature(headers, answer.text)


def test_the_guard_is_what_the_sdk_speaks_through(gateways: Gateways) -> None:
    sdk = guarded(gateways)
    assert isinstance(sdk._core, GuardedCore)
    assert sdk._core._logger is None
    sdk._core._update_certificates()
    assert gateways.say("calls") == []
