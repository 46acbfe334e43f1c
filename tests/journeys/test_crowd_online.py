"""Devices that come online all at once, each with a command that waits for it (A20–A23, F57)."""

from __future__ import annotations

import os

import pytest

from amp.foundation.scoping import system_scope
from devices.models import Command, Presence
from tests.journeys.crowd import Crowd
from tests.stack.mosquitto import Mosquitto
from tests.stack.processes import Product
from tests.stack.waiting import eventually

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]
DEVICES = int(os.environ.get("AMP_CROWD", "300"))


def test_everybody_comes_online_at_once_and_hears_the_lock_that_waited(
    product_on_test_database: Product, mosquitto: Mosquitto
) -> None:
    amp = product_on_test_database
    with system_scope():
        crowd = Crowd(mosquitto, DEVICES)
        for start in (amp.worker, amp.beat, amp.bridge):
            start()
        crowd.expire()
        waiting = Command.objects.filter(kind="LOCK", status="PENDING", due_at=None)
        eventually(lambda: waiting.count() == DEVICES, within=120, what="locks that wait for their devices")
        with crowd.online():
            eventually(
                lambda: crowd.is_locked(True) and not Command.objects.exclude(status="CONFIRMED").exists(),
                within=300,
                every=0.5,
                what="everybody locked",
            )
            assert Presence.objects.filter(is_online=True).count() == DEVICES
            assert set(Command.objects.values_list("generation", flat=True)) == {1}
            crowd.renew("card")
            eventually(lambda: crowd.is_locked(False), within=300, every=0.5, what="everybody unlocked")
        amp.manage("audit")
