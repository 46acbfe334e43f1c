"""Daily bills: read, kept, compared with our payments; what is paid there and not here goes through `settle` (F102).

The comparison reads our payments once for the whole bill. Settling is another step, each payment in a transaction of
its own: a bill whose settling was interrupted goes on where it stopped, and `settle` takes repeats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.foundation.bulk import among, chunks, insert_rows, update_rows
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.refusals import Refused
from billing.bill_files import BillRefused
from billing.bills import FINE, BillLine, Known, LineKind, Result, day_of, judge, read_bill
from billing.models import Bill, BillRow, EntryKind, MerchantAccount, MoneyEntry, PaymentAttempt, Refund
from billing.orders import AttemptStatus, GatewayFacts, GatewayState, Outcome
from billing.services.accounts import number_at_gateway
from billing.services.settlement import settle

CHUNK = 5_000
AT_ONCE = 200
"""Payments that one request settles; the page offers the rest."""
COLUMNS = (
    *("enterprise", "bill", "kind", "merchant_id", "number", "transaction_id", "amount", "currency", "happened_at"),
    *("attempt", "our_amount", "result", "detail"),
)
SENTENCES: dict[str, str | Promise] = {
    "too_large": gettext_lazy("The file is too large: at most 10 MB, 40 MB unpacked."),
    "too_many_lines": gettext_lazy("The bill has more than 50,000 lines. Download it from the gateway in parts."),
    "no_reader": gettext_lazy("This gateway gives no bills."),
    "not_a_bill": gettext_lazy("This is not a daily trade bill of that gateway. Upload the file as it was downloaded."),
    "incomplete": gettext_lazy("The bill is incomplete: its end is missing, or its count differs. Download it again."),
    "encoding": gettext_lazy(
        "The file can't be read as text. Upload it as it was downloaded, without opening it before."
    ),
    "cell": gettext_lazy("A cell is empty or too long."),
    "amount": gettext_lazy("An amount can't be understood."),
    "time": gettext_lazy("A time can't be understood."),
    "other_day": gettext_lazy("The bill is of another day than the one you chose."),
}


class BillNotTaken(Refused):
    """The file can't be used; nothing was stored. `code` is a key of SENTENCES."""

    code: str = ""


class Ours(NamedTuple):
    """A payment of ours as the comparison needs it."""

    pk: int
    number: str
    status: str
    transaction_id: str | None
    paid_amount: int | None
    currency: str
    paid_currency: str
    paid_at: datetime | None


@transaction.atomic
def import_bill(
    *, account: MerchantAccount, day: date, file_name: str, content: bytes, actor: str, now: datetime
) -> tuple[Bill, bool]:
    """Store and compare one day's bill; the bill, and whether it is new. The same file again changes nothing.

    Raises BillNotTaken. `day` is the gateway's, in Beijing.
    """
    digest = hashlib.sha256(content).hexdigest()
    known = Bill.objects.filter(account=account, digest=digest).first()
    if known is not None:
        return known, False
    lines = _read(account, content, day)
    try:
        with transaction.atomic():
            bill = Bill.objects.create(
                enterprise_id=account.enterprise_id,
                account=account,
                day=day,
                file_name=file_name[:120],
                digest=digest,
                lines=len(lines),
                open_lines=0,
                uploaded_at=now,
                uploaded_by=actor[:160],
            )
    except IntegrityError:  # uploaded twice at once: the other one has it
        return Bill.objects.get(account=account, digest=digest), False
    _store(bill, lines)
    count_open(bill)
    told = {"rows": len(lines), "day": day.isoformat(), "gateway": account.provider}
    record_event(EventDraft("bill.imported", f"bill:{bill.pk}", bill.enterprise_id, now, actor, after=told), now=now)
    return bill, True


def settle_bill(*, bill: Bill, actor: str, now: datetime) -> int:
    """Hand the gateway's facts of up to 200 lines to `settle`; how many are left. Safe to repeat.

    Runs in the system's scope, for a payment may be another enterprise's below the merchant's.
    """
    waiting = BillRow.objects.filter(bill=bill, result=Result.TO_SETTLE.value, attempt__isnull=False)
    own, merchant_id = number_at_gateway(bill.account), bill.account.merchant.merchant_id
    changed = []
    for row in waiting.select_related("attempt").order_by("pk")[:AT_ONCE]:
        settled = settle(attempt_id=row.attempt.pk, facts=_facts(row, own, merchant_id), now=now)  # type: ignore[union-attr]
        # A transaction that the gateway gave to two numbers stays open: somebody has to ask the gateway.
        result = Result.DIFFERS if settled.outcome is Outcome.TAKEN else Result.SETTLED
        changed.append((row.pk, result.value, settled.outcome.value))
    with transaction.atomic():
        update_rows(BillRow, ("result", "detail"), changed)
        count_open(bill)
        if changed:
            draft = EventDraft("bill.settled", f"bill:{bill.pk}", bill.enterprise_id, now, actor)
            record_event(draft._replace(after={"rows": len(changed)}), now=now)
    return BillRow.objects.filter(bill=bill, result=Result.TO_SETTLE.value).count()


def count_open(bill: Bill) -> None:
    """Keep how many lines somebody should look at."""
    fine = [result.value for result in FINE]
    bill.open_lines = BillRow.objects.filter(bill=bill).exclude(result__in=fine).count()
    bill.save(update_fields=["open_lines"])


def _read(account: MerchantAccount, content: bytes, day: date) -> list[BillLine]:
    try:
        return read_bill(account.provider, content, day=day)
    except BillRefused as refused:
        sentence = str(SENTENCES[refused.code])
        if refused.place:
            place = _("Line %(n)d") % {"n": refused.place}
            detail = f" ({refused.detail})" if refused.detail else ""
            sentence = f"{place}{detail}: {sentence}"
        failure = BillNotTaken.because(sentence, "file")
        failure.code = refused.code
        raise failure from None


def _store(bill: Bill, lines: Sequence[BillLine]) -> None:
    ours = _ours(bill, lines)
    refunds = _refunds([each.pk for each in ours.values()])
    rows = [_row(bill, line, ours.get(line.number), refunds) for line in lines]
    named = {line.number for line in lines if line.kind is LineKind.PAYMENT}
    rows += [_missing(bill, each) for each in _paid_that_day(bill) if each.number not in named]
    for chunk in chunks(rows, CHUNK):
        insert_rows(BillRow, COLUMNS, chunk)


def _ours(bill: Bill, lines: Sequence[BillLine]) -> dict[str, Ours]:
    """Our payments of that account, by the numbers that the bill names."""
    found: dict[str, Ours] = {}
    for chunk in chunks(sorted({line.number for line in lines}), CHUNK):
        rows = PaymentAttempt.objects.filter(among("number", chunk), account_id=bill.account_id)
        found |= {row[1]: Ours(*row) for row in rows.values_list("pk", *Ours._fields[1:])}
    return found


def _refunds(attempts: Sequence[int]) -> dict[int, dict[str, int]]:
    """What went back of each payment, by the number of the refund: one line of a bill, and one entry for each device
    in the ledger."""
    found: dict[int, dict[str, int]] = {}
    for chunk in chunks(sorted(attempts), CHUNK):
        numbers = dict(Refund.objects.filter(among("attempt_id", chunk)).values_list("pk", "number"))
        rows = MoneyEntry.objects.filter(among("attempt_id", chunk), kind=EntryKind.REFUNDED.value)
        for attempt, source, amount in rows.values_list("attempt_id", "source", "amount"):
            pk = int(source.split(":")[1])
            sums, number = found.setdefault(attempt, {}), numbers.get(pk, f"refund:{pk}")
            sums[number] = sums.get(number, 0) + amount
    return found


def _paid_that_day(bill: Bill) -> Iterator[Ours]:
    first, end = day_of(bill.day)
    rows = PaymentAttempt.objects.filter(
        account_id=bill.account_id, status=AttemptStatus.PAID.value, paid_at__gte=first, paid_at__lt=end
    )
    return (Ours(*row) for row in rows.order_by("pk").values_list("pk", *Ours._fields[1:]))


def _row(bill: Bill, line: BillLine, ours: Ours | None, refunds: dict[int, dict[str, int]]) -> tuple[object, ...]:
    known = ours and Known(
        ours.status == AttemptStatus.PAID.value,
        ours.transaction_id or "",
        ours.paid_amount or 0,
        ours.paid_currency or ours.currency,
        refunds.get(ours.pk, {}),
    )
    return (
        *(bill.enterprise_id, bill.pk, line.kind.value, line.merchant_id, line.number, line.transaction_id),
        *(line.amount, line.currency, line.at, ours.pk if ours else None, _our_amount(line, ours, refunds)),
        *(judge(line, known).value, line.refund_number[:64]),
    )


def _our_amount(line: BillLine, ours: Ours | None, refunds: dict[int, dict[str, int]]) -> int | None:
    if ours is None or not line.refund_number:
        return ours.paid_amount if ours else None
    return refunds.get(ours.pk, {}).get(line.refund_number)


def _missing(bill: Bill, ours: Ours) -> tuple[object, ...]:
    """A payment of ours that the gateway doesn't know of."""
    return (
        *(bill.enterprise_id, bill.pk, LineKind.PAYMENT.value, "", ours.number, ours.transaction_id or ""),
        *(
            0,
            ours.paid_currency or ours.currency,
            ours.paid_at,
            ours.pk,
            ours.paid_amount,
            Result.MISSING_THERE.value,
            "",
        ),
    )


def _facts(row: BillRow, own: str, merchant_id: str) -> GatewayFacts:
    """In a bill the gateway calls the account by `own`, its number there; `merchant_id` is what we call it (F29)."""
    return GatewayFacts(
        number=row.attempt.number if row.attempt else row.number,
        state=GatewayState.PAID,
        merchant_id=merchant_id if row.merchant_id == own else row.merchant_id,
        amount=row.amount,
        currency=row.currency,
        transaction_id=row.transaction_id,
        paid_at=row.happened_at,
    )
