"""The sandbox gateway: its notices, its page, and the contract that every provider keeps (F24, F26, F28–F30, F96)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.test import Client

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from billing.invariants import violations
from billing.models import Order, PaymentAttempt, PaymentException, Provider, SandboxTrade
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
from billing.providers.sandbox_wire import SignatureRefused, Ticket, read_ticket, signed_headers, write_ticket
from billing.services.accounts import gateway_of, notify_url
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.notices import MAX_EVENTS_PER_MINUTE
from billing.services.sandbox import Trouble, pay
from billing.services.sandbox_notices import FIRST_REPEAT, REPEATS, send_due_notices, told_of
from tests.services.shop import MINUTE, NOW, WALL, Loopback, Shop, money, open_shop, paid_periods

SECRET = b"k" * 32


@pytest.fixture(autouse=True)
def _system(db: None) -> Iterator[None]:
    with system_scope():
        yield
        assert violations() == []


@pytest.fixture
def shop() -> Shop:
    return open_shop()


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Loopback:
    return Loopback.installed(monkeypatch)


class Notice(NamedTuple):
    """A notice as it goes over the wire."""

    path: str
    body: bytes
    headers: dict[str, str]

    def send(self, **changes: Any) -> tuple[int, bytes]:
        """POST it, changed or not; (status, body) of the answer."""
        sent = self._replace(**changes)
        answer = Client(enforce_csrf_checks=True).post(
            sent.path, data=sent.body, content_type="application/json", headers=sent.headers
        )
        return answer.status_code, answer.content


def notice_of(attempt: PaymentAttempt, *, account: Any = None, wall: Any = WALL, **changes: Any) -> Notice:
    """What the gateway sends when `attempt` was paid; signed by `account`, its own unless said otherwise."""
    account = account or attempt.account
    told = {
        "number": attempt.number,
        "state": "PAID",
        "merchant": attempt.account.merchant.merchant_id,
        "amount": attempt.amount,
        "currency": attempt.currency,
        "transaction": "TEST0001",
        "paid_at": NOW.isoformat(),
    } | changes
    body = json.dumps(told).encode()
    secret = gateway_of(account)._credentials.secret  # type: ignore[attr-defined]
    headers = signed_headers(secret, purpose="notice", account=account.public_id.hex, body=body, wall=wall)
    return Notice(notify_url(account).removeprefix("http://testserver"), body, headers)


def refusals() -> list[str]:
    """Reasons of the security events, oldest first."""
    return list(Event.objects.filter(kind="payment.refused_notice").order_by("id").values_list("why", flat=True))


def status_of(attempt: PaymentAttempt) -> tuple[str, str]:
    """(order, attempt) as they are now."""
    attempt = PaymentAttempt.objects.select_related("order").get(pk=attempt.pk)
    return attempt.order.status, attempt.status


# --- notices ---------------------------------------------------------------------------------------------------------


def test_a_signed_notice_pays_and_a_repeated_one_gets_the_same_answer_F24(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    notice = notice_of(attempt)
    assert [notice.send() for _ in range(3)] == [(200, b"success")] * 3
    assert notice_of(attempt, wall=WALL + MINUTE).send() == (200, b"success")
    assert status_of(attempt) == ("PAID", "PAID")
    fulfil_paid_orders(now=NOW)
    assert notice.send() == (200, b"success")
    assert fulfil_paid_orders(now=NOW + timedelta(hours=1)) == 0
    assert paid_periods(shop) == 1
    assert money(attempt.order) == {"RECEIVED": 19_900, "APPLIED": 19_900}
    assert refusals() == []


def _bit_flipped(notice: Notice) -> Notice:
    signature = bytearray.fromhex(notice.headers["X-Sandbox-Signature"])
    signature[-1] ^= 1
    return _with(notice, Signature=signature.hex())


def _with(notice: Notice, **headers: str) -> Notice:
    changed = {f"X-Sandbox-{name}": value for name, value in headers.items()}
    return notice._replace(headers=notice.headers | changed)


FORGERIES: dict[str, Callable[[Notice], Notice]] = {
    "no signature": lambda notice: notice._replace(headers={}),
    "empty signature": lambda notice: _with(notice, Signature=""),
    "not hexadecimal": lambda notice: _with(notice, Signature="zz" * 32),
    "one bit flipped": _bit_flipped,
    "cut short": lambda notice: _with(notice, Signature=notice.headers["X-Sandbox-Signature"][:32]),
    "altered body": lambda notice: notice._replace(body=notice.body.replace(b"19900", b"19901")),
    "the same meaning in other bytes": lambda notice: notice._replace(body=notice.body + b" "),
    "another timestamp": lambda notice: _with(notice, Timestamp=str(int(WALL.timestamp()) + 1)),
    "another nonce": lambda notice: _with(notice, Nonce="0" * 32),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_notice_changes_nothing_but_the_security_record_F28(shop: Shop, wire: Loopback, forgery: str) -> None:
    attempt = shop.attempt()
    status, _ = FORGERIES[forgery](notice_of(attempt)).send()
    assert status == 401
    assert status_of(attempt) == ("PENDING", "PENDING")
    assert money(attempt.order) == {}
    assert len(refusals()) == 1
    event = Event.objects.get(kind="payment.refused_notice")
    assert event.enterprise_id == shop.enterprise.pk


def test_without_the_signature_check_each_forgery_would_have_paid(
    shop: Shop, wire: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: it is the check that stops them, not some other field."""
    monkeypatch.setattr("billing.providers.sandbox.check_headers", lambda *_, **__: None)
    attempt = shop.attempt()
    assert notice_of(attempt)._replace(headers={}).send() == (200, b"success")
    assert status_of(attempt) == ("PAID", "PAID")


@pytest.mark.parametrize("seconds", [-301, 301, -86_400])
def test_a_notice_outside_300_seconds_of_real_time_is_refused_F28(shop: Shop, wire: Loopback, seconds: int) -> None:
    attempt = shop.attempt()
    assert notice_of(attempt, wall=WALL + timedelta(seconds=seconds)).send()[0] == 401
    assert refusals() == ["The timestamp is outside the window."]
    assert notice_of(attempt, wall=WALL + timedelta(seconds=seconds // abs(seconds) * 299)).send()[0] == 200


def test_an_old_notice_that_is_replayed_is_refused_F28(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    notice = notice_of(attempt)
    assert notice.send()[0] == 200
    wire.at(6 * MINUTE)
    assert notice.send()[0] == 401


def test_the_test_clock_moves_no_signature_window(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.now = NOW + timedelta(minutes=20)  # the product's time; real time stays
    assert notice_of(attempt).send()[0] == 200


def test_a_notice_signed_with_another_merchants_key_is_refused_F29(shop: Shop, wire: Loopback) -> None:
    other = open_shop(name="Other")
    mine, theirs = shop.attempt(), other.attempt()
    # Their key, on their own address and on mine.
    stolen = notice_of(mine, account=theirs.account)
    assert stolen.send()[0] == 403
    assert stolen.send(path=notice_of(mine).path)[0] == 401
    # My key on their address.
    assert notice_of(mine).send(path=notice_of(theirs).path)[0] == 401
    assert status_of(mine) == ("PENDING", "PENDING")
    assert len(refusals()) == 3


def test_a_payment_nobody_asked_for_and_an_unknown_account_are_refused(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    assert notice_of(attempt, number="A" * 24).send()[0] == 403
    assert notice_of(attempt).send(path=f"/pay/notify/sandbox/{uuid.uuid4()}")[0] == 404
    assert notice_of(attempt).send(path=notice_of(attempt).path.replace("sandbox", "wechat"))[0] == 404
    assert len(refusals()) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"amount": -1},
        {"amount": "NaN"},
        {"amount": 10**18},
        {"amount": None},
        {"currency": "CNYX"},
        {"transaction": ""},
        {"transaction": "x" * 65},
        {"paid_at": "yesterday"},
        {"state": "MAYBE"},
    ],
)
def test_signed_nonsense_is_refused_and_never_an_error_500_F38(
    shop: Shop, wire: Loopback, change: dict[str, Any]
) -> None:
    attempt = shop.attempt()
    assert notice_of(attempt, **change).send()[0] == 401
    assert status_of(attempt) == ("PENDING", "PENDING")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 60_000])
def test_signed_rubbish_is_refused_and_never_an_error_500(shop: Shop, wire: Loopback, body: bytes) -> None:
    account = shop.attempt().account
    secret = gateway_of(account)._credentials.secret  # type: ignore[attr-defined]
    headers = signed_headers(secret, purpose="notice", account=account.public_id.hex, body=body, wall=WALL)
    path = notify_url(account).removeprefix("http://testserver")
    assert Notice(path, body, headers).send()[0] == 401


def test_a_notice_of_more_than_64_kb_is_not_read(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    assert notice_of(attempt, filler="x" * 65_536).send()[0] == 413
    assert Client().get(notice_of(attempt).path).status_code == 405
    assert refusals() == []


def test_a_flood_of_forgeries_leaves_a_bounded_record(shop: Shop, wire: Loopback) -> None:
    forged = notice_of(shop.attempt())._replace(headers={})
    answers = {forged.send()[0] for _ in range(MAX_EVENTS_PER_MINUTE + 5)}
    assert answers == {401}
    assert len(refusals()) == MAX_EVENTS_PER_MINUTE


# --- the page that plays the gateway ---------------------------------------------------------------------------------


def page_of(attempt: PaymentAttempt) -> str:
    """The path that the code leads to."""
    return attempt.code.removeprefix("http://testserver")


def test_the_pay_page_says_TEST_shows_seller_and_amount_and_creates_nothing(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    page = Client().get(page_of(attempt))
    text = page.content.decode()
    assert page.status_code == 200
    for shown in ("TEST: no real money moves", "Maker Ltd", "¥199.00", attempt.order.number, "Try a problem"):
        assert shown in text
    assert "<script" not in text
    assert (page["Cache-Control"], page["X-Robots-Tag"]) == ("no-store", "noindex")
    assert not SandboxTrade.objects.exists()


def test_pressing_pay_pays_and_leads_back_to_where_the_payment_was_started(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt(return_path="/r/token/result")
    client = Client()
    pressed = client.post(page_of(attempt))
    assert (pressed.status_code, pressed["Location"]) == (302, f"/pay/return/{attempt.number}")
    assert client.get(pressed["Location"])["Location"] == "/r/token/result"
    assert status_of(attempt) == ("PAID", "PAID")
    assert "Paid" in client.get(page_of(attempt)).content.decode()
    client.post(page_of(attempt))
    assert money(attempt.order) == {"RECEIVED": 19_900}
    assert client.get("/pay/return/UNKNOWN").status_code == 404


def test_the_pay_button_needs_the_pages_own_token(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    assert Client(enforce_csrf_checks=True).post(page_of(attempt)).status_code == 403
    assert not SandboxTrade.objects.exists()


@pytest.mark.parametrize(
    ("trouble", "after", "booked", "case"),
    [
        (Trouble.TWICE, ("PAID", "PAID"), {"RECEIVED": 19_900}, None),
        (Trouble.WRONG_AMOUNT, ("PENDING", "PAID"), {"RECEIVED": 19_899, "UNAPPLIED": 19_899}, "AMOUNT_MISMATCH"),
        (Trouble.FORGED, ("PENDING", "PENDING"), {}, None),
        (Trouble.DROPPED, ("PENDING", "PENDING"), {}, None),
        (Trouble.DELAYED, ("PENDING", "PENDING"), {}, None),
        (Trouble.LATE, ("PAID", "PAID"), {"RECEIVED": 19_900}, None),
    ],
)
def test_each_problem_button_does_what_it_says(
    shop: Shop, wire: Loopback, trouble: Trouble, after: tuple[str, str], booked: dict[str, int], case: str | None
) -> None:
    attempt = shop.attempt()
    assert Client().post(page_of(attempt), {"trouble": trouble.value}).status_code == 302
    assert status_of(attempt) == after
    assert money(attempt.order) == booked
    assert list(PaymentException.objects.values_list("kind", flat=True)) == ([case] if case else [])
    assert len(wire.paths) == {Trouble.TWICE: 2, Trouble.DROPPED: 0, Trouble.DELAYED: 0}.get(trouble, 1)
    assert len(refusals()) == (trouble is Trouble.FORGED)


def test_a_code_that_has_ended_is_not_paid(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.at(31 * MINUTE)
    assert "has ended" in Client().get(page_of(attempt)).content.decode()
    assert Client().post(page_of(attempt)).status_code == 410
    assert status_of(attempt) == ("PENDING", "PENDING")


@pytest.mark.parametrize("path", ["x", "x.y", "W10.AAAA", "%00", "." * 50, "a" * 3_000, "bnVsbA.AAAA"])
def test_a_link_that_nobody_signed_is_refused_with_a_sentence(shop: Shop, wire: Loopback, path: str) -> None:
    answer = Client().get(f"/sandbox/pay/{path}")
    assert answer.status_code == 410
    assert "Ask the seller for a new one" in answer.content.decode()


def test_a_link_with_another_amount_is_refused(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    secret = gateway_of(attempt.account)._credentials.secret  # type: ignore[attr-defined]
    own = page_of(attempt).rsplit("/", 1)[1]
    cheap = write_ticket(b"guessed", read_ticket(secret, own)._replace(amount=1))
    assert Client().post(f"/sandbox/pay/{cheap}").status_code == 410
    body, signature = cheap.split(".")[0], own.split(".")[1]
    assert Client().post(f"/sandbox/pay/{body}.{signature}").status_code == 410
    assert not SandboxTrade.objects.exists()


def test_even_a_signed_link_leads_only_to_our_own_site_F96(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    secret = gateway_of(attempt.account)._credentials.secret  # type: ignore[attr-defined]
    own = read_ticket(secret, page_of(attempt).rsplit("/", 1)[1])
    for path in ("//evil.example", "https://evil.example", "/\\evil.example"):
        signed = write_ticket(secret, own._replace(return_path=path))
        assert Client().post(f"/sandbox/pay/{signed}")["Location"] == f"/sandbox/pay/{signed}"


def test_where_the_sandbox_is_off_it_does_not_exist(shop: Shop, wire: Loopback, settings: Any) -> None:
    attempt = shop.attempt()
    settings.SANDBOX_ENABLED = False
    assert Client().get(page_of(attempt)).status_code == 404
    assert Client().post(page_of(attempt)).status_code == 404
    assert Client().post("/sandbox/gateway/query").status_code == 404


def test_links_and_notices_use_the_configured_address_whatever_host_is_asked_F96(
    shop: Shop, wire: Loopback, settings: Any
) -> None:
    settings.BASE_URL = "https://pay.example"
    attempt = shop.attempt()
    assert attempt.code.startswith("https://pay.example/sandbox/pay/")
    assert notify_url(attempt.account).startswith("https://pay.example/pay/notify/sandbox/")


# --- repeats ---------------------------------------------------------------------------------------------------------


def test_an_unanswered_notice_is_repeated_with_a_back_off_until_success_F26(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.lost_requests = ("/pay/notify/",)
    assert Client().post(page_of(attempt)).status_code == 302
    trade = SandboxTrade.objects.get()
    assert (trade.notify_attempts, trade.notify_due_at) == (1, WALL + REPEATS[0])
    assert send_due_notices(wall=WALL + REPEATS[0] - timedelta(seconds=1)) == 0
    wire.at(REPEATS[0])
    assert send_due_notices(wall=wire.wall) == 1
    assert status_of(attempt) == ("PENDING", "PENDING")
    wire.lost_requests = ()
    wire.at(REPEATS[0] + REPEATS[1])
    assert send_due_notices(wall=wire.wall) == 1
    assert status_of(attempt) == ("PAID", "PAID")
    assert send_due_notices(wall=wire.wall + timedelta(days=1)) == 0


def test_a_success_whose_answer_was_lost_is_repeated_and_harmless_F24(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.lost_answers = ("/pay/notify/",)
    Client().post(page_of(attempt))
    assert status_of(attempt) == ("PAID", "PAID")
    wire.lost_answers = ()
    wire.at(REPEATS[0])
    assert send_due_notices(wall=wire.wall) == 1
    assert money(attempt.order) == {"RECEIVED": 19_900}


def test_a_gateway_killed_after_its_commit_still_tells(shop: Shop, wire: Loopback, monkeypatch: Any) -> None:
    attempt = shop.attempt()

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("billing.services.sandbox.deliver", die)
        with pytest.raises(KeyboardInterrupt):
            pay(signed=page_of(attempt).rsplit("/", 1)[1], trouble=Trouble.NONE, now=NOW, wall=WALL)
    assert SandboxTrade.objects.get().status == "PAID"
    wire.at(FIRST_REPEAT)
    send_due_notices(wall=wire.wall)
    assert status_of(attempt) == ("PAID", "PAID")


def test_a_delayed_notice_comes_a_minute_later(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    Client().post(page_of(attempt), {"trouble": "delayed"})
    assert send_due_notices(wall=WALL + timedelta(seconds=59)) == 0
    wire.at(MINUTE)
    assert send_due_notices(wall=wire.wall) == 1
    assert status_of(attempt) == ("PAID", "PAID")


def test_after_the_last_repeat_the_gateway_gives_up(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    wire.lost_requests = ("/pay/notify/",)
    Client().post(page_of(attempt))
    wall = WALL
    for _ in range(len(REPEATS) + 5):
        wall += timedelta(hours=2)
        send_due_notices(wall=wall)
    trade = SandboxTrade.objects.get()
    assert (trade.notify_attempts, trade.notify_due_at) == (len(REPEATS) + 1, None)


# --- the contract of every provider ----------------------------------------------------------------------------------


class Bench(NamedTuple):
    """A provider on a bench: how somebody pays there, and what its notice of that looks like."""

    provider: PaymentProvider
    request: PaymentRequest
    pay: Callable[[str], None]
    notice: Callable[[], tuple[dict[str, str], bytes]]
    wire: Loopback


@pytest.fixture(params=sorted(PROVIDERS))
def bench(request: pytest.FixtureRequest, shop: Shop, wire: Loopback) -> Bench:
    benches = {"sandbox": _sandbox_bench}
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


# --- the wire --------------------------------------------------------------------------------------------------------


def test_an_answer_that_the_gateway_did_not_sign_for_this_question_is_no_answer(
    shop: Shop, wire: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = shop.attempt()
    gateway, post, kept = gateway_of(attempt.account), wire.post, []

    def replay(url: str, **options: Any) -> Any:
        kept.append(post(url, **options))
        return kept[0]

    monkeypatch.setattr("requests.post", replay)
    assert gateway.query(attempt.number, wall=WALL).state is GatewayState.NOT_FOUND
    with pytest.raises(GatewayTimeout, match="not signed"):
        gateway.query(attempt.number, wall=WALL)


def test_one_merchant_learns_nothing_of_anothers_trade_R6(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    Client().post(page_of(attempt))
    other = gateway_of(open_shop(name="Other").attempt().account)
    assert other.query(attempt.number, wall=WALL).state is GatewayState.NOT_FOUND
    with pytest.raises(GatewayRefused):
        other.refund(attempt.number, refund_number="REFUND09", amount=1, wall=WALL)


def test_a_pay_link_is_no_notice_and_a_request_is_no_answer() -> None:
    ticket = Ticket("a" * 32, "N" * 12, 1, "CNY", "Plan", "", NOW)
    assert read_ticket(SECRET, write_ticket(SECRET, ticket)) == ticket
    headers = signed_headers(SECRET, purpose="request:query", account="a" * 32, body=b"{}", wall=WALL)
    with pytest.raises(SignatureRefused):
        sandbox_wire.check_headers(SECRET, headers, purpose="notice", account="a" * 32, body=b"{}", wall=WALL)
    with pytest.raises(SignatureRefused):
        read_ticket(b"other", write_ticket(SECRET, ticket))


# --- over real sockets -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_payment_over_real_http_renews_the_device(live_server: Any, settings: Any) -> None:
    """From pressing Pay to the renewed device, with our own server on both ends and real clocks."""
    import requests

    from amp.foundation import clock

    settings.BASE_URL = live_server.url
    shop = open_shop()
    order = shop.order(now=clock.now())
    attempt = shop.attempt(order, now=clock.now(), wall=clock.wall(), return_path="/back")
    session = requests.Session()
    token = _csrf(session.get(attempt.code, timeout=10).text)
    pressed = session.post(
        attempt.code, data={"csrfmiddlewaretoken": token}, timeout=10, allow_redirects=False
    )
    assert (pressed.status_code, pressed.headers["Location"]) == (302, f"/pay/return/{attempt.number}")
    order = Order.objects.get(pk=order.pk)
    assert order.status == "PAID"
    fulfil_paid_orders(now=clock.now())
    assert paid_periods(shop) == 1
    gateway = gateway_of(attempt.account)
    assert gateway.query(attempt.number, wall=clock.wall()).state is GatewayState.PAID


def _csrf(page: str) -> str:
    return page.split('name="csrfmiddlewaretoken" value="', 1)[1].split('"', 1)[0]
