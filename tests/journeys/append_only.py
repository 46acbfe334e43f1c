"""A ledger that PostgreSQL keeps from changes is kept from them on SQLite too, after all migrations (R9, F98).

SQLite changes a table by making it anew, and its triggers go with the old one: a later migration loses them unsaid. To
migrate a file takes half a minute, so the tests of the demo look at the one that it made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.db import connection

from amp.foundation.appendonly import Permit

KNOWN = {"foundation_event", "devices_period", "devices_earlyend", "billing_moneyentry"}
LONG_AGO = "2020-01-01 00:00:00"


@contextmanager
def empty_copy(file: Path) -> Iterator[sqlite3.Connection]:
    """A database in memory with the file's tables and triggers, and without a row."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as original:
        made = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        statements = [statement for (statement,) in original.execute(made)]
    with closing(sqlite3.connect(":memory:")) as copy:
        for statement in sorted(statements, key=lambda each: not each.startswith("CREATE TABLE")):
            copy.execute(statement)
        copy.execute("PRAGMA ignore_check_constraints = ON")  # the rows below say nothing
        yield copy


def refuses_what_postgresql_refuses(database: sqlite3.Connection) -> None:
    """Every table that PostgreSQL's triggers guard."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE p.prosrc LIKE '%%is append-only%%'"
        )
        guarded = {name for (name,) in cursor.fetchall()}
    assert guarded >= KNOWN
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    there = {name for (name,) in database.execute(triggers)}
    assert {f"{table}_no_{verb}" for table in guarded for verb in ("update", "delete")} - there == set()
    for table in sorted(guarded):
        _add(database, table)
        for change in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
                database.execute(change)


def a_permit_opens_an_old_event_and_no_ledger(database: sqlite3.Connection) -> None:
    """Erasure rewrites, retention deletes (X5, X6)."""
    for table in KNOWN:
        _add(database, table, kind="member.invited", noticed_at=LONG_AGO)
    rewrite, delete = "UPDATE foundation_event SET actor = 'person'", "DELETE FROM foundation_event"
    for permit, refused, allowed in [(Permit.ERASURE, delete, rewrite), (Permit.RETENTION, rewrite, delete)]:
        database.execute("INSERT INTO amp_permit VALUES (?)", [permit.value])
        ledgers = [f"DELETE FROM {table}" for table in sorted(KNOWN - {"foundation_event"})]
        for change in (refused, *ledgers):
            with pytest.raises(sqlite3.IntegrityError, match="is append-only"):
                database.execute(change)
        assert database.execute(allowed).rowcount == 1
        database.execute("DELETE FROM amp_permit")


def retention_deletes_no_event_of_money_and_no_young_one(database: sqlite3.Connection) -> None:
    """X5."""
    database.execute("INSERT INTO amp_permit VALUES (?)", [Permit.RETENTION.value])
    for kind, noticed_at in [("order.paid", LONG_AGO), ("member.invited", "2999-01-01 00:00:00")]:
        _add(database, "foundation_event", kind=kind, noticed_at=noticed_at)
        with pytest.raises(sqlite3.IntegrityError, match="is append-only"):
            database.execute("DELETE FROM foundation_event WHERE kind = ?", [kind])


def _add(database: sqlite3.Connection, table: str, **values: str) -> None:
    """A row with those values as far as the table has such columns, and with anything in all others.

    Triggers look at rows only: one that is refused has to be there.
    """
    named = [name for _cid, name, *_rest in database.execute(f"PRAGMA table_info({table})")]
    row = [values.get(name, number) for number, name in enumerate(named, start=database.total_changes)]
    marks = ", ".join("?" * len(named))
    database.execute(f"INSERT INTO {table} ({', '.join(named)}) VALUES ({marks})", row)
