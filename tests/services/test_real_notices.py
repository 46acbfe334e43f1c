"""Notices of WeChat Pay and Alipay beside the plain "paid": refunds, nonsense that is signed, and shared keys (F29)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from billing.models import MerchantAccount, PaymentException, Provider
from billing.services.accounts import gateway_of, notify_url, open_account
from tests.gateways import signing
from tests.gateways.process import (
    APIV3_KEY,
    APP_ID,
    MCHID,
    SELLER,
    Gateways,
    Sent,
    alipay_secret,
    gateway_process,
    gateways,
    key,
    wechat_secret,
)
from tests.services.benches import deliver
from tests.services.gateway import books_in_order, refusals, shop, status_of, wire
from tests.services.shop import ACTOR, NOW, WALL, Loopback, Shop, money, open_shop

__all__ = ["books_in_order", "gateway_process", "gateways", "shop", "wire"]


@pytest.fixture(autouse=True)
def real(gateways: Gateways, wire: Loopback) -> Gateways:
    gateways.at(WALL)
    return gateways


def opened(shop: Shop, provider: Provider, secret: dict[str, str]) -> MerchantAccount:
    return open_account(merchant=shop.merchant, provider=provider, secret=secret, actor=ACTOR, now=NOW)


def wechat_notice(account: MerchantAccount, told: Any, event: str = "TRANSACTION.SUCCESS") -> Sent:
    """What WeChat Pay would send, signed and encrypted as it does."""
    resource = signing.seal(APIV3_KEY, json.dumps(told).encode(), "transaction")
    body = json.dumps({"event_type": event, "resource_type": "encrypt-resource", "resource": resource}).encode()
    stamp, nonce = str(int(WALL.timestamp())), secrets.token_hex(16)
    headers = {
        "Content-Type": "application/json",
        "Wechatpay-Timestamp": stamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Serial": wechat_secret()["public_key_id"],
        "Wechatpay-Signature": signing.sign(key("wechat platform"), f"{stamp}\n{nonce}\n".encode() + body + b"\n"),
    }
    return Sent(notify_url(account), headers, body)


def alipay_notice(account: MerchantAccount, told: dict[str, str]) -> Sent:
    """What Alipay would send, signed as it does."""
    message = "&".join(f"{name}={value}" for name, value in sorted(told.items()))
    signature = signing.sign(key("alipay platform"), message.encode())
    body = urlencode(told | {"sign_type": "RSA2", "sign": signature}).encode()
    return Sent(notify_url(account), {"Content-Type": "application/x-www-form-urlencoded"}, body)


def wechat_paid(number: str) -> dict[str, Any]:
    return {
        "mchid": MCHID,
        "out_trade_no": number,
        "transaction_id": "4200000001",
        "trade_state": "SUCCESS",
        "success_time": "2026-03-01T20:00:00+08:00",
        "amount": {"total": 19_900, "currency": "CNY"},
    }


def alipay_paid(number: str) -> dict[str, str]:
    return {
        "app_id": APP_ID,
        "seller_id": SELLER,
        "out_trade_no": number,
        "trade_no": "2026030122001",
        "trade_status": "TRADE_SUCCESS",
        "total_amount": "199.00",
        "gmt_payment": "2026-03-01 20:00:00",
    }


def test_what_these_tests_send_is_taken_where_nothing_is_wrong_with_it(shop: Shop) -> None:
    for provider, secret, notice, told in [
        (Provider.WECHAT, wechat_secret(), wechat_notice, wechat_paid),
        (Provider.ALIPAY, alipay_secret(), alipay_notice, alipay_paid),
    ]:
        account = opened(shop, provider, secret)
        attempt = shop.attempt(provider_account=account)
        sent: Callable[..., Sent] = notice
        assert deliver([sent(account, told(attempt.number))])[0][0] == 200
        assert status_of(attempt) == ("PAID", "PAID")


WECHAT_NONSENSE: list[dict[str, Any]] = [
    {"amount": {"total": 199.0, "currency": "CNY"}},
    {"amount": {"total": "19900", "currency": "CNY"}},
    {"amount": {"total": True, "currency": "CNY"}},
    {"amount": {"total": -1, "currency": "CNY"}},
    {"amount": {"total": 10**18, "currency": "CNY"}},
    {"amount": {"total": 19_900, "currency": "CNYX"}},
    {"amount": None},
    {"amount": []},
    {"transaction_id": ""},
    {"transaction_id": 5},
    {"trade_state": "MAYBE"},
    {"trade_state": []},
    {"success_time": "yesterday"},
    {"success_time": "2026-03-01T20:00:00"},
    {"out_trade_no": None},
    {"out_trade_no": "x"},
]
ALIPAY_NONSENSE = [
    {"total_amount": "19900.000"},
    {"total_amount": "-1.00"},
    {"total_amount": "1e3"},
    {"total_amount": "１９９.00"},
    {"total_amount": "9" * 14},
    {"total_amount": ""},
    {"trade_no": ""},
    {"trade_no": "x" * 65},
    {"trade_status": "MAYBE"},
    {"gmt_payment": "yesterday"},
    {"gmt_payment": ""},
    {"out_trade_no": "x"},
    {"trans_currency": "CNYX"},
]


def test_signed_nonsense_is_refused_and_never_an_error_500_F38(shop: Shop) -> None:
    wechat, alipay = opened(shop, Provider.WECHAT, wechat_secret()), opened(shop, Provider.ALIPAY, alipay_secret())
    first, second = shop.attempt(provider_account=wechat), shop.attempt(provider_account=alipay)
    sent = [wechat_notice(wechat, wechat_paid(first.number) | change) for change in WECHAT_NONSENSE]
    sent += [wechat_notice(wechat, told) for told in ([], None, "x", 5, {})]
    sent += [wechat_notice(wechat, wechat_paid(first.number), event) for event in ("", "ENTRUST.SIGNING")]
    sent += [alipay_notice(alipay, alipay_paid(second.number) | change) for change in ALIPAY_NONSENSE]
    answers = deliver(sent)
    assert answers == [(401, b"refused")] * len(sent)
    assert (status_of(first), status_of(second)) == (("PENDING", "PENDING"),) * 2


@pytest.mark.parametrize("event", ["REFUND.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED"])
def test_a_notice_of_a_refund_at_wechat_pay_is_answered_and_says_nothing_of_the_payment(shop: Shop, event: str) -> None:
    account = opened(shop, Provider.WECHAT, wechat_secret())
    attempt = shop.attempt()
    told = {"mchid": MCHID, "out_trade_no": attempt.number, "out_refund_no": "REFUND01", "refund_status": "SUCCESS"}
    assert deliver([wechat_notice(account, told, event)]) == [(200, gateway_of(account).ack().body)]
    assert status_of(attempt) == ("PENDING", "PENDING")
    assert refusals() == []


def test_a_trade_that_alipay_closed_because_all_was_paid_back_was_paid(shop: Shop) -> None:
    account = opened(shop, Provider.ALIPAY, alipay_secret())
    attempt = shop.attempt()
    told = alipay_paid(attempt.number) | {"trade_status": "TRADE_CLOSED", "refund_fee": "199.00"}
    assert deliver([alipay_notice(account, told)]) == [(200, b"success")]
    assert status_of(attempt) == ("PAID", "PAID")
    assert deliver([alipay_notice(account, told)]) == [(200, b"success")]
    assert money(attempt.order) == {"RECEIVED": 19_900}


def test_another_application_or_another_seller_is_another_merchant_F29(shop: Shop) -> None:
    account = opened(shop, Provider.ALIPAY, alipay_secret())
    for change in ({"app_id": "2021000000000777"}, {"seller_id": ""}):
        attempt = shop.attempt(shop.order(), new_code=True)
        told = alipay_paid(attempt.number) | change | {"trade_no": attempt.number}
        assert deliver([alipay_notice(account, told)]) == [(200, b"success")]
        assert PaymentException.objects.get(attempt=attempt).kind == "MERCHANT_MISMATCH"


def test_two_merchants_under_one_service_provider_share_keys_and_no_payment_F29(shop: Shop, real: Gateways) -> None:
    """One signs for both: the account that was asked, and the sub-merchant that was paid, keep them apart."""
    other = open_shop(name="Other")
    mine = opened(shop, Provider.WECHAT, wechat_secret(is_partner=True))
    theirs = opened(other, Provider.WECHAT, wechat_secret(is_partner=True, sub_mchid="1900007777"))
    attempt = shop.attempt()
    real.pay(attempt.code)
    (sent,) = real.notices()
    assert deliver([sent._replace(url=notify_url(theirs))]) == [(403, b"refused")]
    assert status_of(attempt) == ("PENDING", "PENDING")
    told = wechat_paid(attempt.number) | {"sp_mchid": MCHID, "sub_mchid": "1900007777"}
    assert deliver([wechat_notice(mine, told)])[0][0] == 200
    assert PaymentException.objects.get().kind == "MERCHANT_MISMATCH"
