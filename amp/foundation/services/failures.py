"""What a failure says: about the rows in hand, about the database, or only about who came first (F15, F18, F23)."""

from __future__ import annotations

from django.db import DataError, Error, IntegrityError, OperationalError

SERIALIZATION_FAILURE, DEADLOCK_DETECTED = "40001", "40P01"


def is_database_trouble(failure: Exception) -> bool:
    """Whether the database failed, and not these rows: it is away, it ended a deadlock, a table is missing.

    Then nothing is known about the rows, and the same work is due again; anything else comes back with them (F15).
    """
    return isinstance(failure, Error) and not isinstance(failure, DataError | IntegrityError)


def is_conflict(failure: Exception) -> bool:
    """Whether PostgreSQL chose this transaction as the one to give way: nothing of it was stored, and the same again
    succeeds as a rule (F23)."""
    sqlstate = getattr(failure.__cause__, "sqlstate", None)
    return isinstance(failure, OperationalError) and sqlstate in {SERIALIZATION_FAILURE, DEADLOCK_DETECTED}
