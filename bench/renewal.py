"""Row D: a batch that was paid becomes periods, new ends, events and unlock commands, line by line exactly once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from amp.foundation import clock
from amp.foundation.models import Enterprise, Event, Role
from amp.foundation.scoping import system_scope
from amp.foundation.services.enterprises import set_merchant
from bench import fleet
from bench.replay import Added, Changed, record
from bench.rounds import Figure, Target, halves, in_turn, seconds
from bench.stage import Stage
from billing.models import MoneyEntry, OrderChannel, OrderLine, OrderStatus, PaymentAttempt
from billing.services.attempts import start_attempt
from billing.services.fulfilment import SLICE, fulfil_paid_orders
from billing.services.ordering import open_order
from billing.services.settlement import settle
from catalog.models import Plan, PlanStatus, PlanType, Product
from devices.models import Command, Device, DeviceService, Period
from tests.factories import make_member
from tests.services.shop import paid

LINES = 10_000
PEER_RENEWALS = 100
LONGER = timedelta(days=365)
NAME = "Yearly"

_EXPIRE = """
    UPDATE devices_deviceservice
    SET state = 'EXPIRED', level_id = NULL, due_at = NULL, desired_lock = 'LOCKED', generation = generation + 1,
        anchor = %(now)s::timestamptz - interval '2 years', anchor_months = 12,
        ends_at = %(now)s::timestamptz - interval '1 day', state_since = %(now)s::timestamptz - interval '1 day',
        last_event_at = %(now)s::timestamptz - interval '1 day'
    WHERE device_id = ANY(%(ids)s)
"""
_END_COMMANDS = """
    UPDATE devices_command SET status = 'CONFIRMED', due_at = NULL, closed_at = %(now)s
    WHERE device_id = ANY(%(ids)s) AND status IN ('PENDING', 'SENT', 'ACKED')
"""
_UPDATE = """
    UPDATE devices_deviceservice SET state = 'ACTIVE', ends_at = fresh.until, due_at = fresh.until
    FROM unnest(%s::bigint[], %s::timestamptz[]) AS fresh(id, until) WHERE device_id = fresh.id
"""
ADDED = [Added(Period), Added(Event), Added(Command), Added(MoneyEntry)]
RENEWED = (
    "state", "state_since", "level_id", "anchor", "anchor_months", "periods_made", "ends_at", "due_at", "desired_lock",
    "generation", "last_event_at",
)  # fmt: skip
CHANGED = [
    Changed(DeviceService, "device_id", RENEWED),
    Changed(OrderLine, "device_id", ("status", "ends_at", "reason")),
]


def figures(stage: Stage, rounds: int) -> Iterator[Figure]:
    """The batch, its statements, and the peer."""
    stage.use(stage.large)
    now = clock.wall()
    with system_scope():
        product = Product.objects.order_by("pk")[0]
        plan = plan_of(product, now)
        own = set(Device.objects.filter(product=product).values_list("pk", flat=True))
        lines = min(LINES, len(own) // 2)
        sides = halves([pk for pk in fleet.scattered(stage.scale) if pk in own][: 2 * lines])
        _product(sides, plan, now, 0)  # warm
        statements = _statements(sides, plan, now)
        renewed, again, ends = in_turn(
            rounds,
            partial(_product, sides, plan, now),
            partial(_replayed, sides, plan, now),
            partial(_limit, sides, now),
        )
        what = f"batch renewal: {lines:,} paid lines, with periods, events and UNLOCK"
        yield Figure(
            "D",
            what,
            "/s",
            f"UPDATE and COPY of the same rows, ready made, in transactions of {SLICE:,}",
            renewed,
            again,
            Target(0.3),
        )
        bare = f"UPDATE of state and end of as many services, in transactions of {SLICE:,}"
        yield Figure("D", "the same beside an UPDATE of the ends alone", "/s", bare, renewed, ends)
        yield Figure("D", "statements of the batch", "a line", "", [statements], target=Target(0.05, at_most=True))
        peer = [_peer(stage, min(PEER_RENEWALS, lines)) for _ in range(min(rounds, 3))]
        yield Figure(
            "D",
            "batch renewal beside django-plans' complete_order",
            "/s",
            "django-plans 2.8 completes paid orders, mail into memory",
            renewed[: len(peer)],
            peer,
        )


def plan_of(product: Product, now: datetime) -> Plan:
    """A year, sold by the maker."""
    if known := Plan.objects.filter(level=product.standard_level, name=NAME).first():
        return known
    maker = Enterprise.objects.get(pk=product.enterprise_id)
    user = make_member(maker, Role.ENTERPRISE_ADMINISTRATOR, email="bench@example.invalid")
    merchant = set_merchant(enterprise=maker, name="Maker Ltd", merchant_id="BENCH-1", user=user, now=now)
    plan: Plan = Plan.objects.create(
        enterprise=maker,
        level=product.standard_level,
        merchant=merchant,
        name=NAME,
        plan_type=PlanType.MANUFACTURER.value,
        amount=19_900,
        currency="CNY",
        months=12,
        status=PlanStatus.PUBLISHED.value,
        created_at=now,
    )
    return plan


def expire(ids: list[int], now: datetime) -> None:
    """Let the services of these devices have ended yesterday, with no command under way."""
    with connection.cursor() as cursor:
        cursor.execute(_END_COMMANDS, {"ids": ids, "now": now})
        cursor.execute(_EXPIRE, {"ids": ids, "now": now})
        cursor.execute("VACUUM ANALYZE devices_deviceservice, devices_command, billing_orderline")


def attempted(ids: list[int], plan: Plan, now: datetime) -> PaymentAttempt:
    """Somebody is about to pay for these devices."""
    order = open_order(
        device_ids=ids, plan=plan, channel=OrderChannel.STAFF, created_by="bench", once_key=None, now=now
    )
    return start_attempt(order=order, now=now, wall=now)


def pay(attempt: PaymentAttempt, now: datetime) -> None:
    """The gateway's word that the money has come, as the notice of a real one leads to it."""
    settle(attempt_id=attempt.pk, facts=paid(attempt, paid_at=now), now=now)


def _paid(ids: list[int], plan: Plan, now: datetime) -> int:
    """Id of an order for all of these devices that is paid and waits for fulfilment."""
    attempt = attempted(ids, plan, now)
    pay(attempt, now)
    return int(attempt.order_id)


def _product(sides: tuple[list[int], list[int]], plan: Plan, now: datetime, number: int) -> float:
    ids = sides[number % 2]
    expire(ids, now)
    order_id = _paid(ids, plan, now)
    spent = seconds(lambda: _fulfil(now))
    with connection.cursor() as cursor:
        cursor.execute("SELECT status FROM billing_order WHERE id = %s", [order_id])
        assert cursor.fetchone() == (OrderStatus.FULFILLED.value,), "the batch isn't done"
    return len(ids) / spent


def _replayed(sides: tuple[list[int], list[int]], plan: Plan, now: datetime, number: int) -> float:
    """The product's own rows of the other half, ready made."""
    ids = sides[1 - number % 2]
    expire(ids, now)
    _paid(ids, plan, now)
    recording = record(lambda: _fulfil(now), ids, ADDED, CHANGED, parts=-(-len(ids) // SLICE))
    spent = seconds(recording.play)
    recording.require()
    return len(ids) / spent


def _fulfil(now: datetime) -> None:
    while fulfil_paid_orders(now=now):
        pass


def _statements(sides: tuple[list[int], list[int]], plan: Plan, now: datetime) -> float:
    expire(sides[0], now)
    _paid(sides[0], plan, now)
    with CaptureQueriesContext(connection) as seen:
        _fulfil(now)
    return len(seen) / len(sides[0])


def _limit(sides: tuple[list[int], list[int]], now: datetime, number: int) -> float:
    ids = sides[1 - number % 2]
    expire(ids, now)
    parts = [ids[start : start + SLICE] for start in range(0, len(ids), SLICE)]
    return len(ids) / seconds(lambda: [_move_ends(part, now) for part in parts])


@transaction.atomic
def _move_ends(ids: list[int], now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE, [ids, [now + LONGER] * len(ids)])


def _peer(stage: Stage, renewals: int) -> float:
    """In a process of its own, for it needs other settings; in the same PostgreSQL."""
    name = "peer_renewals"
    if name not in stage.stack.postgresql.databases():
        stage.stack.postgresql.create_database(name)
    command = [sys.executable, "-m", "bench.plans_peer", stage.database_url(name), str(renewals), "renew"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"django-plans failed:\n{done.stderr}")
    return renewals / json.loads(done.stdout)["seconds"]
