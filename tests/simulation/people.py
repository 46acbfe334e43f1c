"""Buyers and staff: who buys for which device, pays how, and what people of the enterprise do meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from amp.foundation.services.refusals import Refused
from billing.models import Order, OrderChannel, PaymentAttempt
from billing.services.attempts import start_attempt
from billing.services.ordering import DevicesNotEligible, open_order
from billing.services.sandbox import Trouble, pay
from devices.models import Command, Device
from devices.services.registration import terminate_device
from devices.services.staff_commands import resend_command
from tests.simulation.clockwork import MINUTE, SECOND

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

    def buy(self, ids: list[int] | None = None, *, pays_at: timedelta | None = None) -> str:
        """Choose devices and a plan, and scan the code; the money follows later, or never."""
        run, self.orders = self.run, self.orders + 1
        number = self.orders
        ids = ids or sorted(run.chance.sample(run.device_ids, run.chance.randint(1, min(3, len(run.device_ids)))))
        trouble = run.chance.choice(TROUBLES) if run.faulty else Trouble.NONE
        after = pays_at or MINUTE * run.chance.uniform(0.2, 40 if trouble is Trouble.LATE else 25)

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
            return f"refused: {type(refused).__name__}"
        if how.died:
            run.plan(2 * SECOND, f"buy again {number}", lambda: self._again(ids, after))
            return "died"
        attempt: PaymentAttempt = how.value
        if not run.happens("walks_away") or pays_at:
            run.plan(after, f"pay {number}", lambda: self._pay(attempt.pk, trouble))
        return f"order {attempt.order_id} for {ids}, {trouble.value or 'no trouble'}"

    def _again(self, ids: list[int], after: timedelta) -> str:
        return self.buy(ids, pays_at=after)

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
        ends_at = self.run.checks.services[pk].ends_at
        assert ends_at is not None
        return max(ends_at - self.run.clock.now(), MINUTE)

    def resend(self) -> str:
        """Staff press "send again" on a device's newest command (F54)."""
        pk = self.run.chance.choice(self.run.device_ids)
        command = Command.objects.filter(device_id=pk, slot="LOCK").order_by("generation").last()
        if command is None:
            return "nothing to send"
        now = self.run.clock.now()
        try:
            how = self.run.process(lambda: resend_command(command=command, actor=STAFF, now=now))
        except Refused as refused:
            return f"refused: {type(refused).__name__}"
        return f"device {pk}{' died' if how.died else ''}"

    def terminate(self) -> str:
        """A device's service ends for good (F36, F70)."""
        pk, now = self.run.chance.choice(self.run.device_ids), self.run.clock.now()
        device = Device.objects.get(pk=pk)
        how = self.run.process(lambda: terminate_device(device=device, actor=STAFF, now=now))
        return f"device {pk}{' died' if how.died else ''}"


def open_orders() -> int:
    """Orders that wait for anything but a person."""
    return Order.objects.filter(status__in=["PENDING", "PAID"], due_at__isnull=False).count()
