"""Device > Held locks: what is held and why, and the decision with its number (P8, X2, R6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from amp.dashboard import brakes
from amp.foundation.models import Enterprise, Event, Figure, PlatformConfiguration, Role
from amp.foundation.scoping import system_scope
from devices.models import Command, Device, DeviceService, LockHold, Presence
from devices.services.lifecycle import advance_due_services
from devices.services.lock_releases import work_off_holds
from tests.factories import NOW, make_device, make_enterprise, make_member, make_product

pytestmark = pytest.mark.django_db
PAGE, CONFIGURATION = "/admin/devices/held_locks/", "/admin/configuration/"
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture(autouse=True)
def small_allowance(settings) -> None:
    settings.LOCK_ALLOWANCE, settings.LOCK_ALLOWANCE_PERCENT = 2, 0


def braked(name: str = "Pumps", size: int = 7, parent: Enterprise | None = None) -> Enterprise:
    """An enterprise of which all but two LOCKs are held."""
    with system_scope():
        enterprise = make_enterprise(name, parent=parent)
        product = make_product(enterprise)
        first = make_device(product).device
        others = Device.objects.bulk_create(
            Device(enterprise=enterprise, product=product, key=f"{name}-{number}", created_at=NOW)
            for number in range(size - 1)
        )
        DeviceService.objects.bulk_create(
            DeviceService(device=each, enterprise=enterprise, product=product, state_since=NOW, last_event_at=NOW - DAY)
            for each in others
        )
        Presence.objects.bulk_create(Presence(device=each) for each in others)
        DeviceService.objects.filter(pk__in=[first.pk, *(each.pk for each in others)]).update(
            state="ACTIVE", anchor=NOW - DAY, anchor_months=1, ends_at=NOW, due_at=NOW, last_event_at=NOW - DAY
        )
        advance_due_services(now=NOW)
    return enterprise


def staff(enterprise: Enterprise, role: Role = Role.ENTERPRISE_ADMINISTRATOR) -> Client:
    client = Client()
    with system_scope():
        client.force_login(make_member(enterprise, role))
    brakes.forget()
    return client


def decide(client: Client, hold: LockHold, decision: str) -> str:
    answer = client.post(f"{PAGE}{hold.pk}/", {"decision": decision}, follow=True)
    return answer.content.decode()


def test_p8_the_page_tells_why_how_many_since_when_and_which(scope: None) -> None:
    page = staff(braked()).get(PAGE).content.decode()
    assert "5 locks are held" in page
    assert "More than 2 devices would have been locked within an hour" in page
    assert "Lock 5 devices?" in page
    assert "Cancel 5 locks?" in page
    assert "Pumps-3" in page
    assert "command=held" in page


def test_p8_the_list_of_devices_shows_the_held_ones(scope: None) -> None:
    enterprise = braked()
    page = staff(enterprise).get(f"/admin/devices/device/?enterprise={enterprise.pk}&command=held").content.decode()
    held = set(Command.objects.filter(hold__isnull=False).values_list("device__key", flat=True))
    assert len(held) == 5
    assert {key for key in Device.objects.values_list("key", flat=True) if f">{key}<" in page} == held


@pytest.mark.parametrize(("decision", "status", "told"), [("release", "PENDING", "released"), ("cancel", "CANCELLED", "cancelled")])  # fmt: skip  # noqa: E501
def test_p8_a_decision_says_its_number_and_is_on_the_record(scope: None, decision: str, status: str, told: str) -> None:
    enterprise = braked()
    client = staff(enterprise)
    hold = LockHold.objects.get()
    ids = list(Command.objects.filter(hold=hold).values_list("pk", flat=True))
    assert f"5 locks are {told}" in decide(client, hold, decision)
    work_off_holds(now=NOW + DAY * 9999)
    assert set(Command.objects.filter(pk__in=ids).values_list("status", "hold")) == {(status, None)}
    [event] = Event.objects.filter(kind=f"lock_hold.{told}")
    assert "@" in event.actor
    assert event.after["locks"] == 5
    assert "Somebody has decided this already" in decide(client, hold, "release")


def test_p8_nonsense_decides_nothing(scope: None) -> None:
    client, hold = staff(braked()), LockHold.objects.get()
    assert "Choose to release or to cancel" in decide(client, hold, "both")
    assert client.get(f"{PAGE}{hold.pk}/").status_code == 405
    assert LockHold.objects.get().status == "HOLDING"


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.FINANCE, Role.READ_ONLY])
def test_x2_others_see_held_locks_and_decide_nothing(scope: None, role: Role) -> None:
    client, hold = staff(braked(), role), LockHold.objects.get()
    page = client.get(PAGE).content.decode()
    assert "5 locks are held" in page
    assert "data-opens" not in page
    assert "An administrator of the enterprise decides" in page
    assert client.post(f"{PAGE}{hold.pk}/", {"decision": "release"}).status_code == 403
    assert LockHold.objects.get().status == "HOLDING"


def test_r6_another_tenant_sees_neither_hold_nor_badge_nor_banner(scope: None) -> None:
    hold_of = braked("Pumps")
    stranger = staff(make_enterprise("Fans"))
    page = stranger.get(PAGE).content.decode()
    assert "Pumps" not in page
    assert "No lock is held" in page
    overview = stranger.get("/admin/").content.decode()
    assert "wait for a person" not in overview
    assert stranger.post(f"{PAGE}{LockHold.objects.get().pk}/", {"decision": "release"}).status_code == 404
    mine = staff(hold_of).get("/admin/").content.decode()
    assert "Locks of 1 enterprise wait for a person" in mine


def test_p8_the_menu_counts_the_brakes_of_the_reader(scope: None) -> None:
    parent = braked("Above")
    braked("Below", parent=parent)
    client = staff(parent)
    [item] = [each for each in client.get(PAGE).context["sidebar_navigation"][3]["items"] if "badge" in each]
    assert item["badge"] == 2
    child = staff(Enterprise.objects.get(name="Below"))
    [item] = [each for each in child.get(PAGE).context["sidebar_navigation"][3]["items"] if "badge" in each]
    assert item["badge"] == 1


def test_the_page_costs_the_same_for_one_brake_and_for_four(scope: None) -> None:
    parent = braked("First")
    client = staff(parent)
    client.get(PAGE)
    numbers = []
    for _round in range(2):
        with CaptureQueriesContext(connection) as queries:
            client.get(PAGE)
        numbers.append(len(queries))
        for name in ("Second", "Third", "Fourth"):
            if _round == 0:
                braked(name, parent=parent)
    assert numbers[0] == numbers[1]
    assert numbers[0] <= 14


def test_a_device_page_says_that_its_lock_is_held_P8(scope: None) -> None:
    enterprise = braked()
    row = Command.objects.filter(hold__isnull=False).first()
    client = staff(enterprise)
    page = client.get(f"/admin/devices/device/{row.device_id}/change/").content.decode()
    assert "Lock is held: nothing is sent until it is released." in page
    assert "held: too many locks in an hour" in page
    assert ">Held<" in client.get(f"/admin/devices/device/{row.device_id}/change/?tab=commands").content.decode()


# ------------------------------------------------------------------------------------------------- configuration


FORM = {"order_minutes": "30", "lock_settle_minutes": "7", "lock_allowance": "50", "lock_allowance_percent": "10"}


def test_g5_platform_administrators_set_the_limits_and_the_record_says_so(scope: None, settings) -> None:
    settings.LOCK_ALLOWANCE, settings.LOCK_ALLOWANCE_PERCENT = 100, 20
    client = staff(make_enterprise(), Role.PLATFORM_ADMINISTRATOR)
    page = client.get(CONFIGURATION).content.decode()
    assert 'name="lock_allowance" value="100"' in page
    assert client.post(CONFIGURATION, FORM).status_code == 302
    row = PlatformConfiguration.objects.get()
    assert (row.lock_settle_minutes, row.lock_allowance, row.lock_allowance_percent) == (7, 50, 10)
    events = Event.objects.filter(kind="platform.configured", after__has_key="lock_allowance")
    assert [(event.before, event.after) for event in events] == [({"lock_allowance": 100}, {"lock_allowance": 50})]


@pytest.mark.parametrize(
    "wrong",
    [
        {"lock_allowance": "0"},
        {"lock_allowance": "1000001"},
        {"lock_allowance_percent": "101"},
        {"lock_allowance_percent": "-1"},
        {"lock_settle_minutes": "1441"},
        {"lock_settle_minutes": "soon"},
    ],
)
def test_g5_limits_out_of_bounds_come_back_with_their_reason(scope: None, wrong: dict[str, str]) -> None:
    client = staff(make_enterprise(), Role.PLATFORM_ADMINISTRATOR)
    answer = client.post(CONFIGURATION, FORM | wrong)
    assert answer.status_code == 200
    assert set(answer.context["form"].errors) == set(wrong)
    assert not PlatformConfiguration.objects.exists()


def test_figures_of_a_large_enterprise_raise_its_allowance_P8(scope: None, settings) -> None:
    settings.LOCK_ALLOWANCE_PERCENT = 20
    enterprise = make_enterprise("Large")
    Figure.objects.create(enterprise=enterprise, name="services", bucket="ACTIVE", number=20)
    Figure.objects.create(enterprise=enterprise, name="services", bucket="TERMINATED", number=1_000)
    braked("Within", parent=enterprise)
    assert LockHold.objects.get().allowance == 2, "each enterprise by its own devices"
