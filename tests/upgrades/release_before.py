"""A database as the release before left it, and what a database says of its own columns."""

from __future__ import annotations

import lzma
import subprocess
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.stack.postgresql import PostgreSQL, binary

DUMP = Path(__file__).parent / "release_0_1_0.sql.xz"
MOMENT = "2026-11-28T02:04:00Z"
"""Just after the dump was made: what is due by the product's clock is judged then."""
COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable = 'YES' OR column_default IS NOT NULL OR is_identity = 'YES'
    FROM information_schema.columns WHERE table_schema = 'public'
"""


class Column(NamedTuple):
    """Its type, and whether a row may be written without naming it."""

    type: str
    is_optional: bool


def restore(postgresql: PostgreSQL, name: str) -> str:
    """A database of that name with everything that the release before had; its URL."""
    url = postgresql.create_database(name)
    command = [str(binary("psql")), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", url]
    done = subprocess.run(command, input=lzma.decompress(DUMP.read_bytes()), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return url


def columns(url: str) -> dict[tuple[str, str], Column]:
    """By table and name."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(COLUMNS).fetchall()
    return {(table, column): Column(kind, is_optional) for table, column, kind, is_optional in rows}


def counts(url: str) -> dict[str, int]:
    """Rows of each table."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in tables}  # type: ignore[index]


def applied(url: str) -> set[tuple[str, str]]:
    """App and name of each migration that has run."""
    with psycopg.connect(url) as connection:
        return set(connection.execute("SELECT app, name FROM django_migrations").fetchall())
