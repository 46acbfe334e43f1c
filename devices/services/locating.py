"""Live devices by the keys under which they speak, with their presence, locked for what they say (P2, F23)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

from amp.foundation.bulk import among, read_statement
from amp.foundation.literals import array_of
from devices.models import Presence
from devices.online_time import PresenceState
from devices.services.presence_rows import WRITTEN, locked_states
from devices.wire import Source

_FIND = """
    SELECT wanted.{place}, device.id, device.product_id {more}
    FROM {wanted}
    JOIN catalog_product product ON product.key = {product_key}
    JOIN devices_device device ON device.product_id = product.id AND device.key = {device_key} {presence}
    WHERE device.terminated_at IS NULL
    ORDER BY device.id {lock}
"""
_POSTGRESQL = _FIND.format(
    place="place",
    more="".join(f", presence.{column}" for column in WRITTEN),
    wanted="unnest(%s::text[], %s::text[]) WITH ORDINALITY AS wanted(product_key, device_key, place)",
    product_key="wanted.product_key",
    device_key="wanted.device_key",
    presence="JOIN devices_presence presence ON presence.device_id = device.id",
    lock="FOR UPDATE OF presence",
)
_SQLITE = _FIND.format(
    place="key + 1",
    more="",
    wanted="json_each(%s) AS wanted",
    product_key="json_extract(wanted.value, '$[0]')",
    device_key="json_extract(wanted.value, '$[1]')",
    presence="",
    lock="",
)


class Located(NamedTuple):
    """A live device, and its presence as it was locked."""

    device_id: int
    product_id: int
    state: PresenceState


def locate(sources: Iterable[Source]) -> dict[Source, Located]:
    """The live devices among `sources`, in the order of their ids, their presence locked; one query.

    Call inside a transaction, and hand the states on to `record_presence`.
    """
    wanted = [*dict.fromkeys(sources)]
    if not wanted:
        return {}
    if connection.vendor == "postgresql":
        rows = read_statement(_POSTGRESQL, [array_of(column) for column in zip(*wanted, strict=True)])
        return {wanted[row[0] - 1]: Located(row[1], row[2], PresenceState._make(row[3:])) for row in rows}
    rows = read_statement(_SQLITE, [json.dumps(wanted)])
    # Two queries there: what a query of one's own reads, Django doesn't turn into moments.
    states = locked_states(Presence.objects.filter(among("device_id", [device_id for _place, device_id, _ in rows])))
    return {wanted[row[0] - 1]: Located(row[1], row[2], states[row[1]]) for row in rows if row[1] in states}
