"""Tables whose rows can be added and read, never changed or removed: the database itself refuses (R9, F98).

Ledgers know no exception. Events know two, each in a transaction that holds a permit of its own and for nothing else:
retention deletes events that are old enough and not about money (X5), and an erasure rewrites the texts that may name a
person (X6). The permit ends with the transaction, and nobody has it by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from django.db import connection, migrations

LEAST_DAYS = 365
"""No event is deleted sooner, whatever is configured: the database counts the days itself."""
KEPT_FOR_EVER = ("bill", "fapiao", "merchant", "order", "payment", "platform", "refund")
"""First words of the kinds of events that are never deleted: money, and what was decided for the whole platform."""
REWRITTEN = ("actor", "before", "after", "why")
"""Columns of an event that an erasure may rewrite; all others stay as they were written."""
UNCHANGED = ("id", "public_id", "enterprise_id", "kind", "subject", "happened_at", "noticed_at")

POSTGRESQL_FUNCTION = """
CREATE OR REPLACE FUNCTION amp_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$
"""


POSTGRESQL_EVENT_FUNCTION = f"""
CREATE OR REPLACE FUNCTION amp_event_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('amp.permit', true) = 'retention'
        AND OLD.noticed_at < now() - interval '{LEAST_DAYS} days'
        AND split_part(OLD.kind, '.', 1) NOT IN ({", ".join(f"'{word}'" for word in KEPT_FOR_EVER)}) THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND current_setting('amp.permit', true) = 'erasure'
        AND ROW({", ".join(f"NEW.{name}" for name in UNCHANGED)})
            IS NOT DISTINCT FROM ROW({", ".join(f"OLD.{name}" for name in UNCHANGED)}) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
# SQLite knows no settings of a transaction. A row that is added and removed within one is seen by nobody else.
SQLITE_PERMIT = "CREATE TABLE amp_permit (what text NOT NULL)"
SQLITE_EVENT_TRIGGERS = (
    f"""CREATE TRIGGER foundation_event_no_delete BEFORE DELETE ON foundation_event
    WHEN NOT EXISTS (SELECT 1 FROM amp_permit WHERE what = 'retention')
        OR OLD.noticed_at >= datetime('now', '-{LEAST_DAYS} days')
        OR substr(OLD.kind, 1, instr(OLD.kind, '.') - 1) IN ({", ".join(f"'{word}'" for word in KEPT_FOR_EVER)})
    BEGIN SELECT RAISE(ABORT, 'foundation_event is append-only'); END""",  # noqa: S608 (names of ours)
    f"""CREATE TRIGGER foundation_event_no_update BEFORE UPDATE ON foundation_event
    WHEN NOT EXISTS (SELECT 1 FROM amp_permit WHERE what = 'erasure')
        OR {" OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in UNCHANGED)}
    BEGIN SELECT RAISE(ABORT, 'foundation_event is append-only'); END""",  # noqa: S608 (names of ours)
)


class Permit(StrEnum):
    """What a transaction may do to events beside adding them."""

    RETENTION = "retention"
    ERASURE = "erasure"


@contextmanager
def permitted(what: Permit) -> Iterator[None]:
    """Let this block of a transaction do that to events. Raises RuntimeError outside a transaction.

    Where the block fails, the permit goes with what is rolled back.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("A permit needs a transaction that it ends with.")
    is_postgresql = connection.vendor == "postgresql"
    give = "SELECT set_config('amp.permit', %s, true)" if is_postgresql else "INSERT INTO amp_permit VALUES (%s)"
    take = "SELECT set_config('amp.permit', '', true)" if is_postgresql else "DELETE FROM amp_permit"
    with connection.cursor() as cursor:
        cursor.execute(give, [what.value])
        yield
        cursor.execute(take)


def events_kept() -> migrations.RunPython:
    """The events' own triggers, in place of those of a ledger; and ledgers without any exception."""

    def forwards(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(POSTGRESQL_FUNCTION, params=None)
            schema_editor.execute(POSTGRESQL_EVENT_FUNCTION, params=None)
            _postgresql_trigger(schema_editor, "amp_event_kept")
        else:
            schema_editor.execute(SQLITE_PERMIT)
            _drop_sqlite(schema_editor, "foundation_event")
            for trigger in SQLITE_EVENT_TRIGGERS:
                schema_editor.execute(trigger)

    def backwards(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            _postgresql_trigger(schema_editor, "amp_append_only")
            schema_editor.execute("DROP FUNCTION amp_event_kept()")
        else:
            _drop_sqlite(schema_editor, "foundation_event")
            _refuse_sqlite(schema_editor, "foundation_event")
            schema_editor.execute("DROP TABLE amp_permit")

    return migrations.RunPython(forwards, backwards)


def _postgresql_trigger(schema_editor: Any, function: str) -> None:
    schema_editor.execute("DROP TRIGGER foundation_event_append_only ON foundation_event")
    schema_editor.execute(
        "CREATE TRIGGER foundation_event_append_only BEFORE UPDATE OR DELETE ON foundation_event "
        f"FOR EACH ROW EXECUTE FUNCTION {function}()"
    )


def _refuse_sqlite(schema_editor: Any, table: str) -> None:
    for verb in ("UPDATE", "DELETE"):
        schema_editor.execute(
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def _drop_sqlite(schema_editor: Any, table: str) -> None:
    for verb in ("update", "delete"):
        schema_editor.execute(f"DROP TRIGGER {table}_no_{verb}")


def append_only(table: str) -> migrations.RunPython:
    """Triggers on `table` that refuse UPDATE and DELETE, on PostgreSQL and SQLite."""

    def forwards(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(POSTGRESQL_FUNCTION, params=None)  # no parameters: % is RAISE's own
            schema_editor.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION amp_append_only()"
            )
        else:
            _refuse_sqlite(schema_editor, table)

    def backwards(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        else:
            _drop_sqlite(schema_editor, table)

    return migrations.RunPython(forwards, backwards)


def append_only_again(table: str) -> migrations.RunPython:
    """The triggers of `append_only` where SQLite lost them: Django makes a changed table anew, without its triggers.

    Belongs after whatever changes such a table. PostgreSQL changes a table in place and has kept its own.
    """

    def forwards(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "sqlite":
            _refuse_sqlite(schema_editor, table)

    return migrations.RunPython(forwards, migrations.RunPython.noop)
