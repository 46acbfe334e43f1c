"""After the database was restored from a backup: devices have heard more than we remember (X7).

What a device was told after the backup carries generations that we no longer know, so that it would ignore ours as old.
Sessions that were open then have ended since, for all that anybody can prove.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Min

from amp.foundation.bulk import among, update_rows
from devices.lifecycle import State
from devices.models import Bridge, Command, CommandKind, DeviceService
from devices.models.commands import IS_UNFINISHED
from devices.services.commands import LOCK_SLOT, CommandOrder, order_commands
from devices.services.session_ends import close_sessions_of_dead_broker

SLICE = 2_000
LEAP = 100_000
"""Added to each generation: more than any device can have been told since a backup that is still of use."""


class Leapt(NamedTuple):
    """How many services got a generation beyond all that was lost, and how many commands were ordered anew."""

    services: int
    commands: int


def leap_generations(*, now: datetime) -> Leapt:
    """Raise the generation of every service that can still be told anything; what was unfinished is ordered anew.

    Slice by slice, each a transaction. Running it twice leaps twice, which does no harm.
    """
    total, after = Leapt(0, 0), 0
    while True:
        done, last = _slice(after, now)
        if last is None:
            return total
        total, after = Leapt(total.services + done.services, total.commands + done.commands), last


def close_sessions_of_before(*, now: datetime) -> int:
    """End what was open in the backup, at the last sign of the broker that is in it, estimated (P4); how many.

    Online time since then is not counted, rather than made up (P1); devices that are there say so to the bridge.
    """
    alive_at = Bridge.objects.aggregate(at=Min("broker_alive_at"))["at"]
    return close_sessions_of_dead_broker(alive_at=alive_at, now=now) if alive_at else 0


@transaction.atomic
def _slice(after: int, now: datetime) -> tuple[Leapt, int | None]:
    rows = DeviceService.objects.filter(device_id__gt=after).exclude(state=State.TERMINATED.value)
    columns = ("device_id", "generation", "enterprise_id", "product_id")
    locked = list(rows.order_by("device_id").select_for_update().values_list(*columns)[:SLICE])
    if not locked:
        return Leapt(0, 0), None
    leapt = {pk: (generation + LEAP, *place) for pk, generation, *place in locked}
    update_rows(DeviceService, ("generation",), [(pk, generation) for pk, (generation, *_place) in leapt.items()])
    waiting = Command.objects.filter(among("device_id", leapt), IS_UNFINISHED, slot=LOCK_SLOT)
    orders = [
        CommandOrder(pk, leapt[pk][1], leapt[pk][2], CommandKind(kind), leapt[pk][0])
        for pk, kind in dict(waiting.order_by("generation").values_list("device_id", "kind")).items()
    ]
    order_commands(orders, now=now, actor="after_restore")
    return Leapt(len(locked), len(orders)), locked[-1][0]
