"""System > Platform Configuration (G5): few decisions, by platform administrators alone, audited (N1, N5)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from amp.foundation.models import Event, PlatformConfiguration, Retention, Role
from amp.foundation.scoping import system_scope
from amp.foundation.services.configuration import (
    AlertedService,
    ConfigurationRefused,
    expiry_alerts_since,
    order_minutes,
    set_order_minutes,
    switch_expiry_alerts,
)
from amp.retention.kinds import KINDS
from billing.models import OrderChannel
from billing.services.ordering import open_order
from tests.factories import NOW, UserFactory, make_enterprise, make_member
from tests.services.shop import Shop, shop_of_three

__all__ = ["shop_of_three"]

PAGE = "/admin/configuration/"


@pytest.fixture
def scope(db: None) -> Iterator[None]:
    with system_scope():
        yield


def signed_in(role: Role) -> Client:
    with system_scope():
        member = make_member(make_enterprise(), role)
    client = Client()
    client.force_login(member)
    return client


def test_an_order_waits_as_long_as_configured_and_the_change_is_audited_G5(scope: None, shop: Shop) -> None:
    assert shop.order().expires_at == NOW + timedelta(minutes=30)
    set_order_minutes(minutes=45, actor="root@example.com", now=NOW)
    assert order_minutes() == 45
    later = open_order(
        device_ids=shop.ids, plan=shop.plan, channel=OrderChannel.STAFF, created_by="x", once_key=None, now=NOW
    )
    assert later.expires_at == NOW + timedelta(minutes=45)
    event = Event.objects.get(kind="platform.configured")
    assert (event.actor, event.before, event.after) == (
        "root@example.com",
        {"order_minutes": 30},
        {"order_minutes": 45},
    )


@pytest.mark.parametrize("minutes", [4, 1_441, -1, 0])
def test_an_impossible_time_is_refused_and_nothing_changes(scope: None, minutes: int) -> None:
    with pytest.raises(ConfigurationRefused):
        set_order_minutes(minutes=minutes, actor="x", now=NOW)
    assert not PlatformConfiguration.objects.exists()


def test_expiry_alerts_are_off_by_default_and_keep_the_moment_of_switching_on_N1_N5(scope: None) -> None:
    assert [expiry_alerts_since(service) for service in AlertedService] == [None, None, None]
    switch_expiry_alerts(service=AlertedService.RTK, on=True, actor="root@example.com", now=NOW)
    switch_expiry_alerts(service=AlertedService.RTK, on=True, actor="root@example.com", now=NOW + timedelta(days=1))
    assert expiry_alerts_since(AlertedService.RTK) == NOW, "on twice keeps the first moment"
    assert expiry_alerts_since(AlertedService.DEVICE) is None
    switch_expiry_alerts(service=AlertedService.RTK, on=False, actor="root@example.com", now=NOW)
    assert expiry_alerts_since(AlertedService.RTK) is None
    assert Event.objects.filter(kind="platform.configured").count() == 2


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PLATFORM_ADMINISTRATOR])
def test_others_than_platform_administrators_are_refused_X2(db: None, role: Role) -> None:
    client = signed_in(role)
    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, {"order_minutes": "45"}).status_code == 403
    assert not PlatformConfiguration.objects.exists()


def test_the_page_saves_and_offers_no_switch_that_nothing_reads_G5(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(Role.PLATFORM_ADMINISTRATOR)
    monkeypatch.setattr(apps.get_app_config("alerts"), "sends_expiry_notices", False, raising=False)
    page = client.get(PAGE).content.decode()
    assert 'name="order_minutes" value="30"' in page
    assert 'name="device"' not in page
    assert "this version sends none" in page
    assert client.post(PAGE, {"order_minutes": "45", "device": "on"}).status_code == 302
    assert order_minutes() == 45
    assert expiry_alerts_since(AlertedService.DEVICE) is None
    monkeypatch.setattr(apps.get_app_config("alerts"), "sends_expiry_notices", True, raising=False)
    assert 'name="device"' in client.get(PAGE).content.decode()
    asked = client.post(PAGE, {"order_minutes": "45", "device": "on"})
    assert [each.service for each in asked.context["consequences"]] == ["device"]
    assert expiry_alerts_since(AlertedService.DEVICE) is None, "asked first: how many devices that tells"
    asked = client.post(PAGE, {"order_minutes": "45", "device": "on", "sim": "on", "confirmed": ["device"]})
    assert [each.service for each in asked.context["consequences"]] == ["sim", "device"]
    further = {"confirmed": ["device"], "extra_days": "60, 90,60"}
    saved = client.post(PAGE, {"order_minutes": "45", "device": "on", **further})
    assert saved.status_code == 302
    assert expiry_alerts_since(AlertedService.DEVICE) is not None
    page = client.get(PAGE).content.decode()
    assert 'value="90, 60"' in page
    assert "On since" in page


@pytest.mark.parametrize("typed", ["", "soon", "4", "99999999999999999999", "1e3", "٤٥٠٠"])
def test_nonsense_comes_back_with_its_reason_and_changes_nothing(db: None, typed: str) -> None:
    answer = signed_in(Role.PLATFORM_ADMINISTRATOR).post(PAGE, {"order_minutes": typed})
    assert answer.status_code == 200
    assert answer.context["form"].errors["order_minutes"]
    assert not PlatformConfiguration.objects.exists()


def test_somebody_without_a_role_does_not_reach_it(db: Any) -> None:
    client = Client()
    client.force_login(UserFactory())
    assert client.get(PAGE).status_code == 302


def test_times_of_keeping_are_shown_saved_and_held_to_their_floors_X5(db: None) -> None:
    client = signed_in(Role.PLATFORM_ADMINISTRATOR)
    assert 'name="audit" value="1825"' in client.get(PAGE).content.decode()
    address = f"{PAGE}retention/"
    times = {kept.name: str(kept.days) for kept in KINDS}
    refused = client.post(address, {**times, "deliveries": "30", "audit": "100"})
    assert refused.context["retention"].errors == {"audit": ["Choose 366 to 36500 days, or 0 for ever."]}
    assert not Retention.objects.exclude(days=None).exists(), "all or nothing"
    assert client.post(address, {**times, "deliveries": "30", "audit": "0"}).status_code == 302
    assert dict(Retention.objects.exclude(days=None).values_list("name", "days")) == {"deliveries": 30, "audit": 0}
    with system_scope():
        assert Event.objects.filter(kind="platform.configured").count() == 2
    other = signed_in(Role.ENTERPRISE_ADMINISTRATOR)
    assert other.post(address, times).status_code == 403
