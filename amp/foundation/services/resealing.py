"""Sealing stored secrets anew when AMP_FIELD_KEY changes (X8): slice by slice, restartable anywhere, read meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import models, transaction

from amp.foundation.bulk import update_rows
from amp.foundation.sealed import SealBroken, sealed_anew

log = logging.getLogger(__name__)

SLICE = 500


class SealedColumn(NamedTuple):
    """A column that holds sealed secrets, and whom the one of a row is sealed for."""

    model: type[models.Model]
    column: str
    owner: Callable[[Any], str]
    related: tuple[str, ...] = ()
    """What `owner` reads of other tables."""

    @property
    def title(self) -> str:
        """Such as "billing.MerchantAccount.sealed_secret"."""
        return f"{self.model._meta.label}.{self.column}"


class Resealed(NamedTuple):
    """How many secrets there are, how many were sealed with an earlier key, and how many no key opens."""

    found: int
    moved: int
    broken: int


def seal_column_anew(sealed: SealedColumn, *, store: bool = True) -> Resealed:
    """Bring every secret of the column under the key in force; without `store` only count what would be.

    A secret that no key opens is left as it is, named in the log, and never stops the others.
    """
    total, after = Resealed(0, 0, 0), 0
    while True:
        done, last = _slice(sealed, after, store)
        if last is None:
            return total
        total, after = Resealed(*map(sum, zip(total, done, strict=True))), last


@transaction.atomic
def _slice(sealed: SealedColumn, after: int, store: bool) -> tuple[Resealed, int | None]:
    rows = sealed.model._base_manager.filter(pk__gt=after).exclude(**{f"{sealed.column}__isnull": True})
    rows = rows.exclude(**{sealed.column: ""}).select_related(*sealed.related).order_by("pk")
    locked = list((rows.select_for_update(of=("self",), no_key=True) if store else rows)[:SLICE])
    moved, broken = [], 0
    for row in locked:
        try:
            anew = sealed_anew(getattr(row, sealed.column), sealed.owner(row))
        except SealBroken:
            log.error("No key opens %s of row %s.", sealed.title, row.pk)
            broken += 1
            continue
        if anew is not None:
            moved.append((row.pk, anew))
    if store:
        update_rows(sealed.model, (sealed.column,), moved)
    return Resealed(len(locked), len(moved), broken), locked[-1].pk if locked else None
