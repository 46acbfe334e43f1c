"""How many rows of a table PostgreSQL has looked at, as it counts itself: a plan only says what it expects."""

from __future__ import annotations

from django.db import connection

_READ = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = %s"


def rows_read(table: str) -> int:
    """Rows of `table` that were read in this transaction so far, by whatever way."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [table])
        [read] = cursor.fetchone()
        return int(read)
