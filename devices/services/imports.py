"""Imports as people see them: a file is staged, looked at, confirmed or thrown away (F92)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.bulk import insert_rows
from amp.foundation.models import Enterprise
from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Refused
from amp.foundation.wakeups import wake
from catalog.models import Product
from devices.models import Import, ImportKind, ImportMode, ImportRow, ImportState, RowStatus
from devices.registration_csv import ReadRow, read_devices
from devices.services.import_judging import Judged, judge
from devices.services.import_work import RUN, finish, work_off
from devices.sheets import Sheet
from devices.validity_csv import read_validities

IN_REQUEST = 1_000
"""So many rows are done while the person waits, a second or two; more are left to a worker."""
ALL_AT_ONCE = 10_000
"""All or nothing is one transaction, which may not last."""
PREVIEW_KEPT = timedelta(hours=24)
ROW_COLUMNS = ("job", "line", "status", "values", "problems")


class ImportNotAllowed(Refused):
    """The import can't be confirmed like this; nothing was imported."""


@transaction.atomic
def stage_import(
    *,
    kind: ImportKind,
    enterprise: Enterprise,
    product: Product | None,
    file_name: str,
    content: bytes,
    why: str = "",
    actor: str,
    now: datetime,
    wall: datetime,
) -> Import:
    """Read a file of at most 10 MB and 50,000 rows, and keep its rows with what each would do. Changes nothing else.

    `product` is meant where a row names none. Raises devices.sheets.SheetRefused: then nothing was kept.
    """
    sheet, read = _read(kind, enterprise, product, content, now)
    judged = judge(kind, enterprise, read)
    counts = Counter(each.status for each in judged)
    job = Import.objects.create(
        enterprise=enterprise,
        product=product,
        kind=kind.value,
        file_name=_clean(file_name)[:200] or "?",
        file_digest=hashlib.sha256(content).hexdigest(),
        columns=sheet.columns,
        left_out=[_clean(name) for name in sheet.left_out],
        why=_clean(why)[:300],
        rows_total=len(judged),
        rows_new=counts[RowStatus.NEW],
        rows_same=counts[RowStatus.SAME],
        rows_bad=counts[RowStatus.BAD],
        created_by=actor[:160],
        created_at=now,
        clear_at=wall + PREVIEW_KEPT,
    )
    insert_rows(ImportRow, ROW_COLUMNS, [_staged(job, each) for each in judged])
    _record(job, "import.staged", actor, now)
    return job


def start_import(*, job: Import, mode: ImportMode, actor: str, now: datetime, wall: datetime) -> Import:
    """Confirm what was previewed. A small import is done when this returns, a larger one is left to a worker.

    Twice does no harm. Raises ImportNotAllowed.
    """
    confirmed = _confirm(job, mode, actor, now, wall)
    if confirmed.state == ImportState.RUNNING.value and confirmed.rows_new <= IN_REQUEST:
        work_off(confirmed.pk, now=now, wall=wall)
        confirmed.refresh_from_db()
    return confirmed


@transaction.atomic
def cancel_import(*, job: Import, actor: str, now: datetime, wall: datetime) -> Import:
    """Throw a preview away, or stop one that runs: what it did stays done."""
    locked: Import = Import.objects.select_for_update(no_key=True).get(pk=job.pk)
    if locked.state in {ImportState.READY.value, ImportState.RUNNING.value, ImportState.FAILED.value}:
        finish(locked, ImportState.CANCELLED, actor=actor, now=now, wall=wall)
    return locked


@transaction.atomic
def retry_import(*, job: Import, actor: str, now: datetime, wall: datetime) -> Import:
    """Let workers try again what stopped by a fault; it goes on at the first row that isn't done."""
    locked: Import = Import.objects.select_for_update(no_key=True).get(pk=job.pk)
    if locked.state == ImportState.FAILED.value:
        locked.state, locked.attempts, locked.due_at, locked.problem = ImportState.RUNNING.value, 0, wall, ""
        locked.finished_at = None
        locked.save(update_fields=["state", "attempts", "due_at", "problem", "finished_at"])
        _record(locked, "import.retried", actor, now)
        wake(RUN)
    return locked


def same_file_before(job: Import) -> Import | None:
    """The latest import of the same file by the same enterprise that did something."""
    same = Import.objects.filter(enterprise_id=job.enterprise_id, kind=job.kind, file_digest=job.file_digest)
    return same.filter(rows_done__gt=0, pk__lt=job.pk).order_by("-pk").first()


@transaction.atomic
def _confirm(job: Import, mode: ImportMode, actor: str, now: datetime, wall: datetime) -> Import:
    locked: Import = Import.objects.select_for_update(no_key=True).get(pk=job.pk)
    if locked.state != ImportState.READY.value:
        return locked
    _check(locked, mode)
    locked.state, locked.mode = ImportState.RUNNING.value, mode.value
    locked.confirmed_by, locked.confirmed_at = actor[:160], now
    locked.due_at, locked.clear_at = wall, None
    locked.save(update_fields=["state", "mode", "confirmed_by", "confirmed_at", "due_at", "clear_at"])
    _record(locked, "import.confirmed", actor, now)
    if locked.rows_new > IN_REQUEST:
        wake(RUN)
    return locked


def _check(job: Import, mode: ImportMode) -> None:
    if not job.rows_new:
        raise ImportNotAllowed.because(_("No row of this file would change anything. There is nothing to import."))
    if mode is ImportMode.ALL_OR_NOTHING and job.rows_bad:
        raise ImportNotAllowed.because(_("Some rows are bad. Correct the file, or import only the good rows."))
    if mode is ImportMode.ALL_OR_NOTHING and job.rows_new > ALL_AT_ONCE:
        raise ImportNotAllowed.because(_("All or nothing goes up to 10,000 rows. Split the file."))


def _read(
    kind: ImportKind, enterprise: Enterprise, product: Product | None, content: bytes, now: datetime
) -> tuple[Sheet, list[ReadRow]]:
    named = product.key if product else ""
    if kind is ImportKind.DEVICES:
        return read_devices(content, named)
    return read_validities(content, enterprise.time_zone, now, named)


def _staged(job: Import, judged: Judged) -> Sequence[Any]:
    row = judged.row
    problems = [[problem.column, problem.code, *problem.arguments] for problem in row.problems]
    return job.pk, row.line, judged.status.value, _clean_values(row.values), _clean_problems(problems)


def _clean(text: str) -> str:
    return text.replace("\0", "").encode(errors="replace").decode()


def _clean_values(values: dict[str, str]) -> dict[str, str]:
    return {name: _clean(value) for name, value in values.items()}


def _clean_problems(problems: list[list[str]]) -> list[list[str]]:
    return [[_clean(part) for part in problem] for problem in problems]


def _record(job: Import, kind: str, actor: str, now: datetime) -> None:
    told = {name: getattr(job, name) for name in ("file_name", "kind", "rows_new", "rows_same", "rows_bad")}
    record_about(job, kind, actor=actor, now=now, why=job.why, after=json.loads(json.dumps(told)))
