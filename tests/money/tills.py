"""Six sellers, each with one account at one provider, and what the gateway's own books say of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from amp.foundation import clock
from billing.models import (
    BankPayout,
    BankReceipt,
    MerchantAccount,
    PaymentAttempt,
    SandboxRefund,
    SandboxTrade,
)
from billing.services.accounts import account_that_sells
from billing.services.offline import confirm_payout, confirm_receipt, record_payout, record_receipt
from billing.services.sandbox import Trouble, choose_refund_trouble, pay
from billing.services.sandbox_refunds import RefundTrouble
from catalog.models import ServiceRule
from devices.services.registration import DeviceRow, register_many
from tests.gateways import process
from tests.gateways.books import Course, Fault
from tests.gateways.process import Gateways
from tests.services.benches import KINDS, OPENID, REAL, RealBench
from tests.services.offline_bench import transfer_account
from tests.services.refunding import ANN, BOB
from tests.services.shop import NOW, Loopback, Shop, open_shop

PRICES = dict(zip(KINDS, (19_900, 9_990, 12_345, 101, 7_777, 31_000), strict=True))
"""No two sellers ask the same: money that lands in another's books shows."""
AT_GATEWAY = {
    "wechat-direct": (process.MCHID, ""),
    "wechat-partner": (process.MCHID, process.SUB_MCHID),
    "alipay-direct": (process.APP_ID, process.SELLER),
    "alipay-partner": (process.APP_ID, process.SUB_SELLER),
}
TROUBLES = {
    Fault.DUPLICATE: Trouble.TWICE,
    Fault.LATE: Trouble.DELAYED,
    Fault.DROPPED: Trouble.DROPPED,
    Fault.WRONG_AMOUNT: Trouble.WRONG_AMOUNT,
    Fault.FORGED: Trouble.FORGED,
    Fault.FOREIGN_KEY: Trouble.FORGED,
    Fault.SECOND_PAYMENT: Trouble.SECOND,
}

REFUNDS_GO = {
    Course.DONE: RefundTrouble.NONE,
    Course.PROCESSING: RefundTrouble.LATER,
    Course.FAILED: RefundTrouble.FAIL,
}
"""What is slow at the sandbox ends by itself at the second question."""


@dataclass
class Till(ABC):
    """One seller; amounts are minor units by currency."""

    kind: str
    shop: Shop
    account: MerchantAccount

    @property
    def price(self) -> int:
        """Of one device."""
        return PRICES[self.kind]

    def devices(self, count: int, *, prefix: str) -> list[int]:
        """New devices whose service can be bought before their trial (A12, A13)."""
        rows = [DeviceRow(f"{prefix}{number}", "", "", "") for number in range(count)]
        product, owner = self.shop.product, self.shop.enterprise
        made = register_many(product=product, enterprise=owner, rows=rows, actor=ANN, now=clock.now())
        return [device.device_id for device in made]

    @abstractmethod
    def pay(self, attempt: PaymentAttempt, fault: str = "") -> None:
        """The payer pays, or cheats; notices of it wait at the gateway or come at once, as the gateway does it."""

    @abstractmethod
    def received(self) -> Counter[str]:
        """What came in, by the gateway's books."""

    @abstractmethod
    def paid_back(self) -> Counter[str]:
        """What went back, by the gateway's books."""

    @abstractmethod
    def refunds_go(self, attempt: PaymentAttempt, course: Course) -> None:
        """Refunds of this payment go so from now on."""


@dataclass
class RealTill(Till):
    """WeChat Pay or Alipay, at the simulator's process."""

    gateways: Gateways

    def pay(self, attempt: PaymentAttempt, fault: str = "") -> None:
        attempt.refresh_from_db()
        signer = process.OTHER_MCHID if self.kind.startswith("wechat") else process.OTHER_APP_ID
        self.gateways.pay(attempt.code, fault=fault, signer=signer, payer=OPENID)

    def received(self) -> Counter[str]:
        sums: Counter[str] = Counter()
        for trade in self._trades():
            for paid in trade["transactions"]:
                sums[paid["currency"]] += paid["amount"]
        return sums

    def paid_back(self) -> Counter[str]:
        sums: Counter[str] = Counter()
        for trade in self._trades():
            for refund in trade["refunds"].values():
                if refund["course"] == Course.DONE:
                    sums[trade["transactions"][-1]["currency"]] += refund["amount"]
        return sums

    def refunds_go(self, attempt: PaymentAttempt, course: Course) -> None:
        self.gateways.say("refunds", course=course, number=attempt.number)

    def _trades(self) -> list[dict[str, object]]:
        own = AT_GATEWAY[self.kind]
        return [trade for trade in self.gateways.books() if (trade["merchant"], trade["seller"]) == own]


@dataclass
class SandboxTill(Till):
    """The sandbox, whose books are tables that no service of ours reads."""

    def pay(self, attempt: PaymentAttempt, fault: str = "") -> None:
        is_late = clock.now() >= attempt.expires_at
        trouble = Trouble.LATE if is_late else TROUBLES.get(Fault(fault), Trouble.DROPPED) if fault else Trouble.NONE
        pay(signed=attempt.code.rsplit("/", 1)[1], trouble=trouble, now=clock.now(), wall=clock.wall())
        if fault == Fault.WRONG_CURRENCY:
            self._trades().filter(number=attempt.number).update(currency="USD", notify_due_at=clock.wall())

    def received(self) -> Counter[str]:
        sums: Counter[str] = Counter()
        rows = self._trades().filter(status="PAID").values_list("currency", "amount", "second_amount")
        for currency, amount, second in rows:
            sums[currency] += amount + second
        return sums

    def paid_back(self) -> Counter[str]:
        sums: Counter[str] = Counter()
        done = SandboxRefund.objects.filter(trade__account=self.account, status="SUCCEEDED")
        for currency, amount in done.values_list("trade__currency", "amount"):
            sums[currency] += amount
        return sums

    def refunds_go(self, attempt: PaymentAttempt, course: Course) -> None:
        signed = attempt.code.rsplit("/", 1)[1]
        choose_refund_trouble(signed=signed, trouble=REFUNDS_GO[course], now=clock.now())

    def _trades(self) -> QuerySet[SandboxTrade]:
        rows: QuerySet[SandboxTrade] = SandboxTrade.objects.filter(account=self.account)
        return rows


@dataclass
class TransferTill(Till):
    """A bank account with two people, whose words are the books."""

    def pay(self, attempt: PaymentAttempt, fault: str = "") -> None:
        for _ in range(2 if fault == Fault.SECOND_PAYMENT else 1):
            receipt = record_receipt(
                attempt=attempt,
                amount=attempt.amount - (fault == Fault.WRONG_AMOUNT),
                currency="USD" if fault == Fault.WRONG_CURRENCY else attempt.currency,
                reference=f"BANK{BankReceipt.objects.count():06}",
                received_at=clock.now(),
                by=ANN,
                now=clock.now(),
            )
            for _click in range(2 if fault == Fault.DUPLICATE else 1):
                confirm_receipt(receipt=receipt, by=BOB, now=clock.now())

    def refunds_go(self, attempt: PaymentAttempt, course: Course) -> None:
        """As always: two people pay out."""

    def received(self) -> Counter[str]:
        return _summed(BankReceipt.objects.filter(account=self.account, confirmed_at__isnull=False))

    def paid_back(self) -> Counter[str]:
        currencies = dict(BankReceipt.objects.values_list("number", "currency"))
        sums: Counter[str] = Counter()
        done = BankPayout.objects.filter(account=self.account, confirmed_at__isnull=False)
        for number, amount in done.values_list("number", "amount"):
            sums[currencies[number]] += amount
        return sums


def open_tills(gateways: Gateways, wire: Loopback) -> dict[str, Till]:
    """All six, by the names of `tests.services.benches.KINDS`."""
    tills: dict[str, Till] = {}
    for kind in KINDS:
        shop = open_shop(name=kind.replace("-", "").title(), amount=PRICES[kind], devices=0)
        ServiceRule.objects.filter(product=shop.product).update(renewal_before_trial_end=True)
        if kind in REAL:
            tills[kind] = RealTill(kind, shop, RealBench(kind, gateways, wire).open(shop), gateways)
        elif kind == "sandbox":
            tills[kind] = SandboxTill(kind, shop, account_that_sells(shop.merchant, now=NOW))
        else:
            tills[kind] = TransferTill(kind, shop, transfer_account(shop))
    return tills


def people_pay_out(now: datetime) -> None:
    """What is to be paid back by bank is paid, and seen by another person."""
    for payout in BankPayout.objects.filter(recorded_at=None).order_by("pk"):
        made = record_payout(payout=payout, reference=f"OUT{payout.pk:06}", by=ANN, now=now)
        confirm_payout(payout=made, by=BOB, now=now)


def _summed(rows: QuerySet[BankReceipt]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for currency, amount in rows.values_list("currency", "amount"):
        sums[currency] += amount
    return sums
