"""Daily bills fetched from gateways: planned once per account and day, asked for until they are made, then compared as
an upload is. Nothing is booked before a person says so.

The gateway is called outside any transaction; before that the row's next moment is pushed ahead, so that two workers
never ask at once and a killed one is followed by the next.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext_lazy

from amp.foundation.bulk import insert_rows
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.wakeups import wake
from billing.bills import FetchProblem, FetchStatus, day_of, first_asked, newest_made, next_asked
from billing.models import Bill, BillFetch, MerchantAccount, PaymentAttempt, Refund
from billing.providers.protocol import BillNotMade, GatewayRefused, GatewayTimeout
from billing.services.accounts import bill_source_of
from billing.services.bills import SENTENCES, BillNotTaken, import_bill

log = logging.getLogger(__name__)

WORK = "billing.tasks.fetch_bills"
LEASE = timedelta(minutes=5)
BEHIND = timedelta(days=6)
"""After an outage so many days before the newest are fetched too; gateways keep bills for months."""
COLUMNS = ("enterprise", "account", "day", "status", "due_at", "attempts_made", "problem", "detail")
PROBLEMS = {
    FetchProblem.NOT_MADE.value: gettext_lazy("The gateway has no bill of that day yet."),
    FetchProblem.SILENT.value: gettext_lazy("The gateway did not answer."),
    FetchProblem.REFUSED.value: gettext_lazy("The gateway refused."),
    FetchProblem.UNREADABLE.value: gettext_lazy("The gateway sent a file that can't be used."),
    FetchProblem.FAULT.value: gettext_lazy("A fault of ours; it is in the log."),
}


@transaction.atomic
def plan_due_bills(*, now: datetime, limit: int = 100) -> int:
    """Note the days whose bills are due, for accounts whose moment has come; number of accounts."""
    due = MerchantAccount.objects.filter(bill_due_at__lte=now).order_by("bill_due_at", "pk")
    taken = list(due.select_for_update(skip_locked=True, no_key=True, of=("self",))[:limit])
    newest = newest_made(now)
    rows = [
        (account.enterprise_id, account.pk, newest - timedelta(days=back), FetchStatus.WAITING.value, now, 0, "", "")
        for account in taken
        if account.bill_due_at
        for back in range(min((newest - newest_made(account.bill_due_at)).days, BEHIND.days) + 1)
    ]
    insert_rows(BillFetch, COLUMNS, rows, ignore_conflicts=True)
    mine = MerchantAccount.objects.filter(pk__in=[account.pk for account in taken])
    mine.filter(is_active=True).update(bill_due_at=first_asked(newest + timedelta(days=1)))
    mine.filter(is_active=False).update(bill_due_at=None)
    return len(taken)


def fetch_due_bills(*, now: datetime, wall: datetime, limit: int = 5) -> int:
    """Ask for bills whose moment has come; number of bills asked for. Each that fails holds up no other."""
    taken = _claim(now, limit)
    for fetch in taken:
        problem, detail = _fetched(fetch, now, wall)
        if problem:
            _put_off(fetch, problem, detail, now)
    return len(taken)


def failed_fetches() -> QuerySet[BillFetch]:
    """Bills that could not be fetched: each waits for a person (house pattern 3)."""
    rows: QuerySet[BillFetch] = BillFetch.objects.filter(status=FetchStatus.FAILED.value)
    return rows


@transaction.atomic
def retry_fetch(*, fetch: BillFetch, actor: str, now: datetime) -> BillFetch:
    """Ask the gateway again now, as if it had never been asked. What is fetched already stays."""
    locked: BillFetch = BillFetch.objects.select_for_update(no_key=True).get(pk=fetch.pk)
    if locked.status != FetchStatus.FETCHED.value:
        locked.status, locked.due_at, locked.attempts_made = FetchStatus.WAITING.value, now, 0
        locked.save(update_fields=["status", "due_at", "attempts_made"])
        told = {"day": locked.day.isoformat(), "gateway": locked.account.provider}
        subject = f"bill_fetch:{locked.pk}"
        record_event(EventDraft("bill.retried", subject, locked.enterprise_id, now, actor, after=told), now=now)
        wake(WORK)
    return locked


def problem_of(fetch: BillFetch) -> str:
    """What went wrong the last time, in the reader's language, with the gateway's own words; "" where nothing did."""
    if not fetch.problem:
        return ""
    detail = str(SENTENCES.get(fetch.detail, fetch.detail))
    return f"{PROBLEMS[fetch.problem]} {detail}".strip()


@transaction.atomic
def _claim(now: datetime, limit: int) -> list[BillFetch]:
    due = BillFetch.objects.filter(due_at__lte=now).select_related("account__merchant").order_by("due_at", "pk")
    taken = list(due.select_for_update(skip_locked=True, no_key=True, of=("self",))[:limit])
    rows = BillFetch.objects.filter(pk__in=[fetch.pk for fetch in taken])
    rows.update(due_at=now + LEASE, asked_at=now, attempts_made=F("attempts_made") + 1)
    for fetch in taken:
        fetch.attempts_made += 1
    return taken


def _fetched(fetch: BillFetch, now: datetime, wall: datetime) -> tuple[FetchProblem | None, str]:
    """What went wrong, None where the bill is there. A bill that somebody has uploaded is not fetched again."""
    account = fetch.account
    try:
        bill = Bill.objects.filter(account=account, day=fetch.day).order_by("-pk").first()
        if bill is None:
            content = bill_source_of(account).bill(fetch.day, wall=wall)
            name = f"{account.provider}-{fetch.day}"
            bill, _is_new = import_bill(
                account=account, day=fetch.day, file_name=name, content=content, actor="system", now=now
            )
    except BillNotMade as told:
        return FetchProblem.NOT_MADE, str(told)
    except GatewayTimeout as lost:
        return FetchProblem.SILENT, str(lost)
    except GatewayRefused as refused:
        return FetchProblem.REFUSED, str(refused)
    except BillNotTaken as refused:
        return FetchProblem.UNREADABLE, refused.code
    except Exception:
        log.exception("The bill %s could not be fetched.", fetch.pk)
        return FetchProblem.FAULT, ""
    done = {"status": FetchStatus.FETCHED.value, "bill": bill, "due_at": None, "problem": "", "detail": ""}
    BillFetch.objects.filter(pk=fetch.pk).update(**done)
    return None, ""


def _put_off(fetch: BillFetch, problem: FetchProblem, detail: str, now: datetime) -> None:
    changes: dict[str, Any] = {"problem": problem.value, "detail": detail[:200]}
    changes["due_at"] = next_asked(fetch.attempts_made, now)
    if changes["due_at"] is None:
        is_quiet = problem is FetchProblem.NOT_MADE and not _moved(fetch)
        changes["status"] = FetchStatus.NOTHING.value if is_quiet else FetchStatus.FAILED.value
    BillFetch.objects.filter(pk=fetch.pk, due_at=now + LEASE).update(**changes)


def _moved(fetch: BillFetch) -> bool:
    """Whether we know of money that came in or went back on that day: then there must be a bill."""
    first, end = day_of(fetch.day)
    came = PaymentAttempt.objects.filter(account_id=fetch.account_id, paid_at__gte=first, paid_at__lt=end)
    gone = Refund.objects.filter(Q(attempt__account_id=fetch.account_id, ended_at__gte=first, ended_at__lt=end))
    return came.exists() or gone.filter(status="SUCCEEDED").exists()
