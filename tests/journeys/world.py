"""The running product with one maker, one product, one device and its customer's link; the test clock is at hand.

Commands that only read run in this process, which has loaded the product: to start another one takes two seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

from django.core.management import CommandError, call_command

from amp.foundation import clock
from amp.foundation.services import testclock
from devices.models import DeviceService, Presence
from tests import factories
from tests.independent_device import IndependentDevice
from tests.stack.mosquitto import Mosquitto
from tests.stack.processes import Product
from tests.stack.waiting import eventually


class World:
    """The running product, one device registered with it, and the customer's link."""

    def __init__(self, product: Product, mosquitto: Mosquitto, **rule: Any) -> None:
        self.amp = product
        now = clock.wall()
        maker = factories.make_enterprise("Greenfield Robotics", now=now)
        self.product = factories.make_product(
            maker, name="AutoSteer N2", trial_start=300, trial_end=600, now=now, **rule
        )
        self.plan = factories.make_plan(self.product, months=12, amount=19_900, now=now)
        self.registered = factories.make_device(self.product, key="AS-4821", serial="GF-2291-4821", now=now)
        name = f"{self.product.key}/AS-4821"
        self.let_in(mosquitto)
        self.device = IndependentDevice(mosquitto.port, name, self.registered.password)
        self.link = f"{product.url}/r/{self.registered.renewal_token}"

    def let_in(self, mosquitto: Mosquitto) -> None:
        """The broker learns of the device as in production: exported files and a signal."""
        files = {"password_file": mosquitto.password_file, "acl_file": mosquitto.acl_file}
        call_command("export_mqtt_credentials", **files, stdout=StringIO())
        mosquitto.reload()

    @property
    def service(self) -> DeviceService:
        return DeviceService.objects.get(device_id=self.registered.device.pk)

    def until(self, true: Callable[[], Any], what: str, within: float = 60) -> None:
        eventually(true, within=within, what=what)

    def advance(self, **by: float) -> None:
        """Move the product's time, as `timedelta(**by)`; returns when all processes live in the new time."""
        testclock.advance(timedelta(**by), wall=clock.wall())
        every_process_follows()

    def advance_by_command(self, step: str) -> None:
        """The same by `manage.py clock advance`, for example by "10d"."""
        self.amp.manage("clock", "advance", step)
        every_process_follows()

    def expire(self) -> None:
        """Online through the whole trial, then stopped and locked."""
        self.device.come_online()
        self.until(lambda: self.service.due_at, "the device's trial is in sight")
        self.advance(minutes=11)
        self.until(lambda: self.service.state == "EXPIRED", "the trial is over")

    def is_online(self) -> bool:
        """Whether the product takes the device for online."""
        return Presence.objects.filter(pk=self.registered.device.pk, is_online=True).exists()

    def audit(self) -> None:
        """The books balance; a look at tables that change meanwhile may need another one."""
        told = StringIO()

        def balances() -> bool:
            told.seek(0)
            told.truncate()
            try:
                call_command("audit", stdout=told)
            except CommandError:
                return False
            return True

        try:
            eventually(balances, every=0.5)
        except AssertionError:
            raise AssertionError(told.getvalue()) from None


def every_process_follows() -> None:
    """Wait until no process can use a shift of the clock that it read before this call.

    Nobody tells when a process has read the clock anew; but none keeps what it read for longer than this.
    """
    time.sleep(clock.REFRESH_SECONDS * 1.1)
