"""The rule of the product as people have set it, from the spec alone (A1–A5, A8–A13): written from nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.clockwork import SECOND
from tests.simulation.reading import Event
from tests.simulation.traces import Found


@dataclass
class Rule:
    """Thresholds are online time; `since`: new ones move devices from then on, never in the past (R8).

    `included` is the months of the plan that auto-subscription gives, None where it is off. `wished` is what somebody
    asked for last, in the product's names, and `unlocks` whether locked devices are opened where paid mode goes off.
    """

    start: timedelta
    end: timedelta
    since: datetime
    included: int | None = None
    early: bool = False
    on: bool = True
    unlocks: bool = True
    included_months: int = 1
    wished: dict[str, Any] = field(default_factory=dict)

    def save(self, event: Event) -> None:
        """A change is in force: what was wished, and nothing else."""
        if any(event.after[name] != value for name, value in self.wished.items()):
            raise Found("a_rule_is_as_it_was_saved", f"{event.after}, wished {self.wished}")
        before = self.start, self.end, self.on
        self.on = self.wished.get("paid_mode", self.on)
        self.start = SECOND * self.wished.get("trial_start_seconds", self.start // SECOND)
        self.end = SECOND * self.wished.get("trial_end_seconds", self.end // SECOND)
        self.early = self.wished.get("renewal_before_trial_end", self.early)
        if "auto_subscribe" in self.wished:
            self.included = self.included_months if self.wished["auto_subscribe"] else None
        if before != (self.start, self.end, self.on):
            self.since = event.noticed_at
