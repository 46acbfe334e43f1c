"""Devices come, one or many at once, and go (F68, F70, F92)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from psycopg.errors import UniqueViolation

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from catalog.models import Product
from devices.delivery import CommandStatus
from devices.lifecycle import State
from devices.models import Command, Device, DeviceService, Presence, PublicToken
from devices.registration_csv import DeviceRow, device_row, read_devices
from devices.services import registration
from devices.services.commands import CommandKind, CommandOrder, order_commands
from devices.services.credentials import DeviceTerminated, rotate_credential
from devices.services.registration import (
    DeviceKeyTaken,
    DeviceRefused,
    register_many,
    terminate_device,
)
from devices.services.tokens import device_for_token
from devices.transports.mosquitto import hash_password
from tests.factories import NOW, make_device, make_enterprise, make_product

LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def _many(product, keys, **more):
    rows = [DeviceRow(key) for key in keys]
    return register_many(product=product, enterprise=product.enterprise, rows=rows, actor="ann", now=NOW, **more)


def _nothing_registered() -> bool:
    return not any(model.objects.exists() for model in (Device, DeviceService, Presence, PublicToken))


def _matches(password: str, stored: str) -> bool:
    """Whether Mosquitto would take the password: the same salt gives the same hash."""
    import base64
    import hashlib

    _, _, rounds, salt, digest = stored.split("$")
    found = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), int(rounds))
    return base64.b64encode(found).decode() == digest


@pytest.mark.django_db
def test_a_registered_device_is_pending_offline_and_counts_from_zero() -> None:
    product = make_product()
    made = make_device(product, key="lamp-1", serial="SN1", name="Lamp", iccid="8986")
    service = DeviceService.objects.get(device=made.device)
    assert (service.state, service.counts_from, service.due_at) == (State.PENDING.value, 0, None)
    assert service.level == product.standard_level
    assert service.state_since == service.last_event_at == NOW
    assert Presence.objects.get(device=made.device).is_online is False
    assert (made.device.serial, made.device.name, made.device.iccid) == ("SN1", "Lamp", "8986")
    event = Event.objects.get(kind="device.registered", subject=f"device:{made.device.pk}")
    assert (event.enterprise_id, event.after["key"]) == (product.enterprise_id, "lamp-1")


@pytest.mark.django_db
def test_nothing_counts_on_a_product_without_paid_mode() -> None:
    """A1, A4."""
    made = make_device(make_product(paid=False))
    assert DeviceService.objects.get(device=made.device).counts_from is None


@pytest.mark.django_db
def test_the_password_is_stored_as_a_hash_that_fits_it_and_no_other() -> None:
    made = make_device()
    stored = made.device.credential_hash
    assert made.password not in stored
    assert _matches(made.password, stored)
    assert not _matches(made.password + "x", stored)


@pytest.mark.django_db
def test_a_rotated_credential_replaces_the_old_one() -> None:
    made = make_device()
    fresh = rotate_credential(device=made.device, actor="ann", now=LATER)
    made.device.refresh_from_db()
    assert _matches(fresh, made.device.credential_hash)
    assert not _matches(made.password, made.device.credential_hash)
    assert made.device.credential_rotated_at == LATER
    assert Event.objects.filter(kind="device.credential_rotated", actor="ann").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "a/b", "a+b", "#", "a:b", "a b", "x" * 65, "a\n", "ä", "a\0"])
def test_a_key_that_a_broker_could_misread_is_refused(key: str) -> None:
    """F68."""
    product = make_product()
    with pytest.raises(DeviceRefused) as refused:
        _many(product, ["good", key])
    assert {problem.field for problem in refused.value.problems} == {"key"}
    assert _nothing_registered()


@pytest.mark.django_db
def test_a_key_in_use_is_refused_and_the_rest_of_the_list_too() -> None:
    product = make_product()
    make_device(product, key="k1")
    with pytest.raises(DeviceKeyTaken, match="k1"):
        _many(product, ["k0", "k1"])
    assert list(Device.objects.values_list("key", flat=True)) == ["k1"]
    _many(make_product(), ["k1"])


@pytest.mark.django_db
def test_a_list_with_a_key_twice_or_without_devices_is_refused() -> None:
    product = make_product()
    with pytest.raises(DeviceRefused, match="twice"):
        _many(product, ["a", "a"])
    with pytest.raises(DeviceRefused, match="no devices"):
        _many(product, [])
    with pytest.raises(DeviceRefused, match="50,000"):
        _many(product, [f"k{number}" for number in range(50_001)])
    assert _nothing_registered()


@pytest.mark.django_db
def test_a_device_belongs_to_the_products_enterprise_or_one_below_it() -> None:
    product = make_product()
    child = make_enterprise(parent=product.enterprise)
    assert make_device(product, enterprise=child).device.enterprise == child
    with pytest.raises(DeviceRefused, match="own enterprise"):
        make_device(product, enterprise=make_enterprise())


@pytest.mark.django_db
def test_many_devices_cost_as_many_statements_as_one_and_keep_their_order(django_assert_max_num_queries) -> None:
    product = make_product()
    keys = [f"k{number}" for number in reversed(range(500))]
    with django_assert_max_num_queries(20):
        made = _many(product, keys)
    assert [new.key for new in made] == keys
    assert len({new.password for new in made} | {new.renewal_token for new in made}) == 1_000
    one = made[123]
    device = device_for_token(one.renewal_token)
    assert device is not None
    assert (device.pk, device.key) == (one.device_id, one.key)
    assert _matches(one.password, device.credential_hash)
    assert Event.objects.filter(kind="device.registered").count() == 500


@pytest.mark.django_db
def test_termination_voids_links_and_commands_and_frees_the_key() -> None:
    """F70."""
    product = make_product()
    made = make_device(product, key="k1")
    order = CommandOrder(made.device.pk, product.enterprise_id, product.pk, CommandKind.LOCK, 1)
    order_commands([order], now=NOW)
    for _ in range(2):
        terminate_device(device=made.device, actor="ann", now=LATER)
    service = DeviceService.objects.get(device=made.device)
    assert (service.state, service.due_at) == (State.TERMINATED.value, None)
    command = Command.objects.get()
    assert (command.status, command.due_at, command.closed_at) == (CommandStatus.CANCELLED.value, None, LATER)
    assert device_for_token(made.renewal_token) is None
    assert Event.objects.filter(kind="device_service.terminated").count() == 1
    with pytest.raises(DeviceTerminated):
        rotate_credential(device=made.device, actor="ann", now=LATER)
    again = make_device(product, key="k1")
    assert again.device.pk != made.device.pk
    assert not Command.objects.filter(device=again.device).exists()


def _twice_at_once(product) -> list[str]:
    """Two connections register the same keys; how each ended."""
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def register() -> None:
        try:
            with system_scope():
                start.wait(10)
                _many(product, ["same", "other"])
            outcomes.append("registered")
        except (DeviceKeyTaken, UniqueViolation) as refused:
            outcomes.append(type(refused).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=register) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return sorted(outcomes)


@pytest.mark.django_db(transaction=True)
def test_two_registrations_of_one_key_at_once_make_one_device_and_one_clear_refusal() -> None:
    assert _twice_at_once(make_product()) == ["DeviceKeyTaken", "registered"]
    assert Device.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_on_the_product_only_the_database_stops_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: both see the key free, and one ends in an error that nobody understands."""
    both_have_looked = threading.Barrier(2)
    look = registration._refuse_taken

    def look_and_wait(*arguments) -> None:
        look(*arguments)
        both_have_looked.wait(10)

    monkeypatch.setattr(registration, "lock_product", lambda pk: Product.objects.get(pk=pk))
    monkeypatch.setattr(registration, "_refuse_taken", look_and_wait)
    assert _twice_at_once(make_product()) == ["UniqueViolation", "registered"]
    assert Device.objects.count() == 2


@pytest.mark.django_db
def test_a_parsed_file_registers_as_it_says() -> None:
    product = make_product()
    _sheet, read = read_devices("name;key;serial\nLampe ä;k1;S1\n;k2;\n".encode(), product.key)
    rows = [device_row(row.values) for row in read]
    register_many(product=product, enterprise=product.enterprise, rows=rows, actor="ann", now=NOW)
    assert set(Device.objects.values_list("key", "name", "serial")) == {("k1", "Lampe ä", "S1"), ("k2", "", "")}


def test_the_hash_of_one_password_differs_each_time() -> None:
    assert hash_password("same") != hash_password("same")
