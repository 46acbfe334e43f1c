"""Many devices with a connection each, at a real broker, beside the product's real processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from amp.demo.simulated_device import SimulatedDevice
from amp.demo.simulator import Simulator
from amp.foundation import clock
from amp.foundation.services.configuration import LockLimits, set_lock_limits
from catalog.models import ServiceLevel
from devices.models import DeviceService
from devices.services.renewal import RenewalRequest, renew_services
from devices.transports.mqtt import MqttAddress
from tests.services.braking import end_at
from tests.stack.mosquitto import Mosquitto
from tests.talking_devices import Fleet, make_fleet

PASSWORD = "one for all of the crowd"


class Crowd:
    """`size` devices of one product, in their paid period, away at first. Locks meet no brake here (P8)."""

    def __init__(self, mosquitto: Mosquitto, size: int, *, report_every: float = 3_600) -> None:
        self.fleet: Fleet = make_fleet(size)
        self.ids = list(self.fleet.ids.values())
        set_lock_limits(limits=LockLimits(0, 1_000_000, 100), actor="test", now=clock.now())
        end_at(self.ids, clock.now() + timedelta(days=1))
        self.devices = [SimulatedDevice(self.fleet.product.key, key) for key in self.fleet.ids]
        mosquitto.add_users([device.name for device in self.devices], PASSWORD)
        mosquitto.reload()
        address = MqttAddress(mosquitto.host, mosquitto.port)
        self.simulator = Simulator(address, [], password=PASSWORD, report_every=report_every)

    @contextmanager
    def online(self) -> Iterator[None]:
        """All of them connect at once, and leave together at the end."""
        self.simulator.start()
        try:
            for device in self.devices:
                self.simulator.add(device)
            yield
        finally:
            self.simulator.stop()

    def expire(self) -> None:
        """Their periods are over; the next sweep sees it."""
        end_at(self.ids, clock.now())

    def renew(self, source: str) -> None:
        """A year for each, as settled orders bring it."""
        level = ServiceLevel.objects.get(standard_of=self.fleet.product)
        asked = [RenewalRequest(pk, 12, level.pk, "Yearly", f"{source}:{pk}", clock.now()) for pk in self.ids]
        for outcome in renew_services(asked, actor="test", now=clock.now()):
            assert outcome.refusal is None

    def is_locked(self, locked: bool) -> bool:
        """Whether every device has done so, and the product knows of each."""
        wanted = "LOCKED" if locked else "UNLOCKED"
        known = DeviceService.objects.filter(reported_lock=wanted, desired_lock=wanted).count()
        done = sum(device.properties["service_lock"] == str(locked).lower() for device in self.devices)
        return known == done == len(self.ids)
