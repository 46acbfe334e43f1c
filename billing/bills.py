"""Daily bills of gateways as pure rules: how each is read, and what a line means beside what we know (F92, F102).

A bill is read whole or not at all: one line that can't be understood, a count that doesn't fit or a missing end refuses
the file, since half a bill would report payments as missing that are not. Days and times of bills are those of Beijing.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from billing.bill_files import (
    BEIJING,
    MAX_BYTES,
    MAX_PARTS,
    MAX_UNPACKED,
    BillRefused,
    Head,
    amount_of,
    count_of,
    expect,
    moment_of,
    rows_of,
    text_of,
)

SANDBOX_HEAD = ("merchant_id", "number", "transaction_id", "kind", "amount", "currency", "time")
SANDBOX_REFUND = "refund_number"
"""Older bills of the sandbox don't have it."""
SANDBOX_END = "end"


MADE_BY = timedelta(hours=10)
ASKED_AGAIN = tuple(timedelta(minutes=minutes) for minutes in (30, 60, 120, 240, 480, 1_440))
"""Gaps between the calls for one bill."""


class FetchStatus(StrEnum):
    """How far the fetching of one bill is. NOTHING: the gateway has no bill, and we know of no movement either."""

    WAITING = "WAITING"
    FETCHED = "FETCHED"
    NOTHING = "NOTHING"
    FAILED = "FAILED"


class FetchProblem(StrEnum):
    """Why the last call brought no bill."""

    NOT_MADE = "not_made"
    SILENT = "silent"
    REFUSED = "refused"
    UNREADABLE = "unreadable"
    FAULT = "fault"


class LineKind(StrEnum):
    """Money in, or back."""

    PAYMENT = "PAYMENT"
    REFUND = "REFUND"


class Result(StrEnum):
    """What became of a line."""

    MATCHED = "MATCHED"
    DIFFERS = "DIFFERS"
    TO_SETTLE = "TO_SETTLE"
    SETTLED = "SETTLED"
    UNKNOWN = "UNKNOWN"
    REFUND_MISSING = "REFUND_MISSING"
    MISSING_THERE = "MISSING_THERE"


FINE = frozenset({Result.MATCHED, Result.SETTLED})
"""Nobody needs to look at these."""


class BillLine(NamedTuple):
    """One movement at the gateway. `number` is ours; `amount` is in minor units and never negative.

    `refund_number` is ours too, empty where the bill doesn't name it.
    """

    kind: LineKind
    merchant_id: str
    number: str
    transaction_id: str
    amount: int
    currency: str
    at: datetime
    place: int
    refund_number: str = ""


class Known(NamedTuple):
    """What we have of a payment: whether it is paid, by which transaction, how much, and its refunds by number."""

    is_paid: bool
    transaction_id: str
    amount: int
    currency: str
    refunds: Mapping[str, int] = MappingProxyType({})


def read_bill(provider: str, content: bytes, *, day: date) -> list[BillLine]:
    """Every movement of the bill of `day`. Raises BillRefused, and nothing else whatever the file holds."""
    if len(content) > MAX_BYTES:
        raise BillRefused("too_large")
    reader = READERS.get(provider)
    if reader is None:
        raise BillRefused("no_reader")
    lines = list(reader(content))
    for line in lines:
        if line.at.astimezone(BEIJING).date() != day:
            raise BillRefused("other_day", line.place, str(line.at.astimezone(BEIJING).date()))
    return lines


def day_of(day: date) -> tuple[datetime, datetime]:
    """First moment of the bill's day and of the next one."""
    start = datetime(day.year, day.month, day.day, tzinfo=BEIJING).astimezone(UTC)
    return start, start + timedelta(days=1)


def bill_day(moment: datetime) -> date:
    """The day of the bill to which a moment belongs."""
    return moment.astimezone(BEIJING).date()


def first_asked(day: date) -> datetime:
    """When the gateway is first asked for the bill of `day`: at 10:00 on the next one, as both gateways advise."""
    return day_of(day)[1] + MADE_BY


def newest_made(now: datetime) -> date:
    """The newest day whose bill may be asked for at `now`."""
    return bill_day(now - MADE_BY) - timedelta(days=1)


def next_asked(attempts: int, now: datetime) -> datetime | None:
    """When the gateway is asked again after so many calls; None once a person has to look."""
    return now + ASKED_AGAIN[attempts - 1] if 1 <= attempts <= len(ASKED_AGAIN) else None


def judge(line: BillLine, known: Known | None) -> Result:
    """What a line means for the payment that it names; None where the number isn't ours."""
    if known is None:
        return Result.UNKNOWN
    if line.kind is LineKind.REFUND:
        return _judge_refund(line, known.refunds)
    if not known.is_paid or line.transaction_id != known.transaction_id:
        return Result.TO_SETTLE  # unknown here, or a second payment: `settle` decides what it is
    same = (line.amount, line.currency) == (known.amount, known.currency)
    return Result.MATCHED if same else Result.DIFFERS


def _judge_refund(line: BillLine, booked: Mapping[str, int]) -> Result:
    """By its number; by the amount alone only where the bill has no numbers: two refunds may be equally large."""
    if not line.refund_number:
        return Result.MATCHED if line.amount in booked.values() else Result.REFUND_MISSING
    if line.refund_number not in booked:
        return Result.REFUND_MISSING
    return Result.MATCHED if booked[line.refund_number] == line.amount else Result.DIFFERS


# --- WeChat: the trade bill of all kinds, UTF-8, each cell behind a backtick, two lines of sums at the end ------------
def _wechat(content: bytes) -> Iterator[BillLine]:
    rows = rows_of(text_of(content, ("utf-8-sig",)))
    head = Head(next(rows, (0, []))[1], ("交易时间", "商户号", "微信订单号", "商户订单号", "交易状态", "货币种类"))
    for count, (place, cells) in enumerate(rows):
        if cells[0] == "总交易单数":
            expect(count_of(next(rows, (0, []))[1]), count)
            return
        line = _wechat_line(head, [cell.lstrip("`") for cell in cells], place)
        if line:
            yield line
    raise BillRefused("incomplete")


def _wechat_line(head: Head, cells: list[str], place: int) -> BillLine | None:
    state = head.get(cells, "交易状态", place)
    kind = {"SUCCESS": LineKind.PAYMENT, "REFUND": LineKind.REFUND}.get(state)
    if kind is None:
        return None  # REVOKED: a trade that was taken back before it was paid
    # In partner mode the money is the sub-merchant's; a merchant of its own has 0 there.
    sub = head.optional(cells, "特约商户号")
    amount = ("订单金额", "应结订单金额", "总金额") if kind is LineKind.PAYMENT else ("申请退款金额", "退款金额")
    currency = head.get(cells, "货币种类", place)
    return BillLine(
        kind,
        sub if sub.strip("0") else head.get(cells, "商户号", place),
        head.get(cells, "商户订单号", place),
        head.get(cells, "微信订单号", place),
        amount_of(head.first(cells, amount, place), currency, place),
        currency,
        moment_of(head.get(cells, "交易时间", place), place),
        place,
        head.optional(cells, "商户退款单号").lstrip("0") if kind is LineKind.REFUND else "",  # "0" where there is none
    )


# --- Alipay: a ZIP of CSV files in GBK; remarks begin with #, cells end with a tab ------------------------------------
def _alipay(content: bytes) -> Iterator[BillLine]:
    rows = rows_of(text_of(_unpacked(content), ("gb18030", "utf-8-sig")))
    merchant, head, ended = "", None, False
    for place, cells in rows:
        if cells[0].startswith("#"):
            merchant = merchant or _account(cells[0])
            ended = ended or "明细列表结束" in cells[0]
        elif head is None:
            head = Head(cells, ("支付宝交易号", "商户订单号", "业务类型", "完成时间"))
        elif not ended:
            yield _alipay_line(head, cells, merchant, place)
    if head is None or not ended or not merchant:
        raise BillRefused("incomplete")


def _account(remark: str) -> str:
    found = re.search(r"账号[：:]\[?(\d{16})", remark)
    return found[1] if found else ""


def _alipay_line(head: Head, cells: list[str], merchant: str, place: int) -> BillLine:
    is_refund = head.get(cells, "业务类型", place) == "退款"
    amount = head.first(cells, ("订单金额（元）", "订单金额(元)"), place)
    return BillLine(
        LineKind.REFUND if is_refund else LineKind.PAYMENT,
        merchant,
        head.get(cells, "商户订单号", place),
        head.get(cells, "支付宝交易号", place),
        amount_of(amount.lstrip("-"), "CNY", place),
        "CNY",
        moment_of(head.get(cells, "完成时间", place), place),
        place,
        head.optional(cells, "退款批次号/请求号") if is_refund else "",
    )


def _unpacked(content: bytes) -> bytes:
    """The file of single movements within the archive, not the one of sums."""
    if not content.startswith(b"PK"):
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
                raise BillRefused("too_large")
            for part in parts:
                with archive.open(part) as stream:
                    text = stream.read(MAX_UNPACKED)
                if not part.is_dir() and _is_of_movements(text):
                    return text
    except BillRefused:
        raise
    except Exception as failure:  # whatever the reader of archives stumbles over is the file's fault
        raise BillRefused("not_a_bill") from failure
    raise BillRefused("not_a_bill")


def _is_of_movements(text: bytes) -> bool:
    """Names in old archives are in any encoding, so the first lines decide."""
    return any("支付宝交易号".encode(code) in text[:4_000] for code in ("gb18030", "utf-8"))


# --- The sandbox: our own -------------------------------------------------------------------------------------------
def _sandbox(content: bytes) -> Iterator[BillLine]:
    rows = rows_of(text_of(content, ("utf-8-sig",)))
    head = Head(next(rows, (0, []))[1], SANDBOX_HEAD)
    for count, (place, cells) in enumerate(rows):
        if cells[0] == SANDBOX_END:
            expect(count_of(cells[1:]), count)
            return
        kind = head.get(cells, "kind", place)
        if kind not in {each.value for each in LineKind}:
            raise BillRefused("not_a_bill", place, kind)
        currency = head.get(cells, "currency", place)
        yield BillLine(
            LineKind(kind),
            head.get(cells, "merchant_id", place),
            head.get(cells, "number", place),
            head.get(cells, "transaction_id", place),
            amount_of(head.get(cells, "amount", place), currency, place),
            currency,
            moment_of(head.get(cells, "time", place), place),
            place,
            head.optional(cells, SANDBOX_REFUND) if kind == LineKind.REFUND.value else "",
        )
    raise BillRefused("incomplete")


READERS: dict[str, Callable[[bytes], Iterator[BillLine]]] = {"wechat": _wechat, "alipay": _alipay, "sandbox": _sandbox}
