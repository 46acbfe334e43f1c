"""The overview: numbers that somebody would act on, each a link to the rows behind it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Q
from django.urls import reverse
from django.utils.translation import gettext as _

from amp.foundation import clock
from billing.models import Order, PaymentException
from devices.models import Command, Device, DeviceService, Presence
from devices.models.service import STATE_CHOICES

STATES = ("PENDING", "TRIAL", "ACTIVE", "EXPIRED")


class Tile(NamedTuple):
    """One number; `tone` is a colour with a meaning where it wants attention."""

    title: str
    number: int
    note: str
    url: str
    tone: str = ""


def overview() -> dict[str, Any]:
    """Context of the first page, in the scope of the user: six queries, whatever the number of devices."""
    return {"tiles": _tiles(), "states": _states()}


def _tiles() -> list[Tile]:
    now = clock.now()
    ending = DeviceService.objects.paid().filter(state="ACTIVE", ends_at__gt=now, ends_at__lte=now + timedelta(days=30))
    commands = Command.objects.aggregate(
        waiting=Count("pk", filter=Q(status__in=["PENDING", "SENT"])),
        failed=Count("pk", filter=Q(status="FAILED", closed_at__gt=now - timedelta(days=7))),
    )
    exceptions = PaymentException.objects.filter(resolved_at=None).count()
    services = reverse("admin:devices_deviceservice_changelist")
    online = Presence.objects.filter(is_online=True).count()
    unpaid = Order.objects.filter(status="PENDING").count()
    soon = ending.count()
    return [
        Tile(_("Online now"), online, _("devices"), f"{reverse('admin:devices_device_changelist')}?presence=online"),
        Tile(_("End within 30 days"), soon, _("services"), f"{services}?ends=30", "amber" if soon else ""),
        Tile(
            _("Commands waiting"),
            commands["waiting"],
            _("%(n)d failed in 7 days") % {"n": commands["failed"]},
            f"{services}?lock=differs",
            "red" if commands["failed"] else "",
        ),
        Tile(
            _("Payment exceptions"),
            exceptions,
            _("%(n)d orders wait for payment") % {"n": unpaid},
            reverse("admin:billing_paymentexception_changelist"),
            "red" if exceptions else "",
        ),
    ]


def _states() -> list[dict[str, Any]]:
    found = dict(DeviceService.objects.order_by().values_list("state").annotate(number=Count("pk")))
    words = dict(STATE_CHOICES)
    total = sum(found.get(state, 0) for state in STATES)
    address = reverse("admin:devices_device_changelist")
    return (
        [
            {
                "state": state,
                "word": words[state],
                "number": found.get(state, 0),
                "share": f"{100 * found.get(state, 0) / total:.2f}" if total else "0",
                "url": f"{address}?state={state}",
            }
            for state in STATES
        ]
        if total or Device.objects.exists()
        else []
    )
