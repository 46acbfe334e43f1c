"""A maker whose files are imported: what the tests of imports share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from amp.foundation.models import Enterprise
from catalog.models import Product
from devices.models import Import, ImportKind, ImportMode, ImportRow
from devices.services.imports import stage_import, start_import
from tests.factories import NOW, make_enterprise, make_product

WALL = NOW + timedelta(days=100)
"""Real time, on purpose far from the product's time: nobody may mix them."""


@dataclass
class Desk:
    """Somebody who imports files for one enterprise and product."""

    enterprise: Enterprise
    product: Product

    def stage(self, content: str | bytes, kind: ImportKind = ImportKind.DEVICES, **changes: Any) -> Import:
        """The preview of a file."""
        given = {"enterprise": self.enterprise, "product": self.product, "file_name": "list.csv", **changes}
        body = content.encode() if isinstance(content, str) else content
        return stage_import(kind=kind, content=body, actor="ann", now=NOW, wall=WALL, **given)

    def start(self, job: Import, mode: ImportMode = ImportMode.GOOD_ROWS) -> Import:
        """Confirmed; done where it is small."""
        started = start_import(job=job, mode=mode, actor="ann", now=NOW, wall=WALL)
        started.refresh_from_db()
        return started

    def run(self, content: str | bytes, kind: ImportKind = ImportKind.DEVICES, **changes: Any) -> Import:
        """Staged and started."""
        return self.start(self.stage(content, kind, **changes))


def make_desk(**product: Any) -> Desk:
    """An enterprise with a product."""
    made = make_product(make_enterprise(), **product)
    return Desk(made.enterprise, made)


def device_list(count: int, prefix: str = "k") -> str:
    """A file of so many devices."""
    return "\n".join(["key,serial", *(f"{prefix}{number},S{number}" for number in range(count))])


def told(job: Import) -> list[tuple[int, str, str]]:
    """(line, column, code) of the problems of an import."""
    rows = ImportRow.objects.filter(job=job, status="BAD").order_by("line").values_list("line", "problems")
    return [(line, column, code) for line, problems in rows for column, code, *_rest in problems]


def counts(job: Import) -> tuple[int, int, int, int]:
    """(to do, done, same, bad)."""
    return job.rows_new, job.rows_done, job.rows_same, job.rows_bad
