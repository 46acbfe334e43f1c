"""Credentials of imported devices: kept sealed until they are downloaded once, or for a day (X4)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.sealed import unseal
from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Refused
from devices.models import Import, ImportRow, ImportState
from devices.services.import_work import ROWS_KEPT, SECRETS_KEPT, finish, owner_of

ROWS_AT_ONCE = 5_000


class SecretsGone(Refused):
    """The credentials were downloaded, or a day has passed."""


class ImportedSecret(NamedTuple):
    """What one registered device needs, plain."""

    product: str
    key: str
    password: str
    renewal_token: str


@transaction.atomic
def take_secrets(*, job: Import, actor: str, now: datetime) -> list[ImportedSecret]:
    """The credentials of all devices that the import registered, in the order of the file; the first caller gets them,
    and they are deleted. Raises SecretsGone."""
    locked: Import = Import.objects.select_for_update(no_key=True).get(pk=job.pk)
    rows = ImportRow.objects.filter(job=locked).exclude(secret="").order_by("line")
    found = [_opened(locked, *row) for row in rows.values_list("line", "values", "secret")]
    if not found:
        raise SecretsGone.because(
            _("The credentials of this import were deleted. Issue a new one on the page of the device.")
        )
    _delete(locked, actor, "import.credentials_taken", now)
    return found


def clear_imports(*, now: datetime, wall: datetime, limit: int = 10) -> int:
    """Delete what has been kept long enough: previews that nobody confirmed and credentials that nobody downloaded
    after a day, rows after a month. Number of imports looked at."""
    due = list(Import.objects.filter(clear_at__lte=wall).order_by("clear_at").values_list("pk", flat=True)[:limit])
    for pk in due:
        _clear(pk, now, wall)
    return len(due)


@transaction.atomic
def _clear(pk: int, now: datetime, wall: datetime) -> None:
    job = Import.objects.select_for_update(no_key=True).get(pk=pk)
    if job.clear_at is None or job.clear_at > wall:
        return
    if job.state == ImportState.READY.value:
        finish(job, ImportState.CANCELLED, actor="system", now=now, wall=wall)
    elif job.secrets_kept:
        _delete(job, "system", "import.credentials_deleted", now)
        Import.objects.filter(pk=pk).update(clear_at=wall + ROWS_KEPT - SECRETS_KEPT)
    elif not _delete_rows(pk):
        Import.objects.filter(pk=pk).update(clear_at=None)


def _delete_rows(job_id: int) -> int:
    """Some thousands at once: the next look finds the others."""
    some = list(ImportRow.objects.filter(job_id=job_id).order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE])
    ImportRow.objects.filter(job_id=job_id, pk__lte=some[-1]).delete() if some else None
    return len(some)


def _delete(job: Import, actor: str, kind: str, now: datetime) -> None:
    ImportRow.objects.filter(job=job).exclude(secret="").update(secret="")
    Import.objects.filter(pk=job.pk).update(secrets_kept=False, secrets_taken_by=actor[:160], secrets_gone_at=now)
    record_about(job, kind, actor=actor, now=now)


def _opened(job: Import, line: int, values: dict[str, str], secret: str) -> ImportedSecret:
    password, token = json.loads(unseal(secret, owner_of(job, line)))
    return ImportedSecret(values["product"], values["key"], password, token)
