"""What happens to devices and money after an order was made: devices end, money goes back, or doesn't."""

from __future__ import annotations

from billing.models import Refund
from billing.orders import ExceptionKind
from billing.refunds import Resolution
from tests.gateways.books import Course, Fault
from tests.money.buyers import Buyer, Play
from tests.money.stories import MINUTE, Story
from tests.services.benches import CALLED, KINDS, REAL


def a_batch(buyer: Buyer) -> Play:
    attempt = buyer.buys(40)
    yield buyer.waits()
    buyer.pays(attempt)
    yield 4 * MINUTE
    return buyer.fulfilled()


def renewed_again(buyer: Buyer) -> Play:
    """Devices that another order has renewed: their end moves once more (A15)."""
    before = [each for each in buyer.day.buyers if each.till is buyer.till and each.ending == _plainly(each)]
    attempt = buyer.buys(ids=buyer.chance.choice(before).ids if before else None)
    yield buyer.waits()
    buyer.pays(attempt)
    yield 4 * MINUTE
    return buyer.fulfilled()


def _plainly(buyer: Buyer) -> object:
    return buyer.fulfilled() if buyer.ids else None


def devices_end_before_payment(buyer: Buyer) -> Play:
    """Between quote and payment some devices, or all, are terminated: their money stays visible (Q4, F36)."""
    attempt = buyer.buys(4)
    gone = sorted(buyer.chance.sample(buyer.ids, buyer.chance.randint(1, len(buyer.ids))))
    yield buyer.waits()
    buyer.terminates(gone)
    buyer.pays(attempt)
    yield 4 * MINUTE
    renewed = tuple(each for each in buyer.ids if each not in gone)
    lost = buyer.till.price * len(gone)
    kind, ending = ExceptionKind.UNAPPLIED_LINES, buyer.fulfilled(applied=buyer.total - lost, renewed=renewed)
    match buyer.chance.randrange(3):
        case 0:
            return ending._replace(status="PARTIALLY_FULFILLED", unapplied=lost, open_cases=(kind.value,))
        case 1:
            buyer.resolves(kind, Resolution.RETRY)
            yield 6 * MINUTE
            return ending._replace(status="PARTIALLY_FULFILLED", unapplied=lost, open_cases=(kind.value,))
    buyer.resolves(kind, Resolution.REFUND)
    yield 6 * MINUTE
    return ending._replace(status="PARTIALLY_FULFILLED" if renewed else "REFUNDED", refunded=lost)


def refunded(buyer: Buyer) -> Play:
    attempt = buyer.buys(8)
    buyer.pays(attempt)
    yield 4 * MINUTE
    buyer.refunds()
    yield 6 * MINUTE
    return buyer.fulfilled(status="REFUNDED", applied=0, refunded=buyer.total)


def refunded_in_parts(buyer: Buyer) -> Play:
    attempt = buyer.buys(8)
    buyer.pays(attempt)
    yield 4 * MINUTE
    first = buyer.chance.randint(1, buyer.total - 1)
    buyer.refunds(amount=first)
    yield 6 * MINUTE
    if buyer.chance.random() < 0.5:
        return buyer.fulfilled(applied=buyer.total - first, refunded=first)
    buyer.refunds()
    yield 6 * MINUTE
    return buyer.fulfilled(status="REFUNDED", applied=0, refunded=buyer.total)


def refund_answered_by_nobody(buyer: Buyer) -> Play:
    """The gateway pays back and its answer is lost: asked about, never paid back twice (F45)."""
    attempt = buyer.buys()
    buyer.pays(attempt)
    yield 4 * MINUTE
    buyer.day.gateways.say("fail", fault=Fault.LOST_ANSWER, verb="refund")
    buyer.refunds()
    yield 10 * MINUTE
    return buyer.fulfilled(status="REFUNDED", applied=0, refunded=buyer.total)


def refund_takes_its_time(buyer: Buyer) -> Play:
    attempt = buyer.buys()
    buyer.pays(attempt)
    yield 4 * MINUTE
    buyer.till.refunds_go(attempt, Course.PROCESSING)
    buyer.refunds()
    yield 5 * MINUTE
    if buyer.till.kind in REAL:
        assert Refund.objects.get(order=buyer.order).status == "PROCESSING"
        buyer.till.refunds_go(attempt, Course.DONE)
    yield 10 * MINUTE
    return buyer.fulfilled(status="REFUNDED", applied=0, refunded=buyer.total)


def refund_accepted_then_failed(buyer: Buyer) -> Play:
    """Half of them are asked for again, under another number, and then succeed."""
    attempt = buyer.buys()
    buyer.pays(attempt)
    yield 4 * MINUTE
    buyer.till.refunds_go(attempt, Course.PROCESSING if buyer.till.kind in REAL else Course.FAILED)
    first = buyer.refunds()
    yield 3 * MINUTE
    buyer.till.refunds_go(attempt, Course.FAILED)
    yield 20 * MINUTE
    assert Refund.objects.get(pk=first.pk).status == "FAILED"
    if buyer.chance.random() < 0.5:
        return buyer.fulfilled()
    buyer.till.refunds_go(attempt, Course.DONE)
    buyer.refunds()
    yield 6 * MINUTE
    return buyer.fulfilled(status="REFUNDED", applied=0, refunded=buyer.total)


LATER_STORIES = (
    Story("a batch", KINDS, a_batch),
    Story("renewed again", KINDS, renewed_again),
    Story("devices end before payment", KINDS, devices_end_before_payment),
    Story("refunded", KINDS, refunded),
    Story("refunded in parts", KINDS, refunded_in_parts),
    Story("refund answered by nobody", REAL, refund_answered_by_nobody),
    Story("refund takes its time", CALLED, refund_takes_its_time),
    Story("refund accepted, then failed", CALLED, refund_accepted_then_failed),
)
