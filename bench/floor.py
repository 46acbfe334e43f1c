"""What is left of row B where no rule is asked: the same rows, or one row a message, written as they come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from amp.foundation.bulk import among, insert_rows, update_rows
from devices.models import Presence, PresenceSession
from devices.services.presence_rows import SESSION_COLUMNS, WRITTEN

_NARROW = """
    CREATE TABLE bench_presence (device_id bigint PRIMARY KEY, is_online boolean NOT NULL, last_seen_at timestamptz)
        WITH (fillfactor = 70);
    INSERT INTO bench_presence SELECT device_id, false, NULL FROM devices_presence ORDER BY device_id;
    VACUUM ANALYZE bench_presence
"""
_BARE = """
    UPDATE bench_presence SET is_online = given.is_online, last_seen_at = given.at
    FROM unnest(%s::bigint[], %s::boolean[], %s::timestamptz[]) AS given(id, is_online, at) WHERE device_id = given.id
"""


class Said(NamedTuple):
    """One message, read."""

    device_id: int
    what: str
    session: str | None
    at: datetime


def keep_newest(said: Sequence[Said]) -> None:
    """One row a device, of two columns, in a table without an index beside its key."""
    newest = {one.device_id: one for one in said}
    update_narrow(
        (list(newest), [one.what != "offline" for one in newest.values()], [one.at for one in newest.values()])
    )


@transaction.atomic
def keep_all(said: Sequence[Said]) -> None:
    """The rows that the product writes for these messages, and its lock on them; nothing is judged."""
    kinds: dict[str, list[Said]] = defaultdict(list)
    for one in said:
        kinds[one.what].append(one)
    ids = [one.device_id for one in said]
    locked = Presence.objects.filter(among("device_id", ids)).order_by("device_id").select_for_update(of=("self",))
    list(locked.values_list("device_id"))
    update_rows(Presence, ("last_seen_at",), [(one.device_id, one.at) for one in kinds["report"]])
    online = [(one.device_id, True, one.session, one.at, one.at, 0, one.at, one.at, 60) for one in kinds["online"]]
    update_rows(Presence, WRITTEN, online)
    offline = [(one.device_id, False, one.session, None, None, 7, one.at, one.at, 60) for one in kinds["offline"]]
    update_rows(Presence, WRITTEN, offline)
    closed = [(one.device_id, one.session, one.at, one.at, False) for one in kinds["offline"]]
    insert_rows(PresenceSession, SESSION_COLUMNS, closed, ignore_conflicts=True)


def make_narrow() -> None:
    """The table of `keep_newest`, with a row for each device."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_presence")
        for statement in _NARROW.split(";"):
            cursor.execute(statement)


@transaction.atomic
def update_narrow(columns: tuple[list[int], list[bool], list[datetime]]) -> None:
    """Ids, whether they are online, and moments."""
    with connection.cursor() as cursor:
        cursor.execute(_BARE, columns)
