"""Addresses of the lists with the filters that a figure stands for: the one place that knows the lists' parameters."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlencode

from django.urls import reverse

DEVICES, SERVICES = "admin:devices_device_changelist", "admin:devices_deviceservice_changelist"
ORDERS, EXCEPTIONS = "admin:billing_order_changelist", "admin:billing_paymentexception_changelist"


def devices_in_state(state: str) -> str:
    """Devices whose service is in that state."""
    return _list(DEVICES, state=state)


def devices_online() -> str:
    """Devices that are online."""
    return _list(DEVICES, presence="online")


def services_ending_soon() -> str:
    """Active services that end within 30 days."""
    return _list(SERVICES, ends="30")


def services_ending(first: date, last: date) -> str:
    """Active services whose end lies on these days or between."""
    return _list(SERVICES, state="ACTIVE", ends_from=first.isoformat(), ends_to=last.isoformat())


def commands(kind: str) -> str:
    """Devices with a command that waits for them ("waiting"), or that failed within a week ("failed")."""
    return _list(DEVICES, command=kind)


def orders_paid(first: date, last: date) -> str:
    """Orders that were paid on these days or between."""
    return _list(ORDERS, paid_from=first.isoformat(), paid_to=last.isoformat())


def open_exceptions() -> str:
    """Money that waits for a person of these enterprises."""
    return _list(EXCEPTIONS, open="ours")


def _list(name: str, **filters: str) -> str:
    return f"{reverse(name)}?{urlencode(filters)}"
