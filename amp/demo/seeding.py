"""The demo's data set: made by the product's own services on any empty database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from amp.demo.catalogue import Catalogue, build_catalogue
from amp.demo.fleet import STAR, Known, build_fleet
from amp.demo.history import History
from amp.demo.organisation import Login, Organisation, build_organisation
from amp.foundation.models import Enterprise, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.refusals import Refused

BEGINNING = timedelta(days=430)


class SeedRefused(Refused):
    """The data set can't be made here; nothing was changed."""


@dataclass(frozen=True)
class Seeded:
    """What was made. Secrets are in here and nowhere else: the database keeps hashes."""

    enterprises: dict[str, int]
    products: dict[str, dict[str, Any]]
    logins: list[dict[str, str]]
    devices: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "star": next(device for device in self.devices if device["key"] == STAR)}


def seed(*, now: datetime, wall: datetime, progress: Callable[[float], None] = lambda _part: None) -> Seeded:
    """Make the data set: 14 months that end at `now`. Raises SeedRefused in production and on a database in use.

    Many transactions: a run that is interrupted leaves a database that must be emptied.
    """
    if settings.IS_PRODUCTION:
        raise SeedRefused.because(_("Production gets no demo data. Use AMP_MODE=test or demo, on another database."))
    with system_scope():
        if Enterprise.objects.exists() or User.objects.exists():
            raise SeedRefused.because(_("This database is in use. The demo data needs an empty one."))
        return _made(now, wall, progress)


def _made(now: datetime, wall: datetime, progress: Callable[[float], None]) -> Seeded:
    since = now - BEGINNING
    organisation = build_organisation(now=since)
    catalogue = build_catalogue(organisation, now=since + timedelta(hours=1))
    history = History(wall=wall, progress=progress)
    staff = User.objects.get(email="finance@greenfield.example")
    known = build_fleet(catalogue, organisation, staff, history=history, now=now)
    history.play(since=since + timedelta(days=1), until=now - timedelta(seconds=5))
    return _told(organisation, catalogue, known)


def _told(organisation: Organisation, catalogue: Catalogue, known: list[Known]) -> Seeded:
    enterprises = (organisation.greenfield, organisation.north, organisation.bluewave)
    return Seeded(
        enterprises={enterprise.name: enterprise.pk for enterprise in enterprises},
        products={
            line.product.key: {
                "id": line.product.pk,
                "name": line.product.name,
                "readings": line.readings,
                "plans": {str(plan.months): plan.pk for plan in (line.month, line.year)},
            }
            for line in catalogue.lines
        },
        logins=[_login(login) for login in organisation.logins],
        devices=[_device(device) for device in known],
    )


def _login(login: Login) -> dict[str, str]:
    return {**login._asdict(), "role": login.role.value}


def _device(device: Known) -> dict[str, Any]:
    return {
        **device._asdict(),
        "mqtt_user": f"{device.product_key}/{device.key}",
        "renewal_url": f"{settings.BASE_URL}/r/{device.renewal_token}",
    }
