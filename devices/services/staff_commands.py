"""What people may do to a command: send it again, or cancel it (F54)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.refusals import Refused
from amp.foundation.wakeups import wake
from devices.delivery import CommandKind, CommandStatus, is_held, released
from devices.lifecycle import State
from devices.models import Command, CommandSlot, DeviceService
from devices.services.command_rows import locked_rows, store_released, store_rows, told
from devices.services.commands import DISPATCH, CommandOrder, cancel_commands, order_commands


class CommandRefused(Refused):
    """This command can't be sent again or cancelled as it stands; nothing was changed."""


@transaction.atomic
def resend_command(*, command: Command, actor: str, now: datetime) -> None:
    """Send it now if it waits; if it is over, order the same once more, as a new generation. Raises CommandRefused.

    Only the newest command of a device can be sent again, so nobody revives a lock that a payment has undone (A22).
    """
    service = DeviceService.objects.select_for_update().get(pk=command.device_id)
    locked = Command.objects.select_for_update().get(pk=command.pk)
    _refuse_resend(locked, service)
    if locked.status == CommandStatus.PENDING.value:
        _hasten(locked, now)
        after = told(CommandKind(locked.kind), locked.generation, locked.ticket, attempts=locked.attempts)
        subject = f"device:{locked.device_id}"
        record_event(EventDraft("command.resent", subject, locked.enterprise_id, now, actor, after=after), now=now)
        wake(DISPATCH)
        return
    service.generation += 1
    service.save(update_fields=["generation"])
    order = CommandOrder(
        device_id=service.device_id,
        enterprise_id=service.enterprise_id,
        product_id=service.product_id,
        kind=CommandKind(locked.kind),
        generation=service.generation,
    )
    order_commands([order], now=now, actor=actor)


@transaction.atomic
def cancel_command(*, command: Command, actor: str, now: datetime) -> None:
    """End a command that still waits or is on its way. Raises CommandRefused where it is over already."""
    DeviceService.objects.select_for_update().get(pk=command.device_id)
    locked = Command.objects.select_for_update().get(pk=command.pk)
    if not cancel_commands([locked.device_id], actor=actor, now=now, only=locked.pk):
        raise CommandRefused.because(_("This command is over; there is nothing to cancel. Reload the page."))


def _hasten(command: Command, now: datetime) -> None:
    """Due now, unless an older command may still be on its way: that one has its 5 s (R3).

    What a person orders for one device no brake holds (P8).
    """
    [row] = locked_rows(Command.objects.filter(pk=command.pk))
    if row.standing.hold_id:
        store_released([row._replace(standing=released(row.standing, is_online=True, now=now))])
    elif not is_held(row.standing, now):
        store_rows([row._replace(standing=row.standing._replace(due_at=now))])


def _refuse_resend(command: Command, service: DeviceService) -> None:
    if service.state == State.TERMINATED.value:
        raise CommandRefused.because(_("This device is terminated; it gets no commands."))
    if command.slot != CommandSlot.LOCK.value:
        raise CommandRefused.because(_("A notice goes out by itself, until the next one takes its place."))
    if command.generation != service.generation or command.status == CommandStatus.SUPERSEDED.value:
        raise CommandRefused.because(_("A newer command replaced this one. Send the newest again instead."))
    if command.status == CommandStatus.SENT.value:
        raise CommandRefused.because(_("This command is on its way. Wait a few seconds for the device's answer."))
