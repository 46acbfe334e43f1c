"""A restart meets a device that comes online in the same moment: wholly before or wholly after (A6, F23)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from amp.foundation.scoping import system_scope
from catalog.models import Product
from devices.lifecycle import SECOND
from devices.models import Presence
from devices.online_time import Kind, PresenceEvent
from devices.services import restart as restarting
from devices.services.presence import Heard
from tests.factories import HOUR, NOW, make_product
from tests.services.test_restart import DAY, HOURS, restart, service, used_up
from tests.services.test_transfer_races import together
from tests.talking_devices import record

pytestmark = pytest.mark.django_db(transaction=True)
LATER = NOW + DAY
TEN_MINUTES = HOURS / 6


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def product() -> Product:
    return make_product(trial_start=0, trial_end=HOUR)


def comes_online(pk: int) -> None:
    """It said so ten minutes ago; we hear it now."""
    event = PresenceEvent(kind=Kind.ONLINE, at=LATER - TEN_MINUTES, session="7")
    record([Heard(pk, event)], now=LATER)


def total(pk: int) -> int:
    """Online time up to the restart, microseconds."""
    presence = Presence.objects.get(pk=pk)
    assert presence.open_since == LATER - TEN_MINUTES
    return presence.counted + int(TEN_MINUTES.total_seconds()) * SECOND


def test_a_device_that_comes_online_as_it_is_restarted_brings_nothing_from_its_old_life_A6(product: Product) -> None:
    pk = used_up(product)
    assert together(lambda: comes_online(pk), lambda: restart(pk)) == []
    assert service(pk).counts_from == total(pk) == 2 * HOUR * SECOND + HOUR * SECOND // 6
    assert service(pk).due_at == LATER, "its trial begins with its new life: at the restart"


def test_without_the_lock_on_its_presence_ten_minutes_of_the_old_life_are_counted(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: both did meet."""
    pk = used_up(product)
    monkeypatch.setattr(restarting, "locked_states", lambda rows: {})
    assert together(lambda: comes_online(pk), lambda: restart(pk)) == []
    assert total(pk) - (service(pk).counts_from or 0) == HOUR * SECOND // 6


def test_a_restart_that_is_first_makes_the_device_wait_F23(product: Product) -> None:
    pk = used_up(product)
    assert together(lambda: restart(pk), lambda: comes_online(pk)) == []
    assert service(pk).life == 2
    assert Presence.objects.get(pk=pk).is_online
