"""People of the enterprise: factory returns begin new lives (A6), rests move on (A26), rules change (A5)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from amp.foundation.services.refusals import Refused
from catalog.services.rules import RuleDraft, current_rule
from devices.services.replanning import change_rule
from devices.services.restart import restart_service
from devices.services.transfer import transfer_service
from tests.simulation.clockwork import DAY, SECOND
from tests.simulation.traces import Found

if TYPE_CHECKING:
    from tests.simulation.run import Run

STAFF = "ann@example.com"


@dataclass
class Staff:
    """Who presses what, on which device."""

    run: Run

    def restart(self) -> str:
        """A device came back to the factory; most have stopped, some have not, and then it is refused."""
        run, services = self.run, self.run.checks.services
        stopped = [pk for pk in run.device_ids if services[pk].state == "EXPIRED"]
        pk = run.chance.choice(stopped if stopped and run.chance.random() < 0.7 else run.device_ids)
        now = run.clock.now()
        was = services[pk].state
        try:
            how = run.process(lambda: restart_service(device_id=pk, reason="came back", actor=STAFF, now=now))
        except Refused as refused:
            if was == "EXPIRED" and run.checks.rule.on:
                raise Found("who_has_stopped_may_begin_anew", f"device {pk}: {refused}") from refused
            return f"device {pk} that is {was}: refused: {refused}"
        run.met["restart"] += not how.died
        return f"device {pk} that is {was}{', died' if how.died else ''}"

    def transfer(self) -> str:
        """What is left of one device moves to another, most often to one that has nothing."""
        run, services = self.run, self.run.checks.services
        running = [pk for pk in run.device_ids if services[pk].state == "ACTIVE"]
        free = [pk for pk in run.device_ids if services[pk].state != "ACTIVE" and not services[pk].has_paid]
        if not running or len(run.device_ids) < 2:
            return "nothing is left anywhere"
        source = run.chance.choice(running)
        target = run.chance.choice(free or [pk for pk in run.device_ids if pk != source])
        ticket = uuid.UUID(int=run.chance.getrandbits(128), version=4)
        return self._transfer(source, target, ticket)

    def _transfer(self, source: int, target: int, ticket: uuid.UUID) -> str:
        """Whoever doesn't know how it ended presses again: the same ticket moves nothing twice (F33)."""
        run, now = self.run, self.run.clock.now()
        told = f"device {source} to {target}"
        try:
            how = run.process(
                lambda: transfer_service(
                    source_id=source, target_id=target, reason="replaced", actor=STAFF, now=now, ticket=ticket
                )
            )
        except Refused as refused:
            return f"{told}: refused: {refused}"
        if how.died:
            run.plan(2 * SECOND, f"again {told}", lambda: self._transfer(source, target, ticket))
            return f"{told}, died"
        run.met["transfer"] += 1
        return told

    def change_rule(self) -> str:
        """Other thresholds, an included period or none, renewal before the trial ends, another cache time."""
        chance, profile, rule = self.run.chance, self.run.profile, self.run.checks.rule
        services = self.run.checks.services.values()
        has_trials = any(each.state == "TRIAL" for each in services)
        has_counted = any(each.state == "PENDING" and each.online.spans() for each in services)
        start = chance.choice([timedelta(), profile.trial_end / 8, profile.trial_end / 4])
        wishes: list[dict[str, Any]] = [
            {"trial_start_seconds": start // SECOND},
            {"trial_end_seconds": profile.trial_end * chance.choice([0.5, 1, 1.5]) // SECOND},
            {"auto_subscribe": not rule.included},
            {"renewal_before_trial_end": not rule.early},
            {"cache_seconds": DAY * chance.choice([1, 7, 90]) // SECOND},
        ]
        # Thresholds change most often while somebody is on the way to them: that is where they can go wrong.
        weights = [5 if has_counted else 1, 5 if has_trials else 1, 2, 2, 1]
        return self._change_rule(chance.choices(wishes, weights)[0])

    def switch(self) -> str:
        """Paid mode goes off, with locked devices opened or not; some time later it is on again (A25)."""
        run = self.run
        if not run.checks.rule.on:
            return self.switch_on()
        run.plan(DAY * run.chance.uniform(0.01, 3), "switch on", self.switch_on)
        return self._change_rule({"paid_mode": False}, unlocks=run.chance.random() < 0.7)

    def switch_on(self) -> str:
        """Where it is off."""
        return "it is on" if self.run.checks.rule.on else self._change_rule({"paid_mode": True})

    def _change_rule(self, wished: dict[str, Any], *, unlocks: bool = True) -> str:
        run, now = self.run, self.run.clock.now()
        more = {"auto_plan": run.free_plan} if wished.get("auto_subscribe") else {}
        run.checks.rule.wished, run.checks.rule.unlocks = wished, unlocks
        product = run.free_plan.level.standard_of

        def changed() -> Any:
            draft = RuleDraft.of(current_rule(product.pk), **wished, **more)
            return change_rule(product=product, draft=draft, unlock=unlocks, actor=STAFF, now=now)

        try:
            how = run.process(changed)
        except Refused as refused:
            rule = run.checks.rule
            start = wished.get("trial_start_seconds", rule.start // SECOND)
            if start < wished.get("trial_end_seconds", rule.end // SECOND):
                raise Found("a_sound_rule_is_saved", f"{wished}: {refused}") from refused
            return f"{wished}: refused: {refused}"
        name = "switch" if "paid_mode" in wished else "change_rule"
        run.met[name] += not how.died
        return f"{wished}{', died' if how.died else ''}"
