"""The page of payment accounts: connected with write-only keys, changed by two administrators, closed (E2, F83)."""

from __future__ import annotations

import json

import pytest

from amp.foundation.models import Event, Role
from amp.foundation.sealed import unseal
from billing.forms.payments import SECRET_TITLES, ConnectForm
from billing.models import MerchantAccount, Provider
from billing.orders import PayWay
from billing.services.account_changes import close_account
from billing.services.account_secrets import secret_fields
from billing.services.accounts import gateway_of, ways_of
from tests.gateways import process
from tests.services.gateway import books_in_order, wire
from tests.services.refunding import ANN
from tests.services.shop import NOW, Loopback, Shop, open_shop
from tests.services.test_refund_pages import browser, text_of

__all__ = ["books_in_order", "wire"]
SECRETS = {"wechat": process.wechat_secret, "alipay": process.alipay_secret}
BOB = "bob@example.com"


@pytest.fixture
def shop() -> Shop:
    return open_shop()


def page_of(shop: Shop) -> str:
    return f"/admin/foundation/enterprise/{shop.enterprise.pk}/accounts/"


def typed(provider: str, **changes: str) -> dict[str, str]:
    """What somebody types on the page to connect a real gateway."""
    return {f"{provider}_{name}": text for name, text in SECRETS[provider](**changes).items()}


def test_an_account_is_connected_closed_and_never_beside_test_money(shop: Shop) -> None:
    admin = browser(shop, Role.ENTERPRISE_ADMINISTRATOR)
    page = f"/admin/foundation/enterprise/{shop.enterprise.pk}/accounts/"
    assert "No account is connected" in text_of(admin.get(page))
    assert admin.post(page, {}).status_code == 422
    assert admin.post(page, {"provider": "piggybank"}).status_code == 422
    admin.post(page, {"provider": "sandbox"})
    assert "side by side" in text_of(admin.post(page, {"provider": "offline"}))
    account = MerchantAccount.objects.get()
    change = f"{page}{account.pk}/"
    assert browser(shop, Role.FINANCE, "fin@example.com").post(change, {"change": "close"}).status_code == 403
    for _ in range(2):
        assert "is closed" in text_of(admin.post(change, {"change": "close"}, follow=True))
    assert Event.objects.filter(kind="merchant.account_closed").count() == 1
    admin.post(page, {"provider": "offline"})
    assert MerchantAccount.objects.get(is_active=True).provider == "offline"


def test_a_new_secret_works_only_once_a_second_administrator_has_verified_it(shop: Shop, wire: Loopback) -> None:
    account = shop.attempt().account
    before = account.sealed_secret
    page = f"/admin/foundation/enterprise/{shop.enterprise.pk}/accounts/"
    change = f"{page}{account.pk}/"
    ann = browser(shop, Role.ENTERPRISE_ADMINISTRATOR)
    bob = browser(shop, Role.ENTERPRISE_ADMINISTRATOR, "bob@example.com")
    assert "No new secret waits" in text_of(bob.post(change, {"change": "verify"}, follow=True))
    ann.post(change, {"change": "secret"})
    account = MerchantAccount.objects.get()
    assert account.sealed_secret == before
    draft = unseal(account.sealed_draft, f"{account.public_id}:draft")
    assert "Ask another administrator" in text_of(ann.post(change, {"change": "verify"}, follow=True))
    assert "can't verify it too" in text_of(ann.get(page))
    assert "is used from now on" in text_of(bob.post(change, {"change": "verify"}, follow=True))
    account = MerchantAccount.objects.get()
    assert gateway_of(account)._credentials.secret == draft  # type: ignore[attr-defined]
    assert draft.hex() not in text_of(bob.get(page))
    close_account(account=account, actor=ANN, now=NOW)
    assert "This account is closed" in text_of(ann.post(change, {"change": "secret"}, follow=True))


def test_every_gateway_can_be_connected_by_hand_and_every_field_has_a_name() -> None:
    form = ConnectForm()
    assert {value for value, _ in form.fields["provider"].choices} == {each.value for each in Provider}
    names = {field.name for provider in Provider for field in secret_fields(provider)}
    assert names == set(SECRET_TITLES)


@pytest.mark.parametrize("provider", SECRETS)
def test_a_real_gateway_is_connected_with_keys_that_nobody_sees_again_F83(shop: Shop, provider: str) -> None:
    admin, page, keys = browser(shop, Role.ENTERPRISE_ADMINISTRATOR), page_of(shop), SECRETS[provider]()
    wrong = text_of(admin.post(page, {"provider": provider, **typed(provider, private_key="no key at all")}))
    assert "private_key: This is no RSA private key" in wrong
    assert "no key at all" not in wrong
    assert not any(line in wrong for text in keys.values() for line in text.splitlines() if len(line) > 40)
    assert not MerchantAccount.objects.exists()
    admin.post(page, {"provider": provider, "ways": ["SCREEN"], **typed(provider)})
    account = MerchantAccount.objects.get()
    stored = json.loads(unseal(account.sealed_secret, str(account.public_id)))
    assert {name: stored[name].strip() for name in keys} == {name: text.strip() for name, text in keys.items()}
    assert ways_of(account) == {PayWay.SCREEN}
    seen = text_of(admin.get(page))
    assert not any(line in seen for text in keys.values() for line in text.splitlines() if len(line) > 30)


def test_a_gateway_is_not_connected_for_ways_that_it_does_not_have(shop: Shop) -> None:
    admin = browser(shop, Role.ENTERPRISE_ADMINISTRATOR)
    told = text_of(admin.post(page_of(shop), {"provider": "offline", "ways": ["IN_APP"]}))
    assert "does not offer all of these ways" in told
    assert not MerchantAccount.objects.exists()


def test_new_keys_of_a_real_gateway_are_checked_when_proposed_and_used_when_verified_E2(shop: Shop) -> None:
    ann = browser(shop, Role.ENTERPRISE_ADMINISTRATOR)
    bob = browser(shop, Role.ENTERPRISE_ADMINISTRATOR, BOB)
    ann.post(page_of(shop), {"provider": "wechat", **typed("wechat")})
    account = MerchantAccount.objects.get()
    change = f"{page_of(shop)}{account.pk}/"
    told = text_of(ann.post(change, {"change": "secret", **typed("wechat", apiv3_key="short")}, follow=True))
    assert "exactly 32 characters" in told
    assert not MerchantAccount.objects.get().sealed_draft
    ann.post(change, {"change": "secret", **typed("wechat", apiv3_key="k" * 32)})
    assert apiv3_key() != "k" * 32
    bob.post(change, {"change": "verify"})
    assert apiv3_key() == "k" * 32
    events = [(each.kind, each.actor) for each in Event.objects.filter(kind__startswith="merchant.").order_by("id")]
    assert events[-2:] == [("merchant.secret_proposed", "ann@example.com"), ("merchant.account_rekeyed", BOB)]


def apiv3_key() -> str:
    account = MerchantAccount.objects.get()
    return str(json.loads(unseal(account.sealed_secret, str(account.public_id)))["apiv3_key"])
