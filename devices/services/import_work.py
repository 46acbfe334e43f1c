"""Working an import off in slices that any worker may take over at any moment (F01, F02, F15, F92; R5).

A slice is one transaction under the lock of its import: rows judged anew, what they ask for stored, the rows marked,
the credentials of new devices sealed. A worker that is killed leaves the last slice undone and nothing by halves; two
workers at one import take turns, and the second finds the rows done.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from amp.foundation.bulk import update_rows
from amp.foundation.sealed import seal
from amp.foundation.services.events import record_about
from amp.foundation.services.failures import is_database_trouble
from catalog.models import Product
from devices.models import Import, ImportKind, ImportMode, ImportRow, ImportState, RowStatus, ServiceKind
from devices.registration_csv import ReadRow, device_row
from devices.services.import_judging import Judged, judge, moment_of
from devices.services.registration import register_many
from devices.services.validities import ValiditySetting, set_validities
from devices.sheets import Problem

log = logging.getLogger(__name__)

RUN = "devices.tasks.run_imports"
SLICE = 1_000
LEASE = timedelta(seconds=60)
"""A slice takes about a second, all or nothing up to ten; after this another worker looks whether the first died."""
RETRIES = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 300))
"""After the last one the import waits for a person (F15)."""
SECRETS_KEPT = timedelta(hours=24)
ROWS_KEPT = timedelta(days=30)
_Row = tuple[int, int, dict[str, str]]
"""Id, line, values of a staged row."""


class _NotAll(Exception):
    """A row of an all-or-nothing import became bad since the preview."""

    def __init__(self, judged: Sequence[Judged]) -> None:
        super().__init__("not all rows are good")
        self.judged = judged


def run_due_imports(*, now: datetime, wall: datetime) -> int:
    """Do one slice of the import that has waited longest; 1, or 0 where none is due."""
    job_id = _claim(wall)
    if job_id is None:
        return 0
    _work(job_id, now, wall)
    return 1


def work_off(job_id: int, *, now: datetime, wall: datetime) -> None:
    """Do all slices of one import, now; what fails is left to the workers."""
    while _work(job_id, now, wall):
        pass


def finish(job: Import, state: ImportState, *, actor: str, now: datetime, wall: datetime) -> None:
    """Close an import that is locked by the caller: its secrets are kept for a day, its rows for a month."""
    job.state, job.finished_at, job.due_at = state.value, now, None
    job.clear_at = wall + (SECRETS_KEPT if job.secrets_kept else ROWS_KEPT)
    job.save()
    counts = {name: getattr(job, name) for name in ("rows_done", "rows_same", "rows_bad", "rows_new")}
    kind = f"import.{state.value.lower()}"
    record_about(job, kind, actor=actor, now=now, why=job.problem, after=counts)


@transaction.atomic
def _claim(wall: datetime) -> int | None:
    """The next due import, leased, its counter raised before the work: a poisonous one shows."""
    due = Import.objects.filter(state=ImportState.RUNNING.value, due_at__lte=wall).order_by("due_at", "pk")
    job = due.select_for_update(skip_locked=True, no_key=True).first()
    if job is None:
        return None
    job.due_at, job.attempts = wall + LEASE, job.attempts + 1
    job.save(update_fields=["due_at", "attempts"])
    return int(job.pk)


def _work(job_id: int, now: datetime, wall: datetime) -> bool:
    """One slice; True while there is more to do at once."""
    try:
        with transaction.atomic():
            return _slice(job_id, now, wall)
    except _NotAll as refused:
        _refuse(job_id, refused.judged, now, wall)
    except Exception:
        log.exception("Import %s could not go on this time.", job_id)
        _put_off(job_id, now, wall)
    return False


def _slice(job_id: int, now: datetime, wall: datetime) -> bool:
    job = Import.objects.select_for_update(no_key=True, of=("self",)).select_related("enterprise").get(pk=job_id)
    if job.state != ImportState.RUNNING.value:
        return False
    rows = _open_rows(job)
    _do_or_halve(job, rows, now)
    job.attempts, job.due_at = 0, wall
    if rows and job.rows_new:
        job.save()
        return True
    finish(job, ImportState.DONE, actor=job.confirmed_by, now=now, wall=wall)
    return False


def _open_rows(job: Import) -> list[_Row]:
    rows = ImportRow.objects.filter(job=job, status=RowStatus.NEW.value).order_by("line")
    fields = rows.values_list("id", "line", "values")
    return list(fields if job.mode == ImportMode.ALL_OR_NOTHING.value else fields[:SLICE])


def _do_or_halve(job: Import, rows: Sequence[_Row], now: datetime) -> None:
    """Do these rows; where that fails, their halves, until the fault stands alone: that row is bad, the others are
    done (F15)."""
    try:
        with transaction.atomic():
            done = _do(job, rows, now)
    except _NotAll:
        raise
    except Exception as failure:
        if is_database_trouble(failure) or job.mode == ImportMode.ALL_OR_NOTHING.value:
            raise
        if len(rows) > 1:
            middle = len(rows) // 2
            for half in (rows[:middle], rows[middle:]):
                _do_or_halve(job, half, now)
            return
        log.exception("Line %s of import %s could not be done.", rows[0][1], job.pk)
        done = _mark(job, rows, [_failed(rows[0])], {})
    _count(job, done)


def _do(job: Import, rows: Sequence[_Row], now: datetime) -> Counter[RowStatus]:
    read = [ReadRow(line, values, []) for _pk, line, values in rows]
    judged = judge(ImportKind(job.kind), job.enterprise, read, lock=True)
    if job.mode == ImportMode.ALL_OR_NOTHING.value and any(each.status is RowStatus.BAD for each in judged):
        raise _NotAll(judged)
    todo = [each for each in judged if each.status is RowStatus.NEW]
    made = _register(job, todo, now) if job.kind == ImportKind.DEVICES.value else _set(job, todo, now)
    return _mark(job, rows, judged, made)


def _register(job: Import, todo: Sequence[Judged], now: datetime) -> dict[int, tuple[int, str]]:
    """Device and sealed secret of each line; the devices of one product in one go."""
    by_product: dict[int | None, list[ReadRow]] = defaultdict(list)
    for each in todo:
        by_product[each.place].append(each.row)
    products = Product._base_manager.in_bulk([pk for pk in by_product if pk])
    made = {}
    for pk, rows in by_product.items():
        given = [device_row(row.values) for row in rows]
        new = register_many(
            product=products[pk or 0], enterprise=job.enterprise, rows=given, actor=job.confirmed_by, now=now
        )
        for row, one in zip(rows, new, strict=True):
            made[row.line] = (one.device_id, _sealed(job, row.line, one.password, one.renewal_token))
    return made


def _set(job: Import, todo: Sequence[Judged], now: datetime) -> dict[int, tuple[int, str]]:
    settings = [
        ValiditySetting(
            device_id=each.place or 0,
            kind=ServiceKind(each.row.values["service"]),
            ends_at=moment_of(each.row.values["until"]),
            starts_at=moment_of(each.row.values["from"]),
            why=job.why,
        )
        for each in todo
    ]
    outcomes = set_validities(settings, actor=job.confirmed_by, now=now)
    return {
        each.row.line: (outcome.setting.device_id, "")
        for each, outcome in zip(todo, outcomes, strict=True)
        if not outcome.refusal
    }


def owner_of(job: Import, line: int) -> str:
    """Whom a secret is sealed for: this line of this import, and nothing else opens it."""
    return f"import:{job.public_id}:{line}"


def _sealed(job: Import, line: int, password: str, token: str) -> str:
    return seal(json.dumps([password, token]).encode(), owner_of(job, line))


def _mark(
    job: Import, rows: Sequence[_Row], judged: Sequence[Judged], made: dict[int, tuple[int, str]]
) -> Counter[RowStatus]:
    """Write what became of the rows; how many of each status."""
    marked = []
    for (pk, line, _values), each in zip(rows, judged, strict=True):
        device_id, secret = made.get(line, (None, ""))
        done = RowStatus.DONE if device_id else RowStatus.BAD if each.status is RowStatus.NEW else each.status
        problems = [[problem.column, problem.code, *problem.arguments] for problem in each.row.problems]
        marked.append((pk, done.value, device_id, secret, problems or ([] if device_id else _unless_same(done))))
    update_rows(ImportRow, ("status", "device", "secret", "problems"), marked)
    return Counter(RowStatus(status) for _pk, status, *_rest in marked)


def _unless_same(status: RowStatus) -> list[list[str]]:
    return [["", "not_possible"]] if status is RowStatus.BAD else []


def _failed(row: _Row) -> Judged:
    _pk, line, values = row
    return Judged(ReadRow(line, values, [Problem(line, "failed")]), RowStatus.BAD)


def _count(job: Import, done: Counter[RowStatus]) -> None:
    job.rows_new -= done.total()
    job.rows_done += done[RowStatus.DONE]
    job.secrets_kept = job.kind == ImportKind.DEVICES.value and job.rows_done > 0
    job.rows_same += done[RowStatus.SAME]
    job.rows_bad += done[RowStatus.BAD]


@transaction.atomic
def _refuse(job_id: int, judged: Sequence[Judged], now: datetime, wall: datetime) -> None:
    """All or nothing: the rows that became bad are told, nothing is done."""
    job = Import.objects.select_for_update(no_key=True).get(pk=job_id)
    bad = {each.row.line: each for each in judged if each.status is RowStatus.BAD}
    rows = [row for row in _open_rows(job) if row[1] in bad]
    _count(job, _mark(job, rows, [bad[line] for _pk, line, _values in rows], {}))
    finish(job, ImportState.REFUSED, actor=job.confirmed_by, now=now, wall=wall)


@transaction.atomic
def _put_off(job_id: int, now: datetime, wall: datetime) -> None:
    job = Import.objects.select_for_update(no_key=True).get(pk=job_id)
    if job.state != ImportState.RUNNING.value:
        return
    job.attempts = max(job.attempts, 1)
    if job.attempts > len(RETRIES):
        job.problem = "failed"
        finish(job, ImportState.FAILED, actor="system", now=now, wall=wall)
    else:
        job.due_at = wall + RETRIES[job.attempts - 1]
        job.save(update_fields=["due_at", "attempts"])
