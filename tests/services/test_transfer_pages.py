"""Pages that transfer remaining service and restart a device: consequences before the button (A6, A26; R6, X2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amp.foundation import clock
from amp.foundation.models import Role
from amp.foundation.scoping import system_scope
from devices.models import Device, DeviceService
from tests.factories import make_device, make_enterprise
from tests.services.admin_world import Maker, expire, made_makers, makers
from tests.services.test_admin_actions import text_of
from tests.services.test_admin_pages import queries
from tests.services.test_transfer import renew

__all__ = ["made_makers", "makers"]
pytestmark = pytest.mark.django_db


def page_of(device: Device, name: str) -> str:
    return f"/admin/devices/device/{device.pk}/{name}/"


def running(ours: Maker) -> Device:
    """The second device, renewed for a year."""
    with system_scope():
        renew(ours.devices[1].pk, ours.product, paid_at=clock.now(), now=clock.now())
    return ours.devices[1]


def state(device: Device) -> str:
    with system_scope():
        return str(DeviceService.objects.get(device=device).state)


def test_the_page_finds_the_replacement_shows_both_devices_and_moves_what_it_showed_A26(
    makers: tuple[Maker, Maker],
) -> None:
    ours, _ = makers
    source, target = running(ours), ours.devices[2]
    client, address = ours.client(Role.OPERATOR), page_of(source, "transfer")
    assert "Which device takes it over?" in text_of(client.get(address))
    shown = client.get(f"{address}?to={target.key}")
    text = text_of(shown)
    for words in ("What the transfer does", f"The trial of {target.key} is over.", f"Transfer to {target.key}"):
        assert words in text, words
    assert state(source) == "ACTIVE", "looking changes nothing"
    form = {"to": target.key, "seen": shown.context["preview"].seen, "reason": ""}
    refused = client.post(address, form)
    assert refused.status_code == 422
    assert "Say why in 1 to 200 characters" in text_of(refused)
    assert client.post(address, {**form, "reason": "Water damage"}).status_code == 302
    assert (state(source), state(target)) == ("EXPIRED", "ACTIVE")
    details = text_of(client.get(page_of(source, "change")))
    assert "Expired because its remaining service moved to another device" in details
    assert "Water damage" in details


def test_a_page_that_was_overtaken_moves_nothing_and_keeps_the_reason_F99(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    source, target = running(ours), ours.devices[2]
    client, address = ours.client(), page_of(source, "transfer")
    seen = client.get(f"{address}?to={target.key}").context["preview"].seen
    with system_scope():
        renew(source.pk, ours.product, months=1, paid_at=clock.now(), now=clock.now())
    answer = client.post(address, {"to": target.key, "seen": seen, "reason": "Water damage"})
    assert answer.status_code == 422
    assert "changed meanwhile" in text_of(answer)
    assert 'value="Water damage"' in text_of(answer)
    assert state(source) == "ACTIVE"


@pytest.mark.parametrize("key", ["other-0", "nobody", "", "x" * 500, "a\x00b", "ours-0' OR 1=1"])
def test_a_device_that_the_reader_may_not_see_is_none_R6(makers: tuple[Maker, Maker], key: str) -> None:
    """Another tenant's key is answered as one that nobody has."""
    ours, _ = makers
    source = running(ours)
    answer = ours.client().post(page_of(source, "transfer"), {"to": key, "reason": "x", "seen": ""})
    assert answer.status_code == 422
    assert "No live device with this key in your enterprises." in text_of(answer)
    assert state(source) == "ACTIVE"


def test_the_role_is_needed_in_both_enterprises_and_other_tenants_answer_404_X2_R6(
    makers: tuple[Maker, Maker],
) -> None:
    ours, other = makers
    source = running(ours)
    for name in ("transfer", "restart"):
        assert ours.client(Role.READ_ONLY).get(page_of(source, name)).status_code == 403
        assert ours.client(Role.FINANCE).post(page_of(source, name)).status_code == 403
        assert ours.client().get(page_of(other.devices[0], name)).status_code == 404
        assert ours.client().post(page_of(other.devices[0], name)).status_code == 404


def test_a_restart_is_shown_then_typed_then_done_A6(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    device = ours.devices[0]
    with system_scope():
        expire(device, counts_from=0, desired_lock="LOCKED")
    client, address = ours.client(Role.OPERATOR), page_of(device, "restart")
    text = text_of(client.get(address))
    for words in ("A factory return begins a new life: pending, counter 0.", "The device is unlocked."):
        assert words in text, words
    wrong = client.post(address, {"key": "another", "reason": "Came back"})
    assert wrong.status_code == 422
    assert 'value="Came back"' in text_of(wrong)
    assert client.post(address, {"key": device.key, "reason": ""}).status_code == 422
    assert state(device) == "EXPIRED"
    assert client.post(address, {"key": device.key, "reason": "Came back"}).status_code == 302
    assert state(device) == "PENDING"
    assert "Restarted: a new life, counter 0" in text_of(client.get(page_of(device, "change")))


def test_a_restart_while_time_remains_points_to_the_transfer_A6_A26(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    device = running(ours)
    text = text_of(ours.client().get(page_of(device, "restart")))
    assert "Time remains on this device." in text
    assert page_of(device, "transfer") in text
    answer = ours.client().post(page_of(device, "restart"), {"key": device.key, "reason": "x"})
    assert answer.status_code == 422
    assert state(device) == "ACTIVE"


def test_the_pages_need_a_fixed_number_of_queries(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    source = running(ours)
    client: Any = ours.client()
    address = f"{page_of(source, 'transfer')}?to={ours.devices[2].key}"
    few = queries(client, address), queries(client, page_of(ours.devices[0], "restart"))
    with system_scope():
        child = make_enterprise(parent=ours.enterprise)
        for number in range(12):
            make_device(ours.product, enterprise=child, key=f"more-{number}", now=clock.now())
        for month in range(1, 6):
            later = clock.now() + timedelta(seconds=month)
            renew(source.pk, ours.product, months=1, paid_at=later, now=later)
    assert (queries(client, address), queries(client, page_of(ours.devices[0], "restart"))) <= few
    assert max(few) <= 24
