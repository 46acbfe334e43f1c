"""Sweeps of billing. Each finds its work in the database, so a lost or doubled wake-up changes nothing (R5)."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.conf import settings

from amp.foundation import clock
from amp.foundation.services.figures import CHUNK
from amp.foundation.sweeping import sweep
from billing.services import bill_fetches, figures, fulfilment, polling, refund_work, sandbox_notices, selecting


@shared_task(name="billing.tasks.fulfil_paid_orders")
def fulfil_paid_orders() -> int:
    """Renew the devices of paid orders (Q3, Q4)."""
    return sweep("fulfil_paid_orders", lambda now: fulfilment.fulfil_paid_orders(now=now, limit=5), full=5)


@shared_task(name="billing.tasks.poll_attempts")
def poll_attempts() -> int:
    """Ask gateways about payments whose next query has come (F26)."""
    return sweep("poll_attempts", lambda now: polling.poll_due_attempts(now=now, wall=clock.wall(), limit=10), full=10)


@shared_task(name="billing.tasks.work_refunds")
def work_refunds() -> int:
    """Send approved refunds, ask how they stand, shorten devices whose money is back."""
    return sweep("work_refunds", lambda now: refund_work.work_refunds(now=now, wall=clock.wall(), limit=10), full=10)


@shared_task(name="billing.tasks.expire_orders")
def expire_orders() -> int:
    """End orders that nobody paid in time (Q2)."""
    return sweep("expire_orders", lambda now: polling.expire_due_orders(now=now, wall=clock.wall(), limit=10), full=10)


@shared_task(name="billing.tasks.send_sandbox_notices")
def send_sandbox_notices() -> int:
    """Repeat the sandbox gateway's notices that nobody answered."""
    return sweep(
        "send_sandbox_notices", lambda now: sandbox_notices.send_due_notices(wall=clock.wall(), limit=5), full=5
    )


@shared_task(name="billing.tasks.fetch_bills")
def fetch_bills() -> int:
    """Plan the daily bills that are due, and fetch them from gateways (F102)."""
    sweep("plan_bills", lambda now: bill_fetches.plan_due_bills(now=now, limit=100), full=100)
    return sweep("fetch_bills", lambda now: bill_fetches.fetch_due_bills(now=now, wall=clock.wall(), limit=3), full=3)


@shared_task(name="billing.tasks.count_sales")
def count_sales() -> int:
    """Figures of the overview: orders, money, exceptions."""
    every = timedelta(seconds=settings.FIGURES_SECONDS)
    return sweep("count_sales", lambda now: figures.count_sales(now=now, every=every), full=CHUNK)


@shared_task(name="billing.tasks.forget_selections")
def forget_selections() -> int:
    """Throw away what was selected for a renewal a day ago."""
    return sweep("forget_selections", lambda now: selecting.forget_selections(wall=clock.wall(), limit=20), full=20)
