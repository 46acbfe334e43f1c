"""The brake after an outage with the real bridge between a real Mosquitto and PostgreSQL (P8)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from amp.foundation.services.configuration import LockLimits, set_lock_limits
from devices.models import Bridge, Command, DeviceService, Presence
from devices.services.lifecycle import advance_due_services
from devices.services.lock_releases import work_off_holds
from tests.stack.mosquitto import Mosquitto
from tests.stack.processes import Product
from tests.stack.waiting import eventually
from tests.talking_devices import make_fleet

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
MINUTE = timedelta(minutes=1)


def end_trials() -> None:
    """What a sweep finds while nobody hears the devices: by the last news their trials are over."""
    now = clock.now()
    DeviceService.objects.update(state="TRIAL", counts_from=0, trial_end_seconds=60, due_at=now)
    Presence.objects.update(is_online=True, open_since=now - 2 * MINUTE)
    advance_due_services(now=now)


def test_p8_locks_of_trials_that_ended_during_an_outage_go_once_the_bridge_is_back_and_presence_has_settled(
    product_on_test_database: Product, mosquitto: Mosquitto
) -> None:
    mosquitto.start()
    with system_scope():
        make_fleet(3, trial_start_seconds=0, trial_end_seconds=60)
        set_lock_limits(limits=LockLimits(5, 100, 20), actor="test", now=clock.now())
        bridge = product_on_test_database.bridge()
        eventually(lambda: Bridge.objects.filter(heard_at__isnull=False).exists(), what="contact")
        assert Bridge.objects.get().recovered_at is None, "a first start is no outage"
        bridge.kill()
        Bridge.objects.update(heard_at=clock.now() - 2 * MINUTE)  # nobody waits for two minutes here
        end_trials()
        assert Command.objects.filter(hold__reason="SETTLING").count() == 3
        product_on_test_database.bridge()
        eventually(lambda: Bridge.objects.get().recovered_at is not None, what="the end of the outage")
        back = Bridge.objects.get().recovered_at
        assert work_off_holds(now=back + MINUTE) == 0
        Bridge.objects.update(heard_at=back + 6 * MINUTE)
        assert work_off_holds(now=back + 6 * MINUTE) == 3
        assert Command.objects.filter(hold=None, status="PENDING", due_at__isnull=False).count() == 3
