"""An order is paid by attempts, each asked for once and known by its number (E1, F29, F45, F85)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from amp.foundation.scoping import enterprise_scope
from amp.foundation.services.enterprises import create_enterprise
from amp.foundation.services.refusals import Refused
from billing.models import MerchantAccount, OrderChannel, PaymentAttempt, Provider
from billing.orders import AttemptStatus, CodeForm
from billing.providers.protocol import Code, GatewayRefused, GatewayTimeout
from billing.providers.sandbox import SandboxProvider
from billing.services.accounts import AccountRefused, gateway_of, open_account
from billing.services.attempts import return_path_of, start_attempt
from billing.services.ordering import OrderRefused, open_order
from billing.services.polling import poll_due_attempts
from tests.services.shop import ACTOR, NOW, WALL, Loopback, Shop, add_devices, open_shop, shop_of_three, system_wide

__all__ = ["shop_of_three", "system_wide"]
PUBLIC = OrderChannel.PUBLIC


def test_a_payment_code_is_asked_for_once_and_shown_again(shop: Shop) -> None:
    order = shop.order()
    attempt = shop.attempt(order)
    assert attempt.status == AttemptStatus.PENDING.value
    assert attempt.code.startswith("http://testserver/sandbox/pay/")
    assert attempt.due_at == NOW + timedelta(seconds=10)
    again = shop.attempt(order)
    assert (again.pk, again.code) == (attempt.pk, attempt.code)
    fresh = shop.attempt(order, new_code=True)
    assert fresh.number != attempt.number
    attempt.refresh_from_db()
    assert attempt.due_at == NOW  # the older code is closed by the next poll


@pytest.mark.django_db(transaction=True)
def test_the_number_is_committed_before_the_gateway_hears_of_it_F45(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, str]] = []

    def create(self: SandboxProvider, request: Any, *, wall: Any) -> Code:
        seen.append((connection.in_atomic_block, PaymentAttempt.objects.get(number=request.number).status))
        return Code(CodeForm.QR, "code")

    monkeypatch.setattr(SandboxProvider, "create", create)
    shop.attempt()
    assert seen == [(False, "CREATED")]
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        shop.attempt(new_code=True)


def test_a_lost_answer_is_unknown_then_queried_and_asked_again_with_the_same_bytes_F45(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    working = SandboxProvider.create

    def create(self: SandboxProvider, request: Any, *, wall: Any) -> Code:
        asked.append(request)
        if len(asked) == 1:
            raise GatewayTimeout("No answer.")
        return working(self, request, wall=wall)

    monkeypatch.setattr(SandboxProvider, "create", create)
    Loopback.installed(monkeypatch)
    attempt = shop.attempt(return_path="/back")
    assert (attempt.status, attempt.code) == (AttemptStatus.UNKNOWN.value, "")
    poll_due_attempts(now=NOW + timedelta(seconds=10), wall=WALL)
    attempt.refresh_from_db()
    assert attempt.status == AttemptStatus.PENDING.value
    assert attempt.code
    assert asked[0] == asked[1]
    assert PaymentAttempt.objects.count() == 1


def test_a_gateway_that_says_no_leaves_a_failed_attempt_and_the_next_try_is_a_new_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Code:
        raise GatewayRefused("Merchant is suspended.")

    order = shop.order()
    with monkeypatch.context() as patch:
        patch.setattr(SandboxProvider, "create", refuse)
        attempt = shop.attempt(order)
    assert (attempt.status, attempt.problem, attempt.due_at) == ("FAILED", "Merchant is suspended.", None)
    assert shop.attempt(order).pk != attempt.pk


def test_an_ended_order_takes_no_new_payment(shop: Shop) -> None:
    order = shop.order()
    with pytest.raises(OrderRefused, match="no longer waits"):
        shop.attempt(order, now=order.expires_at)


def test_an_account_of_another_merchant_is_refused_F29(shop: Shop) -> None:
    other = open_shop(name="Other")
    foreign = open_account(merchant=other.merchant, provider=Provider.SANDBOX, secret=b"x" * 32, actor=ACTOR, now=NOW)
    with pytest.raises(AccountRefused, match="does not belong"):
        shop.attempt(provider_account=foreign)


def test_a_branch_pays_its_parents_merchant_without_ever_reading_its_account_E1(shop: Shop) -> None:
    branch = create_enterprise(
        name="Branch", parent=shop.enterprise, time_zone="Asia/Shanghai", currency="CNY", actor=ACTOR, now=NOW
    )
    device = add_devices(shop, 1, prefix="b", enterprise=branch)
    with enterprise_scope([branch.pk], [shop.enterprise.pk]):
        order = open_order(device_ids=device, plan=shop.plan, channel=PUBLIC, created_by="page", once_key=None, now=NOW)
        attempt = start_attempt(order=order, now=NOW, wall=WALL)
        assert attempt.code
        assert not MerchantAccount.objects.exists()
    assert attempt.account.enterprise_id == shop.enterprise.pk


def test_the_sandbox_is_the_embedded_default_and_its_secret_is_sealed(shop: Shop, settings: Any) -> None:
    attempt = shop.attempt()
    account = attempt.account
    assert account.provider == Provider.SANDBOX.value
    assert "secret" not in repr(gateway_of(account)._credentials)  # type: ignore[attr-defined]
    with pytest.raises(AccountRefused, match="already"):
        open_account(merchant=shop.merchant, provider=Provider.SANDBOX, secret=b"x" * 32, actor=ACTOR, now=NOW)
    settings.SANDBOX_ENABLED = False
    with pytest.raises(AccountRefused, match="no payment account"):
        open_shop(name="Live").attempt()


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example/", "x", "/\\evil.example", "/" + "x" * 200])
def test_the_payer_is_only_sent_back_to_our_own_site(shop: Shop, path: str) -> None:
    with pytest.raises(Refused, match="not a path of this site"):
        shop.attempt(return_path=path)


def test_a_return_path_with_a_token_is_readable_neither_in_the_row_nor_in_the_code_F85(shop: Shop) -> None:
    attempt = shop.attempt(return_path="/r/sEcReT/order")
    assert "sEcReT" not in attempt.sealed_return_path + attempt.code
    assert return_path_of(number=attempt.number) == "/r/sEcReT/order"
    assert return_path_of(number="UNKNOWN") == ""
