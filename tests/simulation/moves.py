"""What people do to the time of devices, as the spec has it: new lives (A6) and rests that move to others (A26)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tests.simulation.model import Service
from tests.simulation.money import Money
from tests.simulation.reading import Event
from tests.simulation.traces import Found


class Rest(NamedTuple):
    """What one device gave and another one has still to get."""

    given: tuple[datetime, bool]
    at: datetime
    source_last_at: datetime


@dataclass
class Moves:
    """`rests` by the transfer's ticket: both sides are recorded together, so between two steps there is none."""

    services: dict[int, Service]
    money: Money
    rests: dict[str, Rest] = field(default_factory=dict)

    def restart(self, event: Event, pk: int) -> None:
        """Refused while time remains; what was paid in the old life is none of the new one's (A6)."""
        service = self.services[pk]
        if service.state in {"ACTIVE", "TERMINATED"} or not service.rule.on:
            raise Found("a_life_ends_after_its_time", f"device {pk} is {service.state} until {service.ends_at}")
        service.restart(event.noticed_at)
        self._spare(pk)

    def transfer(self, event: Event, pk: int) -> None:
        """One side of it: the source first."""
        service, ticket = self.services[pk], event.after["transfer"]
        if event.kind == "device_service.transferred_out":
            self._give(event, pk, service, ticket)
            return
        rest = self.rests.pop(ticket, None)
        if rest is None or service.state in {"ACTIVE", "TERMINATED"} or service.has_paid:
            told = f"device {pk} is {service.state}, has paid: {service.has_paid}, gets {rest}"
            raise Found("a_rest_moves_to_who_has_none", told)
        at = max(event.noticed_at, rest.source_last_at, service.last_at)
        if not rest.at == event.happened_at == at:
            raise Found(
                "a_rest_moves_at_one_moment", f"device {pk} got at {event.happened_at}, given at {rest.at}, {at}"
            )
        service.take_rest(rest.given, at=at, now=event.noticed_at)

    def is_done(self) -> None:
        """No time is lost or made."""
        if self.rests:
            raise Found("no_time_is_lost_on_the_way", str(self.rests))

    def _give(self, event: Event, pk: int, service: Service, ticket: str) -> None:
        runs = service.state == "ACTIVE" and service.rule.on and service.ends_at is not None
        if not runs or service.ends_at <= event.happened_at:
            raise Found("only_what_is_left_moves", f"device {pk} is {service.state} until {service.ends_at}")
        last_at = service.last_at
        self.rests[ticket] = Rest(service.give_rest(event.happened_at), event.happened_at, last_at)
        self._spare(pk)

    def _spare(self, pk: int) -> None:
        """A refund of what was paid until now takes no time from what comes."""
        for line in self.money.of_device(pk):
            line.spared = True
