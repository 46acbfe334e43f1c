"""The contract that every payment provider keeps (F24, F26, F28, F29, F30, F44, F45)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from billing.models import MerchantAccount, Provider
from billing.orders import CodeForm, GatewayState, PayWay
from billing.providers.protocol import (
    GatewayRefused,
    GatewayTimeout,
    NoticeRefused,
    PaymentProvider,
    PaymentRequest,
    RefundState,
)
from billing.providers.registry import PROVIDERS, SECRETS, WAYS
from billing.services.accounts import gateway_of
from tests.gateways.books import Fault
from tests.gateways.process import gateway_process, gateways
from tests.services.benches import CALLED, KINDS, REAL, Bench, asked, bench_of, ways_with_payer
from tests.services.gateway import books_in_order, shop, wire
from tests.services.shop import WALL, Shop

__all__ = ["books_in_order", "gateway_process", "gateways", "shop", "wire"]
OPEN = {GatewayState.NOT_FOUND, GatewayState.NOT_PAID}
UNANSWERED = (
    *(Fault.SERVER_ERROR, Fault.MALFORMED, Fault.REDIRECT),
    *(Fault.PROBE, Fault.LOST_ANSWER, Fault.LOST_REQUEST),
)
ENDED = {GatewayState.NOT_FOUND, GatewayState.CLOSED}


class Place(NamedTuple):
    """A provider on its bench."""

    bench: Bench
    account: MerchantAccount
    provider: PaymentProvider
    request: PaymentRequest

    def paid(self, **changes: Any) -> PaymentRequest:
        """A payment that somebody made."""
        request = self.request._replace(**changes)
        assert self.bench.pay(self.account, self.provider.create(request, wall=WALL).text)
        return request


def _placed(request: pytest.FixtureRequest, shop: Shop) -> Place:
    bench = bench_of(request.param, request)
    account = bench.open(shop)
    return Place(bench, account, gateway_of(account), asked(account))


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, shop: Shop) -> Place:
    return _placed(request, shop)


@pytest.fixture(params=CALLED)
def called(request: pytest.FixtureRequest, shop: Shop) -> Place:
    """A gateway over a wire: its calls may be lost, and it sends notices; bank transfers know neither."""
    return _placed(request, shop)


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest, shop: Shop) -> Place:
    return _placed(request, shop)


def test_contract_every_gateway_that_can_be_chosen_has_a_provider() -> None:
    names = {provider.value for provider in Provider}
    assert set(PROVIDERS) == set(WAYS) == names
    assert set(SECRETS) == names - {"sandbox", "offline"}
    assert {kind.partition("-")[0] for kind in KINDS} == names


@pytest.mark.parametrize("way", PayWay)
def test_contract_the_same_request_gives_a_code_for_the_same_trade(place: Place, way: PayWay) -> None:
    if way not in place.provider.ways:
        assert place.account.provider == "offline", "where the payer is makes no difference to a bank"
        return
    request = place.request._replace(**ways_with_payer(way))
    codes = [place.provider.create(request, wall=WALL + timedelta(seconds=wait)) for wait in (0, 5)]
    assert len({code.form for code in codes}) == 1
    shown = CodeForm.REFERENCE if place.account.provider == "offline" else CodeForm.QR
    assert (codes[0].form is shown) == (way is PayWay.SCREEN)
    payments = [place.bench.pay(place.account, code.text) for code in codes[::-1]]
    assert payments[0]
    facts = place.provider.query(request.number, wall=WALL)
    assert (facts.state, facts.amount, facts.currency) == (GatewayState.PAID, 19_900, "CNY")
    assert place.bench.received() == 19_900


def test_contract_another_request_under_the_same_number_makes_no_second_trade_F45(real: Place) -> None:
    """Also the proof that the simulator sees when a repeated request differs from the first by anything."""
    first = real.provider.create(real.request, wall=WALL)
    for change in ({"amount": 19_901}, {"subject": "Monthly"}, {"expires_at": WALL + timedelta(minutes=31)}):
        with pytest.raises(GatewayTimeout, match="exists already"):
            real.provider.create(real.request._replace(**change), wall=WALL)
    assert real.bench.pay(real.account, first.text)
    with pytest.raises(GatewayTimeout, match="exists already"):
        real.provider.create(real.request, wall=WALL)
    assert real.bench.received() == 19_900


def test_contract_an_unknown_trade_is_not_found_and_not_an_error(place: Place) -> None:
    facts = place.provider.query("NOBODY000001", wall=WALL)
    assert (facts.number, facts.state) == ("NOBODY000001", GatewayState.NOT_FOUND)
    assert place.provider.close("NOBODY000001", wall=WALL).state in ENDED


def test_contract_query_and_notice_tell_the_same_facts(called: Place) -> None:
    called.provider.create(called.request, wall=WALL)
    assert called.provider.query(called.request.number, wall=WALL).state in OPEN
    called.paid()
    (sent,) = called.bench.notices()
    told = called.provider.parse_notification(sent.headers, sent.body, wall=WALL)
    assert told == called.provider.query(called.request.number, wall=WALL)
    assert told.number == called.request.number
    assert told.merchant_id == called.account.merchant.merchant_id
    assert told.transaction_id
    assert told.paid_at is not None
    assert abs(told.paid_at - WALL) < timedelta(seconds=10)


def test_contract_closing_stops_a_payment_and_never_undoes_one(place: Place) -> None:
    place.provider.create(place.request, wall=WALL)
    assert place.provider.close(place.request.number, wall=WALL).state in ENDED
    assert place.provider.close(place.request.number, wall=WALL).state in ENDED
    other = place.paid(number="CONTRACT0002")
    assert place.provider.close(other.number, wall=WALL).state is GatewayState.PAID
    assert place.provider.query(other.number, wall=WALL).state is GatewayState.PAID


def test_contract_a_trade_that_somebody_looked_at_can_be_closed(real: Place) -> None:
    code = real.provider.create(real.request, wall=WALL)
    real.bench.gateways.say("scan", code=code.text)  # type: ignore[attr-defined]
    assert real.provider.query(real.request.number, wall=WALL).state is GatewayState.NOT_PAID
    assert real.provider.close(real.request.number, wall=WALL).state is GatewayState.CLOSED
    assert real.provider.query(real.request.number, wall=WALL).state is GatewayState.CLOSED
    assert not real.bench.pay(real.account, code.text)


def test_contract_a_refund_number_pays_back_once_and_never_more_than_was_paid_F44(place: Place) -> None:
    provider, number = place.provider, place.request.number
    with pytest.raises(GatewayRefused):
        provider.refund(number, refund_number="REFUND01", amount=1, wall=WALL)
    place.paid()
    assert provider.query_refund("REFUND01", number=number, wall=WALL).state is RefundState.NOT_FOUND
    for _ in range(2):
        facts = provider.refund(number, refund_number="REFUND01", amount=15_000, wall=WALL)
        assert (facts.number, facts.amount) == ("REFUND01", 15_000)
        assert facts.state in {RefundState.SUCCEEDED, RefundState.PROCESSING}
    for amount in (4_901, 0, -1):
        with pytest.raises(GatewayRefused):
            provider.refund(number, refund_number="REFUND02", amount=amount, wall=WALL)
    with pytest.raises(GatewayRefused):
        provider.refund(number, refund_number="REFUND01", amount=14_999, wall=WALL)
    told = provider.query_refund("REFUND01", number=number, wall=WALL)
    is_people = place.account.provider == "offline"  # who have not paid it out yet
    assert told.state is (RefundState.PROCESSING if is_people else RefundState.SUCCEEDED)
    assert told.amount == 15_000
    second = provider.refund(number, refund_number="REFUND03", amount=4_900, wall=WALL)
    assert second.amount == 4_900


def test_contract_a_payment_that_was_paid_back_in_full_was_paid_all_the_same(place: Place) -> None:
    place.paid()
    before = place.provider.query(place.request.number, wall=WALL)
    place.provider.refund(place.request.number, refund_number="REFUND01", amount=19_900, wall=WALL)
    assert place.provider.query(place.request.number, wall=WALL) == before


def test_contract_a_lost_request_and_a_lost_answer_are_timeouts_F45(called: Place) -> None:
    called.bench.fail(Fault.LOST_REQUEST)
    with pytest.raises(GatewayTimeout):
        called.provider.query(called.request.number, wall=WALL)
    called.bench.fail(Fault.LOST_ANSWER)
    with pytest.raises(GatewayTimeout):
        called.provider.query(called.request.number, wall=WALL)


def test_contract_an_answer_that_proves_nothing_is_a_timeout_and_never_a_no_F45(real: Place) -> None:
    provider, say = real.provider, real.bench.gateways.say  # type: ignore[attr-defined]
    number = real.paid().number
    provider.refund(number, refund_number="REFUND01", amount=1, wall=WALL)
    open_one = real.request._replace(number="CONTRACT0002")
    say("scan", code=provider.create(open_one, wall=WALL).text)
    calls: dict[str, Callable[[], Any]] = {
        "create": lambda: provider.create(real.request._replace(number="CONTRACT0009"), wall=WALL),
        "query": lambda: provider.query(number, wall=WALL),
        "close": lambda: provider.close(open_one.number, wall=WALL),
        "refund": lambda: provider.refund(number, refund_number="REFUND01", amount=1, wall=WALL),
        "query_refund": lambda: provider.query_refund("REFUND01", number=number, wall=WALL),
    }
    for fault in UNANSWERED:
        for verb, call in calls.items():
            if verb == "close":  # which is done, although its answer is lost: each time a new one
                open_one = open_one._replace(number=f"CLOSE{fault.upper()}".replace("_", ""))
                say("scan", code=provider.create(open_one, wall=WALL).text)
            say("fail", fault=fault, verb=verb)
            with pytest.raises(GatewayTimeout):
                call()
    assert [called for called in say("calls") if "elsewhere" in called] == [], "no redirect is followed"


def test_contract_a_refund_whose_answer_was_lost_is_repeated_and_pays_back_once_F44_F45(called: Place) -> None:
    number = called.paid().number
    called.bench.fail(Fault.LOST_ANSWER)
    if called.bench.kind.startswith("wechat"):  # it asks for the total first; that answer arrives
        called.bench.gateways.say("fail", fault="", verb="query")  # type: ignore[attr-defined]
    with pytest.raises(GatewayTimeout):
        called.provider.refund(number, refund_number="REFUND01", amount=19_900, wall=WALL)
    if called.bench.kind == "sandbox":
        called.bench.wire.lost_answers = ()  # type: ignore[attr-defined]
    again = called.provider.refund(number, refund_number="REFUND01", amount=19_900, wall=WALL)
    assert again.amount == 19_900
    assert called.provider.query_refund("REFUND01", number=number, wall=WALL).state is RefundState.SUCCEEDED


def test_contract_an_altered_or_unsigned_notice_is_refused_F28(called: Place) -> None:
    called.paid()
    (sent,) = called.bench.notices()
    unsigned = {"Content-Type": sent.headers["Content-Type"]}
    altered = [sent.body + b" ", sent.body[:-1], b"", b"{", b"\xff", b"[" * 60_000, b"a=1&a=2", sent.body + b"&x=1"]
    forged = [(unsigned, sent.body.replace(b"sign=", b"nosign="))]
    for headers, body in [*forged, *((sent.headers, body) for body in altered)]:
        with pytest.raises(NoticeRefused):
            called.provider.parse_notification(headers, body, wall=WALL)


@pytest.mark.parametrize("seconds", [-301, 301, 90_000])
def test_contract_a_notice_outside_300_seconds_is_refused_where_the_gateway_dates_it_F28(
    called: Place, seconds: int
) -> None:
    called.paid()
    (sent,) = called.bench.notices()
    wall = WALL + timedelta(seconds=seconds)
    if called.account.provider == "alipay":  # its notices carry no timestamp: a replay tells what is known
        assert called.provider.parse_notification(sent.headers, sent.body, wall=wall).state is GatewayState.PAID
        return
    with pytest.raises(NoticeRefused, match="window"):
        called.provider.parse_notification(sent.headers, sent.body, wall=wall)
    edge = WALL + timedelta(seconds=seconds // abs(seconds) * 299)
    assert called.provider.parse_notification(sent.headers, sent.body, wall=edge).state is GatewayState.PAID


@pytest.mark.parametrize("fault", [Fault.FORGED, Fault.FOREIGN_KEY])
def test_contract_only_a_key_of_this_account_signs_its_notices_F29(called: Place, fault: Fault) -> None:
    code = called.provider.create(called.request, wall=WALL)
    called.bench.pay(called.account, code.text, fault)
    (sent,) = called.bench.notices()
    with pytest.raises(NoticeRefused):
        called.provider.parse_notification(sent.headers, sent.body, wall=WALL)


def test_contract_without_the_signature_check_a_forged_notice_would_pay(
    real: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: it is the check that stops it, not some other field."""
    code = real.provider.create(real.request, wall=WALL)
    real.bench.pay(real.account, code.text, Fault.FORGED)
    (sent,) = real.bench.notices()
    monkeypatch.setattr("billing.providers.wechat_guard.GuardedCore._verify_signature", lambda *_: True)
    monkeypatch.setattr("billing.providers.alipay_guard.GuardedAliPay._is_signed", lambda *_: True)
    assert real.provider.parse_notification(sent.headers, sent.body, wall=WALL).state is GatewayState.PAID


def test_contract_other_currencies_are_refused_before_the_call(real: Place) -> None:
    with pytest.raises(GatewayRefused, match="CNY only"):
        real.provider.create(real.request._replace(currency="USD"), wall=WALL)
    assert real.bench.gateways.say("calls") == []  # type: ignore[attr-defined]


def test_contract_no_part_of_a_secret_shows_in_a_repr_or_in_a_refusal_F83(called: Place) -> None:
    credentials = called.provider._credentials  # type: ignore[attr-defined]
    shown = repr(vars(called.provider)) + repr(credentials)
    with pytest.raises(GatewayRefused) as refused:
        called.provider.refund("NOBODY000001", refund_number="REFUND01", amount=1, wall=WALL)
    for part in parts_of(credentials.secret):
        assert part not in shown + repr(refused.value)


def parts_of(secret: bytes) -> list[str]:
    """Texts that nobody may see: the fields of a structured secret, line by line, or the bytes themselves."""
    try:
        fields = json.loads(secret)
    except ValueError:
        return [repr(secret), secret.hex()]
    hidden = ("private_key", "apiv3_key", "app_auth_token")
    lines = [line for name in hidden for line in str(fields.get(name, "")).splitlines()]
    return [line for line in lines if line and not line.startswith("-----")]
