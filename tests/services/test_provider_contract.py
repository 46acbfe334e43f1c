"""The contract that every payment provider keeps (F26, F28, F30)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import pytest

from billing.models import Provider, SandboxTrade
from billing.orders import GatewayState
from billing.providers import sandbox_wire
from billing.providers.protocol import (
    GatewayRefused,
    GatewayTimeout,
    NoticeRefused,
    PaymentProvider,
    PaymentRequest,
    RefundState,
)
from billing.providers.registry import PROVIDERS
from billing.providers.sandbox_wire import signed_headers
from billing.services.accounts import gateway_of, notify_url
from billing.services.sandbox import Trouble, pay
from billing.services.sandbox_notices import told_of
from tests.services.gateway import books_in_order, shop, wire
from tests.services.offline_bench import offline_bench
from tests.services.shop import NOW, WALL, Loopback, Shop

__all__ = ["books_in_order", "shop", "wire"]


class Bench(NamedTuple):
    """A provider on a bench: how somebody pays there, and what its notice of that looks like."""

    provider: PaymentProvider
    request: PaymentRequest
    pay: Callable[[str], None]
    notice: Callable[[], tuple[dict[str, str], bytes]]
    wire: Loopback
    # Bank transfers call nobody, and nobody sends their notices.
    is_called: bool = True


@pytest.fixture(params=sorted(PROVIDERS))
def bench(request: pytest.FixtureRequest, shop: Shop, wire: Loopback) -> Bench:
    benches = {"sandbox": _sandbox_bench, "offline": offline_bench}
    return benches[request.param](shop, wire)


def _sandbox_bench(shop: Shop, wire: Loopback) -> Bench:
    attempt = shop.attempt()
    account = attempt.account
    asked = PaymentRequest(
        "CONTRACT0001", 19_900, "CNY", "Yearly 1", notify_url(account), "/back", NOW + timedelta(minutes=30)
    )

    def pay_there(code: str) -> None:
        pay(signed=code.rsplit("/", 1)[1], trouble=Trouble.DROPPED, now=wire.now, wall=wire.wall)

    def notice() -> tuple[dict[str, str], bytes]:
        body = sandbox_wire.dump(told_of(SandboxTrade.objects.get(number=asked.number)))
        secret = gateway_of(account)._credentials.secret  # type: ignore[attr-defined]
        own = account.public_id.hex
        return signed_headers(secret, purpose="notice", account=own, body=body, wall=wire.wall), body

    return Bench(gateway_of(account), asked, pay_there, notice, wire)


def _skip_without_a_gateway(bench: Bench) -> None:
    if not bench.is_called:
        pytest.skip("Nobody is called, nobody sends notices.")


def test_contract_every_gateway_that_can_be_chosen_has_a_provider() -> None:
    assert set(PROVIDERS) == {provider.value for provider in Provider}


def test_contract_the_same_request_gives_a_code_for_the_same_trade(bench: Bench) -> None:
    codes = {bench.provider.create(bench.request, wall=WALL + timedelta(seconds=wait)) for wait in (0, 5)}
    for code in codes:
        bench.pay(code)
    facts = bench.provider.query(bench.request.number, wall=WALL)
    assert (facts.state, facts.amount, facts.currency) == (GatewayState.PAID, 19_900, "CNY")


def test_contract_an_unknown_trade_is_not_found_and_not_an_error(bench: Bench) -> None:
    facts = bench.provider.query("NOBODY000001", wall=WALL)
    assert (facts.number, facts.state) == ("NOBODY000001", GatewayState.NOT_FOUND)


def test_contract_query_and_notice_tell_the_same_facts(bench: Bench) -> None:
    _skip_without_a_gateway(bench)
    bench.pay(bench.provider.create(bench.request, wall=WALL))
    headers, body = bench.notice()
    told = bench.provider.parse_notification(headers, body, wall=WALL)
    assert told == bench.provider.query(bench.request.number, wall=WALL)
    assert told.merchant_id
    assert told.transaction_id
    assert told.paid_at == NOW


def test_contract_closing_stops_a_payment_and_never_undoes_one(bench: Bench) -> None:
    code = bench.provider.create(bench.request, wall=WALL)
    assert bench.provider.close(bench.request.number, wall=WALL).state in {GatewayState.CLOSED, GatewayState.NOT_FOUND}
    other = bench.request._replace(number="CONTRACT0002")
    bench.pay(bench.provider.create(other, wall=WALL))
    assert bench.provider.close(other.number, wall=WALL).state is GatewayState.PAID
    assert bench.provider.query(other.number, wall=WALL).state is GatewayState.PAID
    assert code


def test_contract_a_refund_number_pays_back_once_and_never_more_than_was_paid(bench: Bench) -> None:
    provider, number = bench.provider, bench.request.number
    with pytest.raises(GatewayRefused):
        provider.refund(number, refund_number="REFUND01", amount=1, wall=WALL)
    bench.pay(provider.create(bench.request, wall=WALL))
    assert provider.query_refund("REFUND01", wall=WALL).state is RefundState.NOT_FOUND
    for _ in range(2):
        facts = provider.refund(number, refund_number="REFUND01", amount=15_000, wall=WALL)
        assert (facts.number, facts.amount) == ("REFUND01", 15_000)
        assert facts.state in {RefundState.SUCCEEDED, RefundState.PROCESSING}
    for amount in (4_901, 0, -1):
        with pytest.raises(GatewayRefused):
            provider.refund(number, refund_number="REFUND02", amount=amount, wall=WALL)
    with pytest.raises(GatewayRefused):
        provider.refund(number, refund_number="REFUND01", amount=14_999, wall=WALL)
    assert provider.query_refund("REFUND01", wall=WALL).amount == 15_000


def test_contract_a_lost_request_and_a_lost_answer_are_timeouts(bench: Bench) -> None:
    _skip_without_a_gateway(bench)
    bench.wire.lost_requests = ("/",)
    with pytest.raises(GatewayTimeout):
        bench.provider.query(bench.request.number, wall=WALL)
    bench.wire.lost_requests, bench.wire.lost_answers = (), ("/",)
    with pytest.raises(GatewayTimeout):
        bench.provider.close(bench.request.number, wall=WALL)


def test_contract_an_altered_or_unsigned_notice_is_refused(bench: Bench) -> None:
    bench.pay(bench.provider.create(bench.request, wall=WALL))
    headers, body = bench.notice()
    for bad_headers, bad_body in [({}, body), (headers, body + b" "), (headers, body.replace(b"19900", b"1"))]:
        with pytest.raises(NoticeRefused):
            bench.provider.parse_notification(bad_headers, bad_body, wall=WALL)
    with pytest.raises(NoticeRefused):
        bench.provider.parse_notification(headers, body, wall=WALL + timedelta(seconds=301))


def test_contract_no_secret_shows_in_a_repr(bench: Bench) -> None:
    assert "secret" not in repr(vars(bench.provider)).lower()
