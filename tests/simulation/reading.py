"""What the database holds, as a step left it: few statements in plain SQL, for they are asked after every step."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

EVENTS = """
    SELECT id, kind, subject, actor, why, after, happened_at, noticed_at
    FROM foundation_event WHERE id > %s ORDER BY id
"""
PAID_LINES = """
    SELECT line.id, line.device_id, line.order_id, line.amount, own.total, own.months, own.line_count, own.paid_at,
           period.starts_at, period.ends_at, trade.number, trade.paid_at
    FROM billing_orderline line
    JOIN billing_order own ON own.id = line.order_id
    LEFT JOIN devices_period period ON period.source = 'line:' || line.id
    CROSS JOIN LATERAL (
        SELECT count(*) AS number, min(trade.paid_at) AS paid_at
        FROM billing_paymentattempt attempt
        JOIN billing_sandboxtrade trade
          ON trade.number = attempt.number AND trade.status = 'PAID' AND trade.amount = attempt.amount
        WHERE attempt.order_id = own.id AND attempt.settles
    ) trade
    WHERE line.id = ANY(%s)
"""
SERVICES = """
    SELECT device_id, enterprise_id, state, desired_lock, generation
    FROM devices_deviceservice WHERE device_id = ANY(%s) ORDER BY device_id
"""
COMMANDS = """
    SELECT id, device_id, enterprise_id, kind, status, generation
    FROM devices_command WHERE device_id = ANY(%s) AND slot = 'LOCK' ORDER BY generation
"""
REFUNDS = """
    SELECT refund.number, attempt.number, refund.has_lines, part.line_id, part.amount, line.amount
    FROM billing_refund refund
    JOIN billing_paymentattempt attempt ON attempt.id = refund.attempt_id
    LEFT JOIN billing_refundline part ON part.refund_id = refund.id
    LEFT JOIN billing_orderline line ON line.id = part.line_id
    WHERE refund.number = ANY(%s) ORDER BY part.line_id
"""
PAID_BACK = "SELECT amount, status FROM billing_sandboxrefund WHERE number = %s"
POTS = """
    SELECT attempt.order_id,
           sum(entry.amount) FILTER (WHERE entry.kind = 'RECEIVED'),
           coalesce(sum(entry.amount) FILTER (WHERE entry.kind = 'APPLIED'), 0)
             - coalesce(sum(entry.amount) FILTER (WHERE entry.taken_from = 'APPLIED'), 0),
           coalesce(sum(entry.amount) FILTER (WHERE entry.kind = 'UNAPPLIED'), 0)
             - coalesce(sum(entry.amount) FILTER (WHERE entry.taken_from = 'UNAPPLIED'), 0),
           coalesce(sum(entry.amount) FILTER (WHERE entry.kind = 'REFUNDED'), 0),
           (SELECT coalesce(sum(line.amount), 0) FROM billing_orderline line
            WHERE line.order_id = attempt.order_id AND line.status = 'QUEUED' AND line.retries = 0),
           (SELECT coalesce(sum(back.amount) FILTER (WHERE back.status = 'SUCCEEDED'), 0)
            FROM billing_sandboxrefund back JOIN billing_sandboxtrade trade ON trade.id = back.trade_id
            JOIN billing_paymentattempt own ON own.number = trade.number WHERE own.order_id = attempt.order_id)
    FROM billing_moneyentry entry JOIN billing_paymentattempt attempt ON attempt.id = entry.attempt_id
    WHERE attempt.order_id = ANY(%s) GROUP BY attempt.order_id ORDER BY attempt.order_id
"""


class Event(NamedTuple):
    """One row of the record."""

    id: int
    kind: str
    subject: str
    actor: str
    why: str
    after: dict[str, Any]
    happened_at: datetime
    noticed_at: datetime


class PaidLine(NamedTuple):
    """An order line with its period, and how many right trades the gateway's books have for its order."""

    id: int
    device_id: int
    order_id: int
    amount: int
    total: int
    months: int
    line_count: int
    order_paid_at: datetime
    starts_at: datetime | None
    ends_at: datetime | None
    trades: int
    paid_at: datetime | None


class Pots(NamedTuple):
    """Where the money of one order lies, minor units; `paid_back` is the gateway's word."""

    order_id: int
    received: int
    applied: int
    unapplied: int
    refunded: int
    queued: int
    paid_back: int


def rows(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """All rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def events_after(newest: int) -> list[Event]:
    """What was recorded since that row."""
    return [Event(*row[:5], json.loads(row[5]) if row[5] else {}, *row[6:]) for row in rows(EVENTS, newest)]


def paid_lines(ids: Collection[int]) -> dict[int, PaidLine]:
    """Order lines by id."""
    return {row[0]: PaidLine(*row) for row in rows(PAID_LINES, list(ids))} if ids else {}


def pots(orders: Collection[int]) -> list[Pots]:
    """The money of each order."""
    return [Pots(*map(int, row)) for row in rows(POTS, sorted(orders))] if orders else []
