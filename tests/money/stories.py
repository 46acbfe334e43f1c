"""What customers, cheats and gateways do, one story each, and how its order must end.

A story is told as a generator: it acts, yields how long it waits, acts again, and returns the ending that it expects.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from billing.orders import ExceptionKind
from billing.refunds import Resolution
from tests.gateways.books import Fault
from tests.money.buyers import Buyer, Ending, Play
from tests.services.benches import CALLED, KINDS, REAL

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


LATE_UNTOLD = ("alipay-direct", "alipay-partner")
PAYABLE_LATE = ("sandbox", *LATE_UNTOLD)


class Story(NamedTuple):
    """A story and where it can happen."""

    name: str
    kinds: tuple[str, ...]
    play: Callable[[Buyer], Play]


def _is_paid(buyer: Buyer, fault: str = "") -> Play:
    attempt = buyer.buys()
    yield buyer.waits()
    buyer.pays(attempt, fault)
    yield 4 * MINUTE
    return buyer.fulfilled()


def paid(buyer: Buyer) -> Play:
    return (yield from _is_paid(buyer))


def told_twice(buyer: Buyer) -> Play:
    return (yield from _is_paid(buyer, Fault.DUPLICATE))


def told_late(buyer: Buyer) -> Play:
    """The poll knows it long before."""
    return (yield from _is_paid(buyer, Fault.LATE))


def never_told(buyer: Buyer) -> Play:
    return (yield from _is_paid(buyer, Fault.DROPPED))


def never_told_and_the_next_answers_fail(buyer: Buyer) -> Play:
    attempt = buyer.buys()
    buyer.pays(attempt, Fault.DROPPED)
    for fault in (Fault.SERVER_ERROR, Fault.STALE, Fault.MALFORMED):
        buyer.day.gateways.say("fail", fault=fault, verb="query")
    yield 20 * MINUTE
    return buyer.fulfilled()


def notice_and_poll_at_once(buyer: Buyer) -> Play:
    attempt = buyer.buys()
    buyer.pays(attempt, "" if buyer.till.kind in REAL else Fault.DROPPED)
    buyer.day.deliver_and_poll_at_once(attempt)
    yield 4 * MINUTE
    return buyer.fulfilled()


def code_lost(buyer: Buyer, fault: str) -> Play:
    buyer.day.gateways.say("fail", fault=fault, verb="create")
    attempt = buyer.buys()
    assert (attempt.status, attempt.code) == ("UNKNOWN", "")
    yield 3 * MINUTE
    buyer.pays(attempt)
    yield 4 * MINUTE
    return buyer.fulfilled()


def request_for_the_code_lost(buyer: Buyer) -> Play:
    return (yield from code_lost(buyer, Fault.LOST_REQUEST))


def code_made_and_its_answer_lost(buyer: Buyer) -> Play:
    return (yield from code_lost(buyer, Fault.LOST_ANSWER))


def forged_then_paid(buyer: Buyer) -> Play:
    attempt = buyer.buys()
    yield buyer.waits()
    for fault in (Fault.FORGED, Fault.FOREIGN_KEY):
        buyer.pays(attempt, fault)
        buyer.day.forged += 1
        yield buyer.waits(1, 5)
    assert buyer.status == "PENDING"
    buyer.pays(attempt)
    yield 4 * MINUTE
    return buyer.fulfilled()


def _differs(buyer: Buyer, fault: Fault, kind: ExceptionKind, currency: str = "CNY") -> Play:
    """Nothing is renewed; half of the sellers give it back, the others have yet to decide."""
    attempt = buyer.buys()
    yield buyer.waits()
    buyer.pays(attempt, fault)
    yield 4 * MINUTE
    received, ending = buyer.total - (fault is Fault.WRONG_AMOUNT), Ending("EXPIRED", currency=currency)
    if buyer.till.kind not in CALLED:  # it would wait for another transfer for two weeks
        buyer.cancels()
        ending = ending._replace(status="CANCELLED")
    if buyer.chance.random() < 0.5:
        return ending._replace(unapplied=received, open_cases=(kind.value,))
    buyer.resolves(kind, Resolution.REFUND)
    yield 6 * MINUTE
    return ending._replace(refunded=received)


def wrong_amount(buyer: Buyer) -> Play:
    return (yield from _differs(buyer, Fault.WRONG_AMOUNT, ExceptionKind.AMOUNT_MISMATCH))


def wrong_currency(buyer: Buyer) -> Play:
    return (yield from _differs(buyer, Fault.WRONG_CURRENCY, ExceptionKind.AMOUNT_MISMATCH, "USD"))


def wrong_merchant(buyer: Buyer) -> Play:
    return (yield from _differs(buyer, Fault.WRONG_MERCHANT, ExceptionKind.MERCHANT_MISMATCH))


def never_paid(buyer: Buyer) -> Play:
    buyer.buys()
    yield 40 * MINUTE
    return Ending("EXPIRED")


def paid_when_just_cancelled(buyer: Buyer, fault: str = "") -> Play:
    """The code still lives; the money is honoured, flagged, and kept or given back (F27)."""
    attempt = buyer.buys()
    yield buyer.waits(1, 9)
    buyer.cancels()
    buyer.pays(attempt, fault)
    yield 4 * MINUTE
    return (yield from _late(buyer))


def paid_when_just_cancelled_and_never_told(buyer: Buyer) -> Play:
    return (yield from paid_when_just_cancelled(buyer, Fault.DROPPED))


def paid_after_expiry(buyer: Buyer, fault: str = "") -> Play:
    """Alipay knows no trade before somebody scans, so it closes none; the sandbox is asked for it."""
    attempt = buyer.buys()
    yield buyer.waits(1_900, 3_000)
    assert buyer.status == "EXPIRED"
    buyer.pays(attempt, fault)
    yield 26 * HOUR if fault else 3 * MINUTE
    return (yield from _late(buyer))


def paid_after_expiry_and_never_told(buyer: Buyer) -> Play:
    """The last late check finds it."""
    return (yield from paid_after_expiry(buyer, Fault.DROPPED))


def _late(buyer: Buyer) -> Play:
    if buyer.chance.random() < 0.5:
        buyer.resolves(ExceptionKind.LATE, Resolution.KEEP)
        return buyer.fulfilled()
    buyer.resolves(ExceptionKind.LATE, Resolution.REFUND)
    yield 6 * MINUTE
    return buyer.fulfilled(status="REFUNDED", applied=0, refunded=buyer.total)


def paid_during_an_outage(buyer: Buyer) -> Play:
    """Nobody is told and no call is answered until the order has ended; the late check finds the money (F26, F27)."""
    attempt = buyer.buys()
    yield 9 * MINUTE
    buyer.day.gateways.say("down", gateways=["wechat", "alipay"])
    yield buyer.waits()
    buyer.pays(attempt, Fault.DROPPED)
    yield 90 * MINUTE
    assert buyer.status == "EXPIRED"
    buyer.day.gateways.say("down", gateways=[])
    yield 26 * HOUR
    return (yield from _late(buyer))


def two_payments(buyer: Buyer) -> Play:
    """Two phones, two codes: one renews, of the other a refund is proposed (F31)."""
    first = buyer.buys()
    yield buyer.waits(1, 9)
    second = buyer.asks_for_code(new_code=True)
    buyer.pays(second)
    buyer.pays(first)
    yield 4 * MINUTE
    return (yield from _paid_twice(buyer))


def one_code_paid_twice(buyer: Buyer) -> Play:
    attempt = buyer.buys()
    yield buyer.waits()
    if buyer.till.kind in REAL:
        buyer.pays(attempt)
        buyer.day.deliver()
    buyer.pays(attempt, Fault.SECOND_PAYMENT)
    yield 4 * MINUTE
    return (yield from _paid_twice(buyer))


def _paid_twice(buyer: Buyer) -> Play:
    kind = ExceptionKind.SECOND_PAYMENT
    if buyer.chance.random() < 0.3:
        return buyer.fulfilled(unapplied=buyer.total, open_cases=(kind.value,))
    buyer.resolves(kind, Resolution.REFUND)
    yield 6 * MINUTE
    return buyer.fulfilled(refunded=buyer.total)


OUTAGE = Story("paid during an outage", REAL, paid_during_an_outage)
STORIES = (
    Story("paid", KINDS, paid),
    Story("told twice", KINDS, told_twice),
    Story("told late", CALLED, told_late),
    Story("never told", CALLED, never_told),
    Story("never told, and the next answers fail", REAL, never_told_and_the_next_answers_fail),
    Story("notice and poll at once", CALLED, notice_and_poll_at_once),
    Story("request for the code lost", REAL, request_for_the_code_lost),
    Story("code made, its answer lost", REAL, code_made_and_its_answer_lost),
    Story("forged, then paid", CALLED, forged_then_paid),
    Story("wrong amount", KINDS, wrong_amount),
    Story("wrong currency", KINDS, wrong_currency),
    Story("wrong merchant", REAL, wrong_merchant),
    Story("never paid", CALLED, never_paid),
    Story("paid when just cancelled", KINDS, paid_when_just_cancelled),
    Story("paid when just cancelled, never told", CALLED, paid_when_just_cancelled_and_never_told),
    Story("paid after expiry", PAYABLE_LATE, paid_after_expiry),
    Story("paid after expiry, never told", LATE_UNTOLD, paid_after_expiry_and_never_told),
    Story("two payments", KINDS, two_payments),
    Story("one code paid twice", KINDS, one_code_paid_twice),
)
