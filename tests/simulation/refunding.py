"""People who give money back: one asks, another approves or refuses, and a gateway that has troubles of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from amp.foundation.services.refusals import Refused
from billing.models import Order, PaymentAttempt, Refund
from billing.refunds import Effect
from billing.services.refunds import approve_refund, reject_refund, request_refund
from billing.services.sandbox import choose_refund_trouble
from billing.services.sandbox_refunds import RefundTrouble
from tests.simulation.clockwork import HOUR, SECOND
from tests.simulation.money import Wish

if TYPE_CHECKING:
    from tests.simulation.run import Run

ASKS, ANOTHER = "ann@example.com", "bob@example.com"
SLOW = (RefundTrouble.LATER, RefundTrouble.LATER, RefundTrouble.FAIL, RefundTrouble.UNANSWERED)
TROUBLES = (*[RefundTrouble.NONE] * 4, *SLOW)


@dataclass
class Refunds:
    """Who gives back what, and when."""

    run: Run
    asked: int = 0

    def ask(self) -> str:
        """Some lines of a paid order, or all; all of their money or a part; and what becomes of the devices."""
        money, chance = self.run.checks.money, self.run.chance
        orders = sorted({line.order for line in money.lines.values()})
        if not orders:
            return "nothing was paid"
        order = chance.choice(orders[-20:])
        lines = [pk for pk, line in money.lines.items() if line.order == order]
        lines = sorted(chance.sample(lines, chance.choice([1, len(lines), chance.randint(1, len(lines))])))
        cost = sum(money.lines[pk].amount for pk in lines)
        amount = chance.choice([None, None, cost // 2, chance.randint(1, cost)])
        days = chance.choice([None, None, chance.randint(1, 40)]) if len(lines) == 1 else None
        effect = chance.choice(["KEEP", "SHORTEN", "SHORTEN", "STOP"])
        self.asked += 1
        self._trouble(order)
        return self._ask(order, Wish(effect, amount, tuple(lines), days, f"refund {self.asked}"))

    def _trouble(self, order: int) -> None:
        """How the gateway takes what is given back of this payment from now on."""
        code = PaymentAttempt.objects.filter(order=order, settles=True).values_list("code", flat=True).get()
        trouble = self.run.chance.choice(TROUBLES) if self.run.faulty else RefundTrouble.NONE
        choose_refund_trouble(signed=code.rsplit("/", 1)[1], trouble=trouble, now=self.run.clock.now())

    def _ask(self, order: int, wish: Wish) -> str:
        """Whoever doesn't know how it ended asks again, with the same key (F33)."""
        run = self.run
        now, run.checks.money.wishes[order] = run.clock.now(), wish
        try:
            how = run.process(
                lambda: request_refund(
                    order=Order.objects.get(pk=order), effect=Effect(wish.effect), reason="asked for", asked_by=ASKS,
                    amount=wish.amount, line_ids=wish.lines, days=wish.days, once_key=wish.once_key, now=now,
                )
            )  # fmt: skip
        except Refused as refused:
            return f"refused: {refused}"
        if how.died:
            run.plan(2 * SECOND, f"ask again for {wish.once_key}", lambda: self._ask(order, wish))
            return "died"
        self.decide_later()
        run.met["refund"] += 1
        return f"{how.value.amount} of order {order}, {wish}"

    def decide_later(self) -> None:
        """Somebody looks at what waits for a second person."""
        self.run.plan(HOUR * self.run.chance.uniform(0.1, 30), "decide on a refund", self.decide)

    def decide(self) -> str:
        """Approve or refuse, sometimes as the one who asked."""
        chance, now = self.run.chance, self.run.clock.now()
        waiting = Refund.objects.filter(status="REQUESTED").order_by("pk").first()
        if waiting is None:
            return "nothing waits"
        by = chance.choice([ASKS, ANOTHER, ANOTHER])
        rejects = chance.random() < 0.2
        try:
            how = self.run.process(
                lambda: (
                    reject_refund(refund=waiting, by=by, reason="no", now=now)
                    if rejects
                    else approve_refund(refund=waiting, by=by, now=now)
                )
            )
        except Refused as refused:
            self.decide_later()
            return f"refused: {refused}"
        self.decide_later()
        self.run.met["refund_decided"] += 1
        return f"{by} {'rejects' if rejects else 'approves'} {waiting.number}{', died' if how.died else ''}"
