"""Why python-alipay-sdk stands behind a guard: each part of it first with the SDK alone, which fails, then guarded."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl

import pytest
from alipay import AliPay, ISVAliPay
from alipay.exceptions import AliPayException, AliPayValidationError

from billing.orders import PayWay
from billing.providers.account_secrets import AlipaySecret
from billing.providers.alipay import AlipayProvider
from billing.providers.alipay_guard import GuardedAliPay, Refusal, SignatureRefused
from billing.providers.protocol import Credentials, GatewayTimeout, PaymentRequest
from tests.gateways.process import (
    APP_ID,
    SUB_SELLER,
    TOKEN,
    Gateways,
    Sent,
    alipay_secret,
    gateway_process,
    gateways,
    key,
)
from tests.services.shop import WALL
from tests.stack.processes import REPOSITORY

__all__ = ["gateway_process", "gateways"]
NUMBER = "GUARDED00001"
BEIJING = timezone(timedelta(hours=8))


@pytest.fixture
def in_beijing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """On a machine that lives in Beijing the SDK alone knows the time."""
    yield from _in_zone("Asia/Shanghai", monkeypatch)


@pytest.fixture
def in_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where servers live."""
    yield from _in_zone("UTC", monkeypatch)


def _in_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        yield
    time.tzset()


def real_time() -> datetime:
    """The SDK alone reads the machine's clock."""
    return datetime.fromtimestamp(int(time.time()), BEIJING)  # noqa: TID251


def bare(gateways: Gateways, **changes: Any) -> AliPay:
    """The SDK alone, pointed at the simulator."""
    told = alipay_secret()
    options = {
        "appid": APP_ID,
        "app_private_key_string": told["private_key"],
        "alipay_public_key_string": told["alipay_public_key"],
    }
    sdk = (ISVAliPay if "app_auth_token" in changes else AliPay)(**options | changes)
    sdk._gateway = f"{gateways.url}/gateway.do"
    return sdk


def guarded(gateways: Gateways, wall: datetime = WALL, **changes: str) -> GuardedAliPay:
    """The SDK behind its guard."""
    secret = AlipaySecret.parse(alipay_secret(**changes))
    return GuardedAliPay(secret, gateway_url=f"{gateways.url}/gateway.do", wall=wall)


def order(subject: str = "Yearly") -> dict[str, str]:
    """Parameters of precreate."""
    return {"subject": subject, "out_trade_no": NUMBER, "total_amount": "199.00", "notify_url": "https://a.example/n"}


def paid(gateways: Gateways, wall: datetime, subject: str) -> Sent:
    """A payment, and its notice."""
    gateways.at(wall)
    gateways.pay(guarded(gateways, wall).api_alipay_trade_precreate(**order(subject))["qr_code"])
    (sent,) = gateways.notices()
    return sent


@pytest.mark.parametrize("subject", ["Yearly }1", "{", '"}', "\\", "年度 }", "}}}"])
def test_braces_and_quotes_in_a_subject_break_no_verification(
    gateways: Gateways, in_beijing: None, subject: str
) -> None:
    wall = real_time()
    paid(gateways, wall, subject)
    told = guarded(gateways, wall).api_alipay_trade_query(out_trade_no=NUMBER)
    assert (told["trade_status"], told["subject"]) == ("TRADE_SUCCESS", subject)
    if "}" in subject or "{" in subject:
        with pytest.raises((AliPayValidationError, ValueError)):
            bare(gateways).api_alipay_trade_query(out_trade_no=NUMBER)


def test_requests_are_dated_in_beijing_wherever_the_machine_is(gateways: Gateways, in_greenwich: None) -> None:
    wall = real_time()
    gateways.at(wall)
    assert guarded(gateways, wall).api_alipay_trade_precreate(**order())["code"] == "10000"
    with pytest.raises(AliPayException, match="invalid-timestamp"):
        bare(gateways).api_alipay_trade_precreate(**order())


def test_the_link_for_phones_names_the_product_that_merchants_sign_up_for(gateways: Gateways, in_beijing: None) -> None:
    wall = real_time()
    gateways.at(wall)
    link = bare(gateways).api_alipay_trade_wap_pay(**order())
    assert gateways.say("scan", code=f"{gateways.url}/gateway.do?{link}") == {"refused": "ACCESS_FORBIDDEN"}
    credentials = Credentials(
        "account",
        "BSS-1",
        AlipaySecret.parse(alipay_secret()).dump(),
        "https://a.example",
        f"{gateways.url}/gateway.do",
    )
    request = PaymentRequest(NUMBER, 1, "CNY", "Plan", "https://a.example/n", "", wall + timedelta(hours=1), wall)
    code = AlipayProvider(credentials).create(request._replace(way=PayWay.BROWSER), wall=wall)
    assert gateways.say("scan", code=code.text) == NUMBER


def test_calls_are_short_and_say_nothing_in_their_address_F87(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    seen: list[Any] = []
    original = requests.Session.request

    def request(self: requests.Session, method: str, url: str, **options: Any) -> Any:
        seen.append((method, url, options))
        return original(self, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", request)
    gateways.at(WALL)
    guarded(gateways).api_alipay_trade_precreate(**order())
    ((method, url, options),) = seen
    assert (method, url) == ("POST", f"{gateways.url}/gateway.do")
    assert all(0 < seconds <= 5 for seconds in options["timeout"])
    assert options["allow_redirects"] is False

    opened: list[tuple[str, float]] = []

    def urlopen(url: str, timeout: float) -> Any:
        opened.append((url, timeout))
        raise TimeoutError

    monkeypatch.setattr("alipay.urlopen", urlopen)
    with pytest.raises(TimeoutError):
        bare(gateways).api_alipay_trade_precreate(**order())
    ((url, timeout),) = opened
    assert "sign=" in url
    assert timeout == 15


def test_what_alipay_says_of_a_bad_signature_is_not_repeated_F83(gateways: Gateways) -> None:
    gateways.at(WALL)
    wrong = {"private_key": key("wechat merchant"), "app_auth_token": TOKEN}
    with pytest.raises(Refusal) as refused:
        guarded(gateways, **wrong, seller_id=SUB_SELLER).api_alipay_trade_query(out_trade_no=NUMBER)
    assert str(refused.value) == "Alipay refused: isv.invalid-signature"
    assert TOKEN not in repr(refused.value)
    with pytest.raises(AliPayException) as leaked:
        bare(gateways, app_private_key_string=wrong["private_key"], app_auth_token=TOKEN).api_alipay_trade_query(
            out_trade_no=NUMBER
        )
    assert TOKEN in str(leaked.value)


RESPONSE = "alipay_trade_query_response"
ANSWERS = [
    "[]",
    "null",
    '{"unknown":1}',
    f'{{"{RESPONSE}":[',
    f'{{"{RESPONSE}":[],"sign":"x"}}',
    f'{{"{RESPONSE}":{{"code":"10000"}}}}',
    f'{{"{RESPONSE}":{{"code":"10000"}},"sign":"!"}}',
    f'{{"{RESPONSE}":{{"code":"10000"}},"sign":1}}',
    f'{{"{RESPONSE}":{{"code":"10000"}},"sign":"AAAA"}} trailing',
    f'{{"{RESPONSE}":{{"code":"40004","sub_code":"ACQ.TRADE_NOT_EXIST"}}}}',
    "[" * 100_000,
]


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
def test_an_answer_that_is_none_says_nothing_and_crashes_nothing_F38(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    from billing.providers.calling import Answer

    monkeypatch.setattr(
        "billing.providers.alipay_guard.call",
        lambda *_, **__: Answer(200, {}, answer.encode()),  # type: ignore[arg-type]
    )
    with pytest.raises(GatewayTimeout):
        guarded(gateways).api_alipay_trade_query(out_trade_no=NUMBER)


@pytest.mark.parametrize("answer", ["[]", "null", '{"unknown":1}', f'{{"{RESPONSE}":[],"sign":"x"}}'])
def test_the_sdk_alone_crashes_on_such_an_answer(gateways: Gateways, answer: str) -> None:
    with pytest.raises((AttributeError, TypeError, ValueError)):
        bare(gateways)._verify_and_return_sync_response(answer, RESPONSE)


def test_a_notice_is_read_once_and_whole(gateways: Gateways) -> None:
    sent = paid(gateways, WALL, "年度 a+b %}")
    fields = guarded(gateways).notice(sent.body)
    assert (fields["subject"], fields["out_trade_no"]) == ("年度 a+b %}", NUMBER)
    for body in (
        sent.body + b"&total_amount=0.01",
        b"total_amount=0.01&" + sent.body,
        sent.body.replace(b"RSA2", b"RSA"),
        sent.body.replace(b"sign_type=RSA2&", b""),
        sent.body.replace(b"&sign=", b"&sign=%21"),
        sent.body.replace(b"199.00", b"1.00"),
        b"&".join([sent.body] * 20),
    ):
        with pytest.raises(SignatureRefused):
            guarded(gateways).notice(body)

    told = dict(parse_qsl(sent.body.decode(), keep_blank_values=True))
    signature = told.pop("sign")
    assert bare(gateways).verify(told, signature)
    assert "sign_type" not in told, "the SDK alone takes fields out of what it was given"
    with pytest.raises(ValueError, match="base64"):
        bare(gateways).verify(told, "A")


SPY = """
import logging
kept = logging.StreamHandler()
logging.getLogger().addHandler(kept)
{imports}
print(any(reference() is kept for reference in logging._handlerList), logging.getLogger("python-alipay-sdk").handlers)
"""


def test_importing_it_leaves_the_processs_logging_alone() -> None:
    def told(imports: str) -> str:
        command = [sys.executable, "-c", SPY.format(imports=imports)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert told("import billing.providers.alipay_guard") == "True []"
    assert told("import alipay").startswith("False [<StreamHandler")
