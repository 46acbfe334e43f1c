"""Secrets of merchant accounts: every field checked, every refusal beside its field, no text repeated (F83)."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from billing.providers.account_secrets import AccountSecret, AlipaySecret, Flaw, SecretRefused, WeChatSecret
from billing.providers.alipay_guard import members
from billing.providers.calling import check_address
from billing.providers.facts import instant, minor
from billing.providers.keys import KeyRefused, private_pem, public_pem, serial_key
from billing.providers.protocol import GatewayRefused
from tests.gateways import signing
from tests.gateways.process import alipay_secret, key, wechat_secret

OWN = key("wechat merchant")


def flaws_of(kind: type[AccountSecret], told: dict[str, str]) -> dict[str, Flaw]:
    with pytest.raises(SecretRefused) as refused:
        kind.parse(told)
    return refused.value.flaws


WECHAT = [
    ({"mchid": ""}, "mchid", Flaw.MISSING),
    ({"mchid": "BSS-1"}, "mchid", Flaw.NOT_DIGITS),
    ({"appid": "wx 1"}, "appid", Flaw.NOT_A_WORD),
    ({"certificate_serial": ""}, "certificate_serial", Flaw.MISSING),
    ({"private_key": "-----BEGIN PRIVATE KEY-----"}, "private_key", Flaw.NOT_A_PRIVATE_KEY),
    ({"private_key": "!"}, "private_key", Flaw.NOT_A_PRIVATE_KEY),
    ({"apiv3_key": "k" * 31}, "apiv3_key", Flaw.NOT_32_CHARACTERS),
    ({"apiv3_key": "密" * 32}, "apiv3_key", Flaw.NOT_32_CHARACTERS),
    ({"app_secret": "c0ffee"}, "app_secret", Flaw.NOT_32_HEX),
    ({"app_secret": "g" * 32}, "app_secret", Flaw.NOT_32_HEX),
    ({"public_key": "x"}, "public_key", Flaw.NOT_A_PUBLIC_KEY),
    ({"public_key": ""}, "public_key", Flaw.MISSING),
    ({"public_key_id": ""}, "public_key_id", Flaw.MISSING),
    ({"public_key": "", "public_key_id": ""}, "public_key", Flaw.NO_VERIFYING_KEY),
    ({"public_key": signing.public_of(OWN)}, "public_key", Flaw.OWN_PUBLIC_KEY),
    ({"platform_certificates": "x"}, "platform_certificates", Flaw.NOT_A_CERTIFICATE),
    ({"sub_appid": "wx1"}, "sub_mchid", Flaw.MISSING),
    ({"sub_mchid": "x"}, "sub_mchid", Flaw.NOT_DIGITS),
    ({"password": "x"}, "password", Flaw.UNKNOWN_FIELD),
]
ALIPAY = [
    ({"app_id": "wx1"}, "app_id", Flaw.NOT_DIGITS),
    ({"seller_id": ""}, "seller_id", Flaw.MISSING),
    ({"private_key": "x"}, "private_key", Flaw.NOT_A_PRIVATE_KEY),
    ({"alipay_public_key": OWN}, "alipay_public_key", Flaw.NOT_A_PUBLIC_KEY),
    (
        {"alipay_public_key": signing.public_of(key("alipay application"))},
        "alipay_public_key",
        Flaw.OWN_PUBLIC_KEY,
    ),
    ({"app_auth_token": "two words"}, "app_auth_token", Flaw.NOT_A_WORD),
    ({"smid": "x"}, "smid", Flaw.NOT_DIGITS),
]


@pytest.mark.parametrize(("changes", "field", "flaw"), WECHAT)
def test_each_wrong_field_of_wechat_pay_is_named(changes: dict[str, str], field: str, flaw: Flaw) -> None:
    assert flaws_of(WeChatSecret, wechat_secret() | changes) == {field: flaw}


def test_payers_are_known_by_the_enterprises_own_application_where_it_has_one() -> None:
    secret = WeChatSecret.parse(wechat_secret(is_partner=True, app_secret="c0ffee" * 5 + "c0"))
    assert secret.payers_app == "wx8888888888888888"
    own = WeChatSecret.parse(wechat_secret(is_partner=True, sub_appid="wx7777777777777777"))
    assert own.payers_app == "wx7777777777777777"


def test_a_secret_that_was_sealed_before_there_was_an_app_secret_opens_without_one() -> None:
    older = json.loads(WeChatSecret.parse(wechat_secret()).dump())
    del older["app_secret"]
    assert WeChatSecret.load(json.dumps(older).encode()).app_secret == ""


@pytest.mark.parametrize(("changes", "field", "flaw"), ALIPAY)
def test_each_wrong_field_of_alipay_is_named(changes: dict[str, str], field: str, flaw: Flaw) -> None:
    assert flaws_of(AlipaySecret, alipay_secret() | changes) == {field: flaw}


def test_all_that_is_wrong_is_told_at_once_and_nothing_of_it_is_repeated() -> None:
    with pytest.raises(SecretRefused) as refused:
        WeChatSecret.parse({"mchid": "hush-hush", "private_key": "hush-hush"})
    assert set(refused.value.flaws) == {"mchid", "appid", "certificate_serial", "private_key", "apiv3_key"}
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("secret", [WeChatSecret.parse(wechat_secret()), AlipaySecret.parse(alipay_secret())])
def test_what_is_sealed_comes_back_equal_and_shows_in_no_repr(secret: AccountSecret) -> None:
    assert type(secret).load(secret.dump()) == secret
    assert repr(secret) == f"{type(secret).__name__}()"
    assert {field.name for field in secret.fields} == set(json.loads(secret.dump()))


def test_spaces_around_what_was_pasted_do_not_count() -> None:
    told = {name: f" {value}\n" for name, value in wechat_secret().items()}
    assert WeChatSecret.parse(told) == WeChatSecret.parse(wechat_secret())


def test_keys_are_taken_in_every_usual_wrapping() -> None:
    own = load_pem_private_key(OWN.encode(), None)
    assert isinstance(own, rsa.RSAPrivateKey)
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        pem = own.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        bare = "".join(pem.splitlines()[1:-1])
        assert private_pem(pem) == private_pem(bare) == private_pem(bare[:64] + "\n" + bare[64:]) == OWN
    spki = signing.public_of(OWN)
    pkcs1 = own.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
    for text in (spki, pkcs1, "".join(spki.splitlines()[1:-1]), signing.certificate_of(OWN, serial=5)):
        assert public_pem(text) == spki


def test_weak_and_other_keys_are_refused() -> None:
    short = rsa.generate_private_key(65537, 1024)
    curve = ec.generate_private_key(ec.SECP256R1())
    for own in (short, curve):
        pem = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        with pytest.raises(KeyRefused):
            private_pem(pem)
        with pytest.raises(KeyRefused):
            public_pem(own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def test_certificates_before_and_after_a_change_both_verify() -> None:
    both = signing.certificate_of(key("wechat platform"), serial=0xAB) + signing.certificate_of(OWN, serial=0xCD)
    told = wechat_secret(public_key="", public_key_id="", platform_certificates=both)
    assert list(WeChatSecret.parse(told).verifying_keys()) == ["AB", "CD"]
    told = wechat_secret(platform_certificates=both)
    assert set(WeChatSecret.parse(told).verifying_keys()) == {"AB", "CD", "PUB_KEY_ID_0119000001092024"}
    assert serial_key(" 00ab ") == "AB"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), JSON, min_size=1, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_the_signed_part_of_an_answer_is_cut_out_as_it_was_written(
    content: dict[str, object], indent: int | None, is_ascii: bool
) -> None:
    text = json.dumps(content, ensure_ascii=is_ascii, indent=indent)
    parts = members(text)
    assert {name: json.loads(part) for name, part in parts.items()} == content
    assert all(part in text for part in parts.values())


@given(st.text(max_size=30) | JSON.map(json.dumps))
def test_whatever_else_comes_is_no_answer_and_no_crash(text: str) -> None:
    try:
        found = members(text)
    except ValueError:
        return
    assert found == {name: found[name] for name in json.loads(text)}


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '{"a":1}x', '{"a":1', "{1:2}", "", "[1]", '{"a":1,}'])
def test_two_members_of_one_name_and_what_hangs_on_behind_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011, also the decoder's own
        members(text)


@pytest.mark.parametrize("amount", [True, 1.0, "1", -1, 10**16, None])
def test_only_a_whole_number_is_an_amount_F38(amount: object) -> None:
    with pytest.raises(ValueError, match="amount"):
        minor(amount)


@pytest.mark.parametrize("moment", ["2026-03-01T12:00:00", 5, None])
def test_a_moment_has_its_zone(moment: object) -> None:
    with pytest.raises(ValueError, match="moment"):
        instant(moment)


@pytest.mark.parametrize("url", ["http://api.mch.weixin.qq.com/", "http://127.0.0.1.example/", "ftp://127.0.0.1/", ""])
def test_no_gateway_is_called_in_the_clear_F87(url: str) -> None:
    with pytest.raises(GatewayRefused):
        check_address(url)
    for good in ("https://api.mch.weixin.qq.com/v3", "http://127.0.0.1:5000/v3", "http://[::1]:5000/"):
        check_address(good)
