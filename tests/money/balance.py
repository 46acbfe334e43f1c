"""What a run has left behind, against the gateways' own books and against what each story says must have come of it.

Nothing here asks a service of billing: sums are taken of rows, and of the gateways' books.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from amp.foundation.models import Event
from billing import invariants
from billing.models import MoneyEntry, Order, PaymentAttempt, PaymentException, Refund
from devices.models import Period
from tests.money.buyers import Buyer
from tests.money.day import Day
from tests.services.refunding import device_trouble

POTS = ("APPLIED", "UNAPPLIED", "REFUNDED")


def problems(day: Day) -> list[str]:
    """Everything that is wrong after the run; empty where all is well."""
    checks = (_accounts, _endings, _devices, _open_ends, _notices, _audit)
    return [*day.broken, *(found for check in checks for found in check(day))]


def _accounts(day: Day) -> Iterator[str]:
    """For each account: received and paid back are what the gateway says, and every minor unit lies in one pot."""
    received: dict[int, Counter[str]] = defaultdict(Counter)
    pots: dict[int, Counter[tuple[str, str]]] = defaultdict(Counter)
    entries = MoneyEntry.objects.values_list("attempt__account_id", "kind", "taken_from", "currency", "amount")
    for account, kind, taken_from, currency, amount in entries:
        if kind == "RECEIVED":
            received[account][currency] += amount
            continue
        pots[account][kind, currency] += amount
        if taken_from:
            pots[account][taken_from, currency] -= amount
    for till in day.tills.values():
        ours, own = received[till.account.pk], pots[till.account.pk]
        if ours != till.received():
            yield f"{till.kind}: received {dict(ours)}, the gateway says {dict(till.received())}"
        back = Counter({currency: amount for (pot, currency), amount in own.items() if pot == "REFUNDED"})
        if back != till.paid_back():
            yield f"{till.kind}: paid back {dict(back)}, the gateway says {dict(till.paid_back())}"
        for currency, amount in ours.items():
            if amount != sum(own[pot, currency] for pot in POTS):
                yield f"{till.kind}: {amount} {currency} received, in pots {dict(own)}"


def _endings(day: Day) -> Iterator[str]:
    """Each order ended as its story says, in its state, its money and its cases."""
    for buyer in day.buyers:
        if buyer.ending is None:
            yield f"{_name(buyer)}: has no ending"
            continue
        expected = buyer.ending
        if buyer.status != expected.status:
            yield f"{_name(buyer)}: is {buyer.status}, should be {expected.status}"
        told = {"APPLIED": expected.applied, "REFUNDED": expected.refunded, "UNAPPLIED": expected.unapplied}
        should = {(pot, expected.currency): amount for pot, amount in told.items() if amount}
        if (found := _money(buyer)) != should:
            yield f"{_name(buyer)}: money is {found}, should be {should}"
        cases = PaymentException.objects.filter(attempt__order=buyer.order, resolved_at=None)
        if (open_cases := tuple(cases.values_list("kind", flat=True))) != expected.open_cases:
            yield f"{_name(buyer)}: open cases are {open_cases}, should be {expected.open_cases}"


def _money(buyer: Buyer) -> dict[tuple[str, str], int]:
    sums: Counter[tuple[str, str]] = Counter()
    entries = MoneyEntry.objects.filter(attempt__order=buyer.order).exclude(kind="RECEIVED")
    for kind, taken_from, currency, amount in entries.values_list("kind", "taken_from", "currency", "amount"):
        sums[kind, currency] += amount
        if taken_from:
            sums[taken_from, currency] -= amount
    return {pot: amount for pot, amount in sums.items() if amount}


def _devices(day: Day) -> Iterator[str]:
    """Each device has as many paid periods as orders that were paid for it; no other device has any."""
    should = Counter(device for buyer in day.buyers if buyer.ending for device in buyer.ending.renewed)
    found = Counter(Period.objects.filter(kind="PAID").values_list("device_id", flat=True))
    for device in should.keys() | found.keys():
        if should[device] != found[device]:
            yield f"device {device}: renewed {found[device]} times, paid for {should[device]} times"


def _open_ends(day: Day) -> Iterator[str]:
    """Nothing waits that nobody waits for: every order, payment and refund is final or lies before a person."""
    for number, status in Order.objects.filter(status__in=["PENDING", "PAID"]).values_list("number", "status"):
        yield f"order {number} is {status} for ever"
    waiting = PaymentAttempt.objects.filter(status__in=["CREATED", "UNKNOWN", "PENDING"])
    for number, status in waiting.values_list("number", "status"):
        yield f"payment {number} is {status} for ever"
    proposed = {"status": "REQUESTED", "requested_by": "system", "exception__resolved_at": None}
    open_ones = Refund.objects.exclude(status__in=["SUCCEEDED", "FAILED"]).exclude(**proposed)
    for number, status in open_ones.values_list("number", "status"):
        yield f"refund {number} is {status} for ever"


def _notices(day: Day) -> Iterator[str]:
    """Every forgery was refused and recorded, and nothing else was."""
    refused = Event.objects.filter(kind="payment.refused_notice").count()
    if refused != day.forged:
        yield f"{refused} notices were refused, {day.forged} were forged"
    if day.bad_answers:
        yield f"notices were answered {day.bad_answers}"


def _audit(day: Day) -> Iterator[str]:
    """What `manage.py audit` says of money and devices."""
    yield from (f"audit: {found}" for found in (*invariants.violations(), *device_trouble(day.now)))


def _name(buyer: Buyer) -> str:
    return f"{buyer.story} at {buyer.till.kind}, order {buyer.order.number}"
