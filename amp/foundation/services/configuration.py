"""What the platform's administrators decide for everybody, while it runs (G5)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.models import Event, PlatformConfiguration
from amp.foundation.money import MAX_MINOR
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.refusals import Refused

ONLY = 1
SUBJECT = "platform:configuration"
LEAST_MINUTES, MOST_MINUTES = 5, 1_440


LOCK_BOUNDS = {"lock_settle_minutes": (0, 1_440), "lock_allowance": (1, 1_000_000), "lock_allowance_percent": (0, 100)}
"""Least and most of each limit of P8."""


class LockLimits(NamedTuple):
    """The brakes of P8: minutes that presence settles after an outage of the bridge (0: no brake), and how many locks
    of an enterprise go in an hour without a person: the larger of a number and a percentage of its devices."""

    settle_minutes: int
    allowance: int
    percent: int


class AlertedService(StrEnum):
    """Services whose end can be announced; each has its own switch (N1, N3)."""

    SIM = "sim"
    RTK = "rtk"
    DEVICE = "device"


class ConfigurationRefused(Refused):
    """The value isn't one that the platform can run with."""


def configuration() -> PlatformConfiguration:
    """The decisions that hold; an unsaved row of defaults where nobody has decided anything."""
    return PlatformConfiguration.objects.filter(pk=ONLY).first() or PlatformConfiguration(pk=ONLY)


def order_minutes() -> int:
    """How long an unpaid order waits for its money (Q2): as configured, else as installed."""
    return configuration().order_minutes or int(settings.ORDER_MINUTES)


def refund_threshold() -> int:
    """Minor units up to which one person refunds alone: as configured, else as installed."""
    decided = configuration().refund_threshold
    return int(settings.REFUND_THRESHOLD) if decided is None else decided


def lock_limits() -> LockLimits:
    """As configured, else as installed; one query."""
    known = configuration()
    decided = (known.lock_settle_minutes, known.lock_allowance, known.lock_allowance_percent)
    installed = (settings.LOCK_SETTLE_MINUTES, settings.LOCK_ALLOWANCE, settings.LOCK_ALLOWANCE_PERCENT)
    return LockLimits(*(given if own is None else own for own, given in zip(decided, installed, strict=True)))


def expiry_alerts_since(service: AlertedService) -> datetime | None:
    """Since when alerts of that service are on; None while they are off, as they are by default (N1, N5)."""
    since: datetime | None = getattr(configuration(), f"{service.value}_alerts_since")
    return since


def switched_by(service: AlertedService) -> str:
    """Who switched alerts of that service last; "" where nobody has. One query."""
    name = f"{service.value}_alerts_since"
    changes = Event.objects.filter(subject=SUBJECT, kind="platform.configured", after__has_key=name)
    return changes.order_by("-happened_at", "-id").values_list("actor", flat=True).first() or ""


def set_order_minutes(*, minutes: int, actor: str, now: datetime) -> None:
    """For orders that are made from now on. Raises ConfigurationRefused."""
    if not LEAST_MINUTES <= minutes <= MOST_MINUTES:
        sentence = _("Choose between %(least)d and %(most)d minutes.") % {"least": LEAST_MINUTES, "most": MOST_MINUTES}
        raise ConfigurationRefused.because(sentence, "order_minutes")
    with transaction.atomic():
        row = _locked()
        _change(row, "order_minutes", minutes, before=order_minutes(), told=minutes, actor=actor, now=now)


def set_refund_threshold(*, minor: int, actor: str, now: datetime) -> None:
    """For refunds that are asked for from now on; 0 asks for two people always. Raises ConfigurationRefused."""
    if not 0 <= minor <= MAX_MINOR:
        raise ConfigurationRefused.because(_("Type an amount of at least 0."), "refund_threshold")
    with transaction.atomic():
        row = _locked()
        _change(row, "refund_threshold", minor, before=refund_threshold(), told=minor, actor=actor, now=now)


def set_lock_limits(*, limits: LockLimits, actor: str, now: datetime) -> None:
    """For locks that are ordered from now on (P8). Raises ConfigurationRefused."""
    values = dict(zip(LOCK_BOUNDS, limits, strict=True))
    for name, (least, most) in LOCK_BOUNDS.items():
        if not least <= values[name] <= most:
            sentence = _("Choose a number from %(least)d to %(most)d.") % {"least": least, "most": most}
            raise ConfigurationRefused.because(sentence, name)
    with transaction.atomic():
        row, before = _locked(), dict(zip(LOCK_BOUNDS, lock_limits(), strict=True))
        for name, value in values.items():
            if value != before[name]:
                _change(row, name, value, before=before[name], told=value, actor=actor, now=now)


def switch_expiry_alerts(*, service: AlertedService, on: bool, actor: str, now: datetime) -> None:
    """On keeps the moment: nothing that lies before it is announced (N5). Switching on what is on changes nothing."""
    name = f"{service.value}_alerts_since"
    with transaction.atomic():
        row = _locked()
        since = getattr(row, name)
        if on != (since is not None):
            _change(
                row,
                name,
                now if on else None,
                before=_told(since),
                told=_told(now) if on else None,
                actor=actor,
                now=now,
            )


def _locked() -> PlatformConfiguration:
    PlatformConfiguration.objects.bulk_create([PlatformConfiguration(pk=ONLY)], ignore_conflicts=True)
    return PlatformConfiguration.objects.select_for_update().get(pk=ONLY)


def _change(
    row: PlatformConfiguration, name: str, value: Any, *, before: Any, told: Any, actor: str, now: datetime
) -> None:
    if value == getattr(row, name):
        return
    setattr(row, name, value)
    row.changed_at = now
    row.save()
    draft = EventDraft("platform.configured", SUBJECT, None, now, actor, before={name: before}, after={name: told})
    record_event(draft, now=now)


def _told(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
