"""The peer's process: `python -m bench.plans_peer DATABASE_URL ACCOUNTS [renew]` prints what it took (JSON)."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from typing import Any

import django

from amp.foundation import clock
from bench.rounds import seconds


def expire(accounts: int) -> float:
    """Seconds that django-plans needs to expire so many accounts, one by one as it does."""
    from django.contrib.auth.models import User
    from django.core import mail
    from django.core.management import call_command
    from plans.models import Plan, UserPlan
    from plans.tasks import expire_account

    call_command("migrate", verbosity=0, interactive=False)
    mail.outbox = []
    plan, _ = Plan.objects.get_or_create(name="Yearly", slug="yearly", defaults={"available": True})
    UserPlan.objects.all().delete()
    User.objects.all().delete()
    users = User.objects.bulk_create(User(username=f"u{n}", email=f"u{n}@example.invalid") for n in range(accounts))
    over = clock.wall().date() - timedelta(days=1)
    UserPlan.objects.bulk_create(UserPlan(user=user, plan=plan, expire=over, active=True) for user in users)
    spent = seconds(expire_account)
    left = UserPlan.objects.filter(active=True).count()
    if left:
        raise RuntimeError(f"{left} accounts were not expired")
    return spent


def renew(accounts: int) -> float:
    """Seconds that django-plans needs to complete as many orders that were paid, one by one as it does."""
    from decimal import Decimal

    from django.contrib.auth.models import User
    from django.core import mail
    from django.core.management import call_command
    from plans.models import Order, Plan, PlanPricing, Pricing, UserPlan

    call_command("migrate", verbosity=0, interactive=False)
    mail.outbox = []
    plan, _ = Plan.objects.get_or_create(name="Yearly", slug="yearly", defaults={"available": True})
    pricing, _ = Pricing.objects.get_or_create(name="A year", period=365)
    PlanPricing.objects.get_or_create(plan=plan, pricing=pricing, price=Decimal(199))
    for rows in (Order, UserPlan, User):
        rows.objects.all().delete()
    users = User.objects.bulk_create(User(username=f"u{n}", email=f"u{n}@example.invalid") for n in range(accounts))
    over = clock.wall().date() - timedelta(days=1)
    UserPlan.objects.bulk_create(UserPlan(user=user, plan=plan, expire=over, active=False) for user in users)
    paid = [Order(user=user, plan=plan, pricing=pricing, amount=Decimal(199), currency="EUR") for user in users]
    orders = [Order.objects.get(pk=order.pk) for order in Order.objects.bulk_create(paid)]
    spent = seconds(lambda: [_completed(order) for order in orders])
    if UserPlan.objects.filter(active=True, expire__gt=over).count() != accounts:
        raise RuntimeError("not all accounts were renewed")
    return spent


def _completed(order: Any) -> None:
    from django.db import transaction

    with transaction.atomic():
        order.complete_order()


if __name__ == "__main__":
    os.environ.update(BENCH_PEER_DATABASE_URL=sys.argv[1], DJANGO_SETTINGS_MODULE="bench.plans_settings")
    django.setup()
    work = renew if sys.argv[3:] == ["renew"] else expire
    print(json.dumps({"accounts": int(sys.argv[2]), "seconds": work(int(sys.argv[2]))}))
