"""Who is in the demo: the platform, two makers of devices, a dealer, and one person for each role."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from amp.foundation.models import Enterprise, Merchant, Role, User
from amp.foundation.services.enterprises import create_enterprise, set_merchant
from amp.foundation.services.members import add_member

ACTOR = "demo"
PASSWORD = "try-amp-2026"  # noqa: S105 (printed on the terminal; the demo listens on loopback only)


class Login(NamedTuple):
    """Somebody who can sign in."""

    role: Role
    email: str
    password: str
    enterprise: str


class Organisation(NamedTuple):
    """The enterprises, whom they are paid through, and the logins."""

    greenfield: Enterprise
    north: Enterprise
    bluewave: Enterprise
    merchants: dict[int, Merchant]
    logins: list[Login]

    def merchant_of(self, enterprise: Enterprise) -> Merchant:
        """The verified merchant of this very enterprise."""
        return self.merchants[enterprise.pk]


PEOPLE = (
    (Role.PLATFORM_ADMINISTRATOR, "platform", "root@amp.example", "Robin Platt"),
    (Role.ACCOUNT_MANAGER, "platform", "account@amp.example", "Alex Quinn"),
    (Role.ENTERPRISE_ADMINISTRATOR, "greenfield", "admin@greenfield.example", "Lin Mei"),
    (Role.OPERATOR, "greenfield", "operator@greenfield.example", "Chen Bo"),
    (Role.FINANCE, "greenfield", "finance@greenfield.example", "Zhao Yan"),
    (Role.READ_ONLY, "greenfield", "reader@greenfield.example", "Sun Li"),
    (Role.ENTERPRISE_ADMINISTRATOR, "north", "admin@north.example", "Wang Fang"),
    (Role.ENTERPRISE_ADMINISTRATOR, "bluewave", "admin@bluewave.example", "Jonas Petersen"),
)
MERCHANTS = (
    ("greenfield", "Greenfield Robotics Co., Ltd.", "1900008431"),
    ("north", "Greenfield North Dealers", "1900012277"),
    ("bluewave", "BlueWave Marine GmbH", "BW-2100-4471"),
)


def build_organisation(*, now: datetime) -> Organisation:
    """Make all of it at `now`, through the services that staff use."""
    platform = _enterprise("AMP Platform", None, "UTC", "USD", now)
    greenfield = _enterprise("Greenfield Robotics", platform, "Asia/Shanghai", "CNY", now)
    places = {
        "platform": platform,
        "greenfield": greenfield,
        "north": _enterprise("Greenfield North", greenfield, "Asia/Shanghai", "CNY", now),
        "bluewave": _enterprise("BlueWave Marine", platform, "Europe/Berlin", "EUR", now),
    }
    people = {place: _member(places[place], role, email, name, now) for role, place, email, name in reversed(PEOPLE)}
    merchants = {
        places[place].pk: set_merchant(
            enterprise=places[place], name=name, merchant_id=merchant_id, user=people[place], now=now
        )
        for place, name, merchant_id in MERCHANTS
    }
    logins = [Login(role, email, PASSWORD, places[place].name) for role, place, email, _name in PEOPLE]
    return Organisation(places["greenfield"], places["north"], places["bluewave"], merchants, logins)


def _enterprise(name: str, parent: Enterprise | None, zone: str, currency: str, now: datetime) -> Enterprise:
    return create_enterprise(name=name, parent=parent, time_zone=zone, currency=currency, actor=ACTOR, now=now)


def _member(enterprise: Enterprise, role: Role, email: str, name: str, now: datetime) -> User:
    return add_member(
        user_email=email, full_name=name, password=PASSWORD, enterprise=enterprise, role=role, actor=ACTOR, now=now
    )
