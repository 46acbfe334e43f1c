"""Where the payer is decides what the gateway hands out, and how long it lives (WeChat Pay and Alipay)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from billing.models import MerchantAccount, PaymentAttempt, Provider
from billing.orders import CodeForm, PayWay
from billing.services.account_secrets import AccountRefused, secret_fields
from billing.services.accounts import account_that_sells, accounts_of, gateway_of, open_account, replace_secret, ways_of
from billing.services.polling import poll_due_attempts
from tests.gateways import process, signing
from tests.gateways.process import Gateways, alipay_secret, gateway_process, gateways, key, wechat_secret
from tests.services.benches import OPENID, deliver, ways_with_payer
from tests.services.gateway import books_in_order, shop, status_of, wire
from tests.services.shop import ACTOR, MINUTE, NOW, WALL, Loopback, Shop, kinds

__all__ = ["books_in_order", "gateway_process", "gateways", "shop", "wire"]
SECOND = timedelta(seconds=1)


@pytest.fixture
def real(gateways: Gateways, wire: Loopback) -> Gateways:
    gateways.at(WALL)
    return gateways


def opened(shop: Shop, provider: Provider, *, is_partner: bool = False, **options: Any) -> MerchantAccount:
    secret_of = {Provider.WECHAT: wechat_secret, Provider.ALIPAY: alipay_secret}[provider]
    secret = secret_of(is_partner=is_partner, **options.pop("secret", {}))
    return open_account(merchant=shop.merchant, provider=provider, secret=secret, actor=ACTOR, now=NOW, **options)


# --- what each way hands out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_partner", [False, True])
def test_wechat_pay_on_a_screen_is_a_native_code_that_lives_2_hours_at_most(
    shop: Shop, real: Gateways, is_partner: bool
) -> None:
    opened(shop, Provider.WECHAT, is_partner=is_partner)
    attempt = shop.attempt()
    assert (attempt.status, attempt.code_form) == ("PENDING", CodeForm.QR.value)
    assert attempt.code.startswith("weixin://wxpay/bizpayurl?pr=")
    assert attempt.code_expires_at == attempt.expires_at
    (trade,) = real.books()
    assert trade["request"]["kind"] == "native"
    assert trade["request"]["time_expire"] == "2026-03-01T20:30:00+08:00"
    assert trade["seller"] == (process.SUB_MCHID if is_partner else "")
    PaymentAttempt.objects.filter(pk=attempt.pk).update(status="CLOSED")
    attempt.order.expires_at = NOW + timedelta(hours=5)
    attempt.order.save(update_fields=["expires_at"])
    assert shop.attempt(attempt.order).code_expires_at == NOW + timedelta(hours=2)


@pytest.mark.parametrize("is_partner", [False, True])
def test_wechat_pay_inside_wechat_is_what_its_script_takes_signed_by_the_merchant(
    shop: Shop, real: Gateways, is_partner: bool
) -> None:
    account = opened(shop, Provider.WECHAT, is_partner=is_partner)
    attempt = shop.attempt(**ways_with_payer(PayWay.IN_APP))
    assert attempt.code_form == CodeForm.PARAMETERS.value
    told = json.loads(attempt.code)
    assert set(told) == {"appId", "timeStamp", "nonceStr", "package", "signType", "paySign"}
    assert told["signType"] == "RSA"
    message = "".join(f"{told[name]}\n" for name in ("appId", "timeStamp", "nonceStr", "package")).encode()
    assert signing.is_signed(signing.public_of(key("wechat merchant")), message, told["paySign"])
    (trade,) = real.books()
    assert trade["request"]["payer"] == {("sp_openid" if is_partner else "openid"): OPENID}
    assert real.pay(attempt.code, payer=OPENID)
    deliver(real.notices())
    assert status_of(attempt) == ("PAID", "PAID")
    assert account.provider == "wechat"


def test_a_partners_merchant_with_an_app_of_its_own_pays_there(shop: Shop, real: Gateways) -> None:
    opened(shop, Provider.WECHAT, is_partner=True, secret={"sub_appid": "wx7777777777777777"})
    attempt = shop.attempt(**ways_with_payer(PayWay.IN_APP))
    assert json.loads(attempt.code)["appId"] == "wx7777777777777777"
    (trade,) = real.books()
    assert trade["request"]["payer"] == {"sub_openid": OPENID}
    assert trade["request"]["sub_appid"] == "wx7777777777777777"


def test_wechat_pay_in_a_browser_is_a_link_that_dies_after_5_minutes_and_is_followed_by_a_new_one(
    shop: Shop, real: Gateways, wire: Loopback
) -> None:
    opened(shop, Provider.WECHAT)
    order = shop.order()
    first = shop.attempt(order, return_path="/r/token/order", **ways_with_payer(PayWay.BROWSER))
    assert first.code_form == CodeForm.LINK.value
    address = parse_qs(urlsplit(first.code).query)
    assert address["redirect_url"] == [f"http://testserver/pay/return/{first.number}"]
    (trade,) = real.books()
    assert trade["request"]["scene_info"] == {"payer_client_ip": "203.0.113.9", "h5_info": {"type": "Wap"}}
    assert first.code_expires_at == NOW + 5 * MINUTE
    for later, is_same in [(5 * MINUTE - SECOND, True), (5 * MINUTE, False)]:
        now, wall = wire.at(later)
        real.at(wall)
        again = shop.attempt(order, now=now, wall=wall, **ways_with_payer(PayWay.BROWSER))
        assert (again.pk == first.pk) == is_same
    poll_due_attempts(now=now, wall=wall)
    assert status_of(first) == ("PENDING", "CLOSED"), "only one of the two can be paid"


def test_alipay_on_a_screen_is_a_code_with_both_time_limits_and_makes_no_trade(shop: Shop, real: Gateways) -> None:
    opened(shop, Provider.ALIPAY)
    attempt = shop.attempt()
    assert attempt.code.startswith("https://qr.alipay.com/")
    assert attempt.code_form == CodeForm.QR.value
    assert real.books() == []
    real.say("scan", code=attempt.code)
    (trade,) = real.books()
    limits = (trade["request"]["timeout_express"], trade["request"]["qr_code_timeout_express"])
    assert limits == ("30m", "30m")
    assert trade["request"]["total_amount"] == "199.00"


@pytest.mark.parametrize("way", [PayWay.BROWSER, PayWay.IN_APP])
@pytest.mark.parametrize("is_partner", [False, True])
def test_alipay_on_a_phone_is_a_signed_link_that_ends_with_the_order(
    shop: Shop, real: Gateways, way: PayWay, is_partner: bool
) -> None:
    opened(shop, Provider.ALIPAY, is_partner=is_partner)
    attempt = shop.attempt(return_path="/back", **ways_with_payer(way))
    assert attempt.code_form == CodeForm.LINK.value
    assert real.say("calls") == []
    told = {name: values[0] for name, values in parse_qs(urlsplit(attempt.code).query).items()}
    assert told["method"] == "alipay.trade.wap.pay"
    assert told["timestamp"] == "2026-03-01 20:00:07"
    assert told["return_url"] == f"http://testserver/pay/return/{attempt.number}"
    assert json.loads(told["biz_content"])["time_expire"] == "2026-03-01 20:30:00"
    assert ("app_auth_token" in told) == is_partner
    real.pay(attempt.code)
    deliver(real.notices())
    assert status_of(attempt) == ("PAID", "PAID")
    assert real.books()[0]["seller"] == (process.SUB_SELLER if is_partner else process.SELLER)


def test_alipay_names_the_sub_merchant_and_the_service_provider_where_there_are(shop: Shop, real: Gateways) -> None:
    opened(shop, Provider.ALIPAY, secret={"smid": "2088000003", "service_provider_id": "2088000004"})
    attempt = shop.attempt()
    real.say("scan", code=attempt.code)
    (trade,) = real.books()
    assert trade["request"]["sub_merchant"] == {"merchant_id": "2088000003"}
    assert trade["request"]["extend_params"] == {"sys_service_provider_id": "2088000004"}


def test_signs_that_alipay_takes_in_no_subject_are_left_out(shop: Shop, real: Gateways) -> None:
    opened(shop, Provider.ALIPAY)
    plan = shop.plan_like(name="24/7 & more = }")
    attempt = shop.attempt(shop.order(plan=plan))
    real.say("scan", code=attempt.code)
    assert real.books()[0]["subject"] == f"24 7   more   }} {attempt.order.number}"


@pytest.mark.parametrize(
    ("way", "payer", "problem"),
    [(PayWay.IN_APP, {"payer_ip": "203.0.113.9"}, "openid"), (PayWay.BROWSER, {"payer_id": OPENID}, "address")],
)
def test_what_wechat_pay_needs_to_know_of_the_payer_is_asked_for_in_words(
    shop: Shop, real: Gateways, way: PayWay, payer: dict[str, str], problem: str
) -> None:
    opened(shop, Provider.WECHAT)
    attempt = shop.attempt(way=way, **payer)
    assert attempt.status == "FAILED"
    assert problem in attempt.problem
    assert real.say("calls") == []


# --- which attempt, which account ------------------------------------------------------------------------------------


def test_another_way_or_payer_is_another_payment_and_the_older_one_of_that_wallet_ends(
    shop: Shop, real: Gateways
) -> None:
    wechat, alipay = opened(shop, Provider.WECHAT), opened(shop, Provider.ALIPAY)
    order = shop.order()
    screen = shop.attempt(order)
    assert (screen.account_id, shop.attempt(order).pk) == (wechat.pk, screen.pk)
    assert shop.attempt(order, provider_account=wechat).pk == screen.pk
    others = [
        shop.attempt(order, **ways_with_payer(PayWay.IN_APP)),
        shop.attempt(order, **ways_with_payer(PayWay.IN_APP) | {"payer_id": "another"}),
        shop.attempt(order, provider_account=alipay),
    ]
    assert len({screen.pk, *(other.pk for other in others)}) == 4
    assert others[-1].account_id == alipay.pk
    poll_due_attempts(now=NOW, wall=WALL)
    assert [status_of(one)[1] for one in (screen, *others)] == ["CLOSED", "CLOSED", "PENDING", "PENDING"]
    assert (
        shop.attempt(order, provider_account=wechat, **ways_with_payer(PayWay.IN_APP) | {"payer_id": "another"})
        == (others[1])
    ), "found again beside the other wallet's"


def test_an_account_offers_what_it_was_opened_for_and_no_more(shop: Shop, real: Gateways) -> None:
    wechat = opened(shop, Provider.WECHAT, ways=[PayWay.SCREEN])
    assert ways_of(wechat) == {PayWay.SCREEN}
    with pytest.raises(AccountRefused, match="this way of paying"):
        shop.attempt(way=PayWay.BROWSER, payer_ip="203.0.113.9")
    alipay = opened(shop, Provider.ALIPAY)
    assert ways_of(alipay) == set(PayWay)
    assert accounts_of(shop.merchant) == [wechat, alipay]
    assert account_that_sells(shop.merchant, now=NOW) == wechat
    assert shop.attempt(way=PayWay.BROWSER).account_id == alipay.pk
    with pytest.raises(AccountRefused, match="this way of paying"):
        shop.attempt(way=PayWay.BROWSER, provider_account=wechat)


@pytest.mark.parametrize("provider", [Provider.WECHAT, Provider.ALIPAY])
def test_real_money_and_test_money_never_stand_side_by_side_X9(shop: Shop, real: Gateways, provider: Provider) -> None:
    opened(shop, provider)
    with pytest.raises(AccountRefused, match="side by side"):
        open_account(merchant=shop.merchant, provider=Provider.SANDBOX, secret=b"x" * 32, actor=ACTOR, now=NOW)
    assert shop.attempt().account.provider == provider.value, "no sandbox is opened by itself beside it"


def test_no_live_account_is_opened_where_production_takes_test_payments_X9(shop: Shop, settings: Any) -> None:
    settings.IS_PRODUCTION, settings.SANDBOX_ENABLED = True, True
    with pytest.raises(AccountRefused, match="AMP_SANDBOX"):
        opened(shop, Provider.WECHAT)
    settings.SANDBOX_ENABLED = False
    assert opened(shop, Provider.WECHAT).is_active


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_wrong_fields_are_refused_beside_their_inputs_and_repeat_nothing(shop: Shop) -> None:
    with pytest.raises(AccountRefused) as refused:
        opened(shop, Provider.WECHAT, secret={"apiv3_key": "hush", "mchid": ""})
    assert {problem.field for problem in refused.value.problems} == {"apiv3_key", "mchid"}
    assert "hush" not in str(refused.value)
    assert not MerchantAccount.objects.exists()
    for provider, secret in [(Provider.WECHAT, b"x" * 32), (Provider.SANDBOX, {"mchid": "1"}), (Provider.SANDBOX, b"")]:
        with pytest.raises(AccountRefused):
            open_account(merchant=shop.merchant, provider=provider, secret=secret, actor=ACTOR, now=NOW)
    assert secret_fields(Provider.SANDBOX) == ()
    partners = {field.name for field in secret_fields(Provider.ALIPAY) if field.is_partner}
    assert partners == {"app_auth_token", "smid", "service_provider_id"}


def test_a_new_secret_counts_at_once_also_for_payments_that_wait(shop: Shop, real: Gateways) -> None:
    account = opened(shop, Provider.WECHAT)
    attempt = shop.attempt()
    real.pay(attempt.code)
    (sent,) = real.notices()
    other = {
        "public_key_id": "PUB_KEY_ID_0119000001092030",
        "public_key": signing.public_of(key("next platform")),
    }
    replaced = replace_secret(account=account, secret=wechat_secret(**other), actor=ACTOR, now=NOW)
    assert replaced.sealed_secret != account.sealed_secret
    assert deliver([sent]) == [(401, b"refused")]
    certificate = signing.certificate_of(key("next platform"), serial=0xAB)
    both = wechat_secret(platform_certificates=certificate)
    replace_secret(account=account, secret=both, actor=ACTOR, now=NOW)
    assert deliver([sent])[0][0] == 200, "the old key and the next one stand side by side"
    assert kinds(f"enterprise:{shop.enterprise.pk}").count("merchant.account_rekeyed") == 2
    assert gateway_of(replaced).ack().status == 200


def test_no_secret_reaches_a_log_or_an_event_F83(shop: Shop, real: Gateways, caplog: pytest.LogCaptureFixture) -> None:
    from amp.foundation.models import Event

    caplog.set_level("DEBUG")
    account = opened(shop, Provider.ALIPAY, is_partner=True)
    attempt = shop.attempt()
    real.pay(attempt.code, fault="forged")
    deliver(real.notices())
    real.say("fail", fault="server_error")
    poll_due_attempts(now=NOW + timedelta(seconds=10), wall=WALL)
    assert "could not be queried" in caplog.text
    seen = caplog.text + repr([*Event.objects.values_list("after", "why")]) + account.sealed_secret
    hidden = [process.TOKEN, *alipay_secret()["private_key"].splitlines()[1:-1]]
    assert [part for part in hidden if part in seen] == []


def test_the_time_in_facts_is_universal(shop: Shop, real: Gateways) -> None:
    for provider in (Provider.WECHAT, Provider.ALIPAY):
        account = opened(shop, provider)
        attempt = shop.attempt(provider_account=account)
        real.pay(attempt.code)
        facts = gateway_of(account).query(attempt.number, wall=WALL)
        assert facts.paid_at == datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)
