"""What must be true once nothing goes wrong any more: locks are as services say, and every notice came once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from alerts.models import Notice
from devices.models import Command, Presence

if TYPE_CHECKING:
    from tests.simulation.run import Run

OVER = {"STALE", "FAILED", "CANCELLED"}


def devices_at_the_end(run: Run) -> Iterator[tuple[str, str]]:
    """A paid device is open, a stopped one locked unless its cache time passed (A22, A23); online times are unions."""
    now = run.clock.now()
    for gadget in run.gadgets:
        service = run.checks.services[gadget.device_id]
        newest = Command.objects.filter(device_id=gadget.device_id, slot="LOCK").order_by("generation").last()
        how = f"{gadget.key} is {service.state}, {'locked' if gadget.locked else 'open'}, last command " + (
            f"{newest.kind} {newest.status}" if newest else "none"
        )
        if service.state == "ACTIVE" and gadget.locked:
            yield "a_paid_device_is_open", how
        is_over = newest is None or newest.status in OVER or newest.hold_id
        if service.state == "EXPIRED" and not gadget.locked and not is_over and not gadget.has_forgotten:
            yield "a_stopped_device_is_locked", how
        is_open_again = service.state in {"PENDING", "TRIAL"} and service.wants_lock is False
        if is_open_again and gadget.locked and not is_over and not gadget.has_forgotten:
            yield "a_new_life_begins_open", how
        presence = Presence.objects.get(pk=gadget.device_id)
        open_for = now - presence.open_since if presence.open_since else None
        total = presence.counted + (open_for.total_seconds() * 1e6 if open_for else 0)
        expected = service.online.total(now).total_seconds() * 1e6
        if not service.uncertain and service.state != "TERMINATED" and abs(total - expected) > 1:
            yield (
                "online_time_is_the_union",
                f"{gadget.key} counts {total / 6e7:.2f} min, should be {expected / 6e7:.2f}",
            )


def notices_at_the_end(run: Run) -> Iterator[tuple[str, str]]:
    """Each notice was written when its moment had come, once, and the most urgent one went out (N4, N5)."""
    rows = Notice.objects.filter(channel="TSL", service="DEVICE").order_by("pk")
    found = {(row.device_id, row.ends_at, row.days): row.status for row in rows}
    for pk, service in run.checks.services.items():
        for (ends_at, days), went in service.told.items():
            status = found.pop((pk, ends_at, days), None)
            name = f"device {pk}, {days} days before {ends_at}"
            if went is not None and status is None:
                yield "no_notice_is_lost", name
            if went is not None and went != (status == "HANDED_OVER"):
                yield "the_most_urgent_notice_goes_out", f"{name} is {status}"
    for (pk, ends_at, days), status in found.items():
        yield "no_notice_is_made_up", f"device {pk}, {days} days before {ends_at} is {status}"
