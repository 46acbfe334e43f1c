"""What the result page says: how far a renewal has come, from the payment to the unlocked device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from amp.public.wording import long_day
from billing.models import LineStatus, Order, OrderLine, OrderStatus, PaymentAttempt
from billing.orders import ENDED_UNPAID, OPEN_ATTEMPTS, AttemptStatus
from devices.delivery import CommandKind, CommandStatus
from devices.models import Command, Device, Presence

PAID = {OrderStatus.PAID.value, OrderStatus.FULFILLED.value, OrderStatus.PARTIALLY_FULFILLED.value}
OVER = {status.value for status in ENDED_UNPAID}
OPEN = {status.value for status in OPEN_ATTEMPTS}


class Step(NamedTuple):
    """One step; `state` is done, now, wait or failed."""

    title: str
    detail: str
    state: str


class Sight(NamedTuple):
    """The rows that the page looks at; `unlock` is the newest unlock command since the order was opened."""

    order: Order
    line: OrderLine
    attempts: Sequence[PaymentAttempt]
    unlock: Command | None
    is_online: bool

    @property
    def is_paid(self) -> bool:
        """The money has arrived and is the order's."""
        return self.order.status in PAID

    @property
    def is_applied(self) -> bool:
        """The service was extended."""
        return self.line.status == LineStatus.APPLIED.value

    @property
    def has_failed(self) -> bool:
        """Paid, but the device could not be renewed (Q4)."""
        return self.line.status == LineStatus.UNAPPLIED.value

    @property
    def is_checked_by_staff(self) -> bool:
        """Money came that doesn't fit the order, such as a wrong amount."""
        return not self.is_paid and any(each.status == AttemptStatus.PAID.value for each in self.attempts)

    @property
    def open_attempt(self) -> PaymentAttempt | None:
        """The payment that can still be made."""
        return next((each for each in self.attempts if each.status in OPEN), None)

    @property
    def could_not_start(self) -> bool:
        """The gateway refused to take the payment."""
        newest = self.attempts[0].status if self.attempts else ""
        return newest == AttemptStatus.FAILED.value and self.open_attempt is None

    @property
    def is_unlocked(self) -> bool:
        """Nothing was to be unlocked, or the device has confirmed (A21)."""
        return self.unlock is None or self.unlock.status == CommandStatus.CONFIRMED.value


@dataclass(frozen=True, slots=True)
class Result:
    """The page's words; `version` changes whenever anything on it changes."""

    headline: str
    tone: str
    badge: str
    steps: tuple[Step, ...]
    is_moving: bool
    version: str


def look(order: Order, device: Device) -> Sight:
    """Read what the page is about: five small queries."""
    unlocks = Command.objects.filter(
        device=device, kind=CommandKind.UNLOCK.value, created_at__gte=order.paid_at or order.created_at
    )
    return Sight(
        order=order,
        line=OrderLine.objects.get(order=order, device=device),
        attempts=list(PaymentAttempt.objects.filter(order=order).order_by("-pk")),
        unlock=unlocks.order_by("-generation").first(),
        is_online=Presence.objects.filter(device=device, is_online=True).exists(),
    )


def result_of(sight: Sight, *, zone: ZoneInfo, mark: str = "") -> Result:
    """How far the order is, for its one device; `mark` is that of the panel beside it."""
    done = sight.is_applied and sight.is_unlocked
    headline, tone, badge = _headline(sight, done=done)
    return Result(
        headline=headline,
        tone=tone,
        badge=badge,
        steps=tuple(_steps(sight, zone)),
        is_moving=_is_moving(sight, done=done),
        version=".".join(
            [
                sight.order.status,
                sight.line.status,
                *(each.status for each in sight.attempts[:2]),
                sight.unlock.status if sight.unlock else "-",
                "1" if sight.is_online else "0",
                *([mark] if mark else []),
            ]
        ),
    )


def _is_moving(sight: Sight, *, done: bool) -> bool:
    if done or sight.has_failed or sight.order.status == OrderStatus.REFUNDED.value:
        return False
    if sight.is_paid:
        return True
    return sight.order.status not in OVER and not sight.could_not_start and not sight.is_checked_by_staff


def _headline(sight: Sight, *, done: bool) -> tuple[str, str, str]:
    if sight.order.status == OrderStatus.REFUNDED.value:
        return _("This payment was refunded"), "grey", _("Refunded")
    if sight.has_failed:
        return _("The device could not be renewed"), "red", _("Needs the seller")
    if done:
        return _("Your service is renewed"), "green", _("Done")
    if sight.is_applied:
        return _("Renewed, and about to unlock"), "blue", _("Unlocking")
    if sight.is_paid:
        return _("Payment received"), "blue", _("Renewing")
    return _unpaid_headline(sight)


def _unpaid_headline(sight: Sight) -> tuple[str, str, str]:
    if sight.is_checked_by_staff:
        return _("The seller checks your payment"), "amber", _("Being checked")
    if sight.order.status in OVER:
        return _("This payment is no longer open"), "grey", _("Not paid")
    if sight.could_not_start:
        return _("The payment could not be started"), "red", _("Not paid")
    return _("Waiting for your payment"), "amber", _("Not paid yet")


def _steps(sight: Sight, zone: ZoneInfo) -> list[Step]:
    steps = [_payment(sight), _extension(sight, zone)]
    return [*steps, _unlock(sight)] if sight.unlock else steps


def _payment(sight: Sight) -> Step:
    if sight.is_paid or sight.order.status == OrderStatus.REFUNDED.value:
        return Step(_("Payment confirmed"), "", "done")
    if sight.is_checked_by_staff:
        told = _("A payment arrived that differs from the order. The seller corrects it or pays it back.")
        return Step(_("Payment differs"), told, "failed")
    if sight.order.status in OVER:
        told = _("Nothing was charged. Go back to the device to start again.")
        return Step(_("Not paid"), told, "failed")
    if sight.could_not_start:
        told = _("The payment service did not accept it; nothing was charged. Try again in a moment.")
        return Step(_("Not started"), told, "failed")
    return Step(_("Payment"), _("This page goes on by itself as soon as the payment is confirmed."), "now")


def _extension(sight: Sight, zone: ZoneInfo) -> Step:
    if sight.is_applied and sight.line.ends_at:
        told = _("It now runs until %(end)s.") % {"end": long_day(sight.line.ends_at, zone)}
        return Step(_("Service extended"), told, "done")
    if sight.has_failed:
        told = _("Your money is on record. The seller has been told, and pays it back or puts it right.")
        return Step(_("Not extended"), told, "failed")
    return Step(_("Extend the service"), "", "now" if sight.is_paid else "wait")


def _unlock(sight: Sight) -> Step:
    if sight.is_unlocked:
        return Step(_("Device unlocked"), "", "done")
    if sight.unlock and sight.unlock.status == CommandStatus.FAILED.value:
        told = _("The device refuses to unlock for now. It is asked again; if it stays locked, ask the seller.")
        return Step(_("Unlock refused"), told, "now")
    if sight.is_online:
        return Step(_("Unlock on its way"), _("The device answers within seconds."), "now")
    told = _("The device is not connected. It unlocks by itself when it is next online. You may close this page.")
    return Step(_("Waits for the device"), told, "now")
