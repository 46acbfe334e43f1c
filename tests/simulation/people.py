"""Buyers and staff: who buys for which device, pays how, and what people of the enterprise do meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from amp.foundation.services.refusals import Refused
from billing.models import Order, OrderChannel, OrderLine, PaymentAttempt
from billing.services.attempts import start_attempt
from billing.services.ordering import DevicesNotEligible, open_order
from billing.services.sandbox import Trouble, pay
from catalog.models import Plan
from catalog.services.plans import PlanTerms, edit_plan, publish_plan
from devices.models import Command, Device, LockHold
from devices.services.lock_releases import cancel_held_locks, release_held_locks
from devices.services.registration import terminate_device
from devices.services.staff_commands import resend_command
from tests.simulation.clockwork import MINUTE, SECOND
from tests.simulation.traces import Found

if TYPE_CHECKING:
    from tests.simulation.run import Run

STAFF = "ann@example.com"
TROUBLES = (
    *[Trouble.NONE] * 6,
    *(Trouble.TWICE, Trouble.DROPPED, Trouble.DELAYED, Trouble.UNANSWERED, Trouble.SECOND, Trouble.LATE),
    *(Trouble.WRONG_AMOUNT, Trouble.FORGED),
)


@dataclass
class People:
    """Everybody who isn't a device."""

    run: Run
    orders: int = 0
    # What each order must cost and how many months each of its devices gets: what was on sale when it was opened (E3).
    sold: dict[int, tuple[int, int]] = field(default_factory=dict)

    def buy(self, ids: list[int] | None = None, *, pays_at: timedelta | None = None) -> str:
        """Choose devices and a plan, and scan the code; the money follows later, or never."""
        run, self.orders = self.run, self.orders + 1
        number = self.orders
        ids = ids or self._chosen()
        trouble = run.chance.choice(TROUBLES) if run.faulty else Trouble.NONE
        # Most pay at once and some at the last moment, or after it.
        after = pays_at or MINUTE * 0.2 * (200 if trouble is Trouble.LATE else 125) ** run.chance.random()

        def ordered() -> PaymentAttempt:
            now = run.clock.now()
            order = open_order(
                device_ids=ids, plan=run.plan_on_sale, channel=OrderChannel.STAFF, created_by=STAFF,
                once_key=f"click {number}", now=now, continue_without_refused=True,
            )  # fmt: skip
            return start_attempt(order=order, now=now, wall=now)

        try:
            how = run.process(ordered)
        except (DevicesNotEligible, Refused) as refused:
            self._is_offered(ids, [], refused)
            return f"refused: {type(refused).__name__}"
        if how.died:
            run.plan(2 * SECOND, f"buy again {number}", lambda: self._again(ids, after))
            return "died"
        attempt: PaymentAttempt = how.value
        plan = run.plan_on_sale
        sold = list(OrderLine.objects.filter(order=attempt.order_id).values_list("device_id", flat=True))
        self.sold[attempt.order_id] = (plan.amount * len(sold), plan.months)
        if not how.twin:
            self._is_offered(ids, sold, None)
        if "priced_anew" in run.profile.faults and run.happens("priced_anew"):
            run.plan(after / 2, "another price", self.edit_plan)
        if not run.happens("walks_away") or pays_at:
            run.plan(after, f"pay {number}", lambda: self._pay(attempt.pk, trouble))
        return f"order {attempt.order_id} for {ids}, {trouble.value or 'no trouble'}"

    def _is_offered(self, ids: list[int], sold: list[int], refused: Exception | None) -> None:
        """Who has paid or had a trial may renew; who hasn't, where the rule says so; nobody while it is off (E4)."""
        rule, now = self.run.checks.rule, self.run.clock.now()
        for pk in ids:
            service = self.run.checks.services[pk]
            due, is_young = service.due_at(), service.state in {"PENDING", "TRIAL"}
            if (due and due <= now) or (is_young and service.uncertain):
                continue
            may = rule.on and service.state != "TERMINATED" and (rule.early or not is_young)
            if may != (pk in sold):
                raise Found("who_may_renew_is_offered_it", f"device {pk} is {service.state}, {rule}, {sold}, {refused}")

    def _chosen(self) -> list[int]:
        """Some devices, or all of a street, or everybody's: what the plan's period ends for at once (P8)."""
        run = self.run
        chosen = run.chance.choices([1, 3, run.profile.street, run.profile.devices], [4, 4, 4, 1])[0]
        if chosen == run.profile.street > 3:
            return [each.device_id for each in run.chance.choice(run.streets)]
        most = min(chosen, len(run.device_ids))
        return sorted(run.chance.sample(run.device_ids, most if most > 3 else run.chance.randint(1, most)))

    def _again(self, ids: list[int], after: timedelta) -> str:
        return self.buy(ids, pays_at=after)

    def edit_plan(self) -> str:
        """Another price and another period, while codes of the old version are still open (E3)."""
        run, now = self.run, self.run.clock.now()
        old, chance = run.plan_on_sale, run.chance
        terms = PlanTerms(
            merchant=old.merchant, name=old.name, amount=chance.randint(90, 300) * 100, currency=old.currency,
            months=chance.choice([1, 1, run.profile.months, 2]), sale_from=None, sale_until=None,
        )  # fmt: skip

        def edited() -> Plan:
            return publish_plan(plan=edit_plan(plan=old, actor=STAFF, now=now, **terms), actor=STAFF, now=now)

        how = run.process(edited)
        run.plan_on_sale = Plan.objects.filter(family=old.family, status="PUBLISHED").get()
        return f"{run.plan_on_sale.amount} for {run.plan_on_sale.months} months{', died' if how.died else ''}"

    def _pay(self, attempt_id: int, trouble: Trouble) -> str:
        attempt = PaymentAttempt.objects.get(pk=attempt_id)
        if not attempt.code:
            return "no code"
        now, signed = self.run.clock.now(), attempt.code.rsplit("/", 1)[1]
        try:
            how = self.run.process(lambda: pay(signed=signed, trouble=trouble, now=now, wall=now))
        except Refused as refused:
            return f"refused: {type(refused).__name__}"
        return f"order {attempt.order_id} {'died' if how.died else trouble.value or 'paid'}"

    def buy_at_the_end(self) -> str:
        """Somebody pays in the very moment in which the service ends (A16, A18)."""
        run = self.run
        ends = [(service.ends_at, pk) for pk, service in run.checks.services.items() if service.state == "ACTIVE"]
        if not ends:
            return "nobody"
        ends_at, pk = run.chance.choice(sorted(ends))  # type: ignore[type-var]
        before = ends_at - run.clock.now() - 5 * MINUTE
        if before > timedelta():
            run.plan(before, "buy at the end", lambda: self.buy([pk], pays_at=self._until_end(pk)))
        return f"device {pk}"

    def _until_end(self, pk: int) -> timedelta:
        """Where the service has begun anew meanwhile (A6), or was given back, nothing ends: then soon."""
        ends_at = self.run.checks.services[pk].ends_at
        return max(ends_at - self.run.clock.now(), MINUTE) if ends_at else MINUTE

    def resend(self) -> str:
        """Staff press "send again" on a device's newest command (F54)."""
        pk = self.run.chance.choice(self.run.device_ids)
        command = Command.objects.filter(device_id=pk, slot="LOCK").order_by("generation").last()
        if command is None:
            return "nothing to send"
        now = self.run.clock.now()
        self.run.checks.brake(pk).excuse(pk)
        try:
            how = self.run.process(lambda: resend_command(command=command, actor=STAFF, now=now))
        except Refused as refused:
            return f"refused: {type(refused).__name__}"
        return f"device {pk}{' died' if how.died else ''}"

    def decide_hold(self) -> str:
        """Somebody looks at the LOCKs that a brake holds, and lets them go or takes them back (P8)."""
        hold, now = LockHold.objects.filter(status="HOLDING").order_by("pk").first(), self.run.clock.now()
        if hold is None:
            return "nothing is held"
        decide = self.run.chance.choice([release_held_locks, release_held_locks, cancel_held_locks])
        how = self.run.process(lambda: decide(hold=hold, actor=STAFF, now=now))
        self.run.checks.brakes[hold.enterprise_id].confirm()
        self.run.met["held"] += 1
        return f"{decide.__name__}: {'died' if how.died else how.value}"

    def terminate(self) -> str:
        """A device's service ends for good (F36, F70)."""
        pk, now = self.run.chance.choice(self.run.device_ids), self.run.clock.now()
        device = Device.objects.get(pk=pk)
        how = self.run.process(lambda: terminate_device(device=device, actor=STAFF, now=now))
        return f"device {pk}{' died' if how.died else ''}"


def open_orders() -> int:
    """Orders that wait for anything but a person."""
    return Order.objects.filter(status__in=["PENDING", "PAID"], due_at__isnull=False).count()
