"""Everything of the demo that runs besides the web server: broker, bridge, worker, scheduler, simulated devices.

They start and stop in one order: devices speak only while somebody listens, and say goodbye before the broker ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import current_app
from celery.beat import Service as Beat
from celery.worker import state as worker_state
from django.conf import settings

from amp.bridge import BridgeLoop
from amp.demo.broker import EmbeddedBroker
from amp.demo.simulated_device import SimulatedDevice
from amp.demo.simulator import Simulator
from amp.foundation.scoping import system_scope
from devices.lifecycle import Lock
from devices.models import Bridge, DeviceService, Presence
from devices.transports.mqtt import MqttAddress

log = logging.getLogger(__name__)

STOP_SECONDS = 4.0
GOODBYE_SECONDS = 1.5
LISTENING_SECONDS = 10.0
REPORT_SECONDS = 45.0
WORKERS = 4
HEARTBEAT = "amp.foundation.tasks.beat_heart"

_current: Stage | None = None


def current() -> Stage | None:
    """The stage of this process; None in any process but `manage.py demo`."""
    return _current


class Stage:
    """Starts and stops the demo's parts; `notes` are the kept secrets of the data set."""

    def __init__(self, notes: dict[str, Any]) -> None:
        self.notes = notes
        self.broker = EmbeddedBroker(port=settings.DEMO_MQTT_PORT)
        self._leave = threading.Event()
        self._threads: list[threading.Thread] = []
        self._worker = current_app.WorkController(
            pool="threads",
            concurrency=WORKERS,
            hostname="demo@localhost",
            without_mingle=True,
            without_gossip=True,
            without_heartbeat=True,
            timer_precision=0.2,
        )
        # Named: the service itself would take a schedule file, and find nothing of ours in it.
        self._beat = Beat(current_app, max_interval=1, scheduler_cls=settings.CELERY_BEAT_SCHEDULER)
        self.simulator: Simulator | None = None

    def start(self) -> None:
        """Start all of it. Raises RuntimeError where the broker can't start or nobody listens to it."""
        global _current
        self.broker.start()
        current_app.control.purge()  # wake-ups of the seeding; the sweeps find everything anyway
        self._run("bridge", BridgeLoop(self.broker.url, stop=self._leave, uptime_topic=None).run)
        self._await_bridge()
        self._run("worker", self._worker.start)
        self._run("beat", self._beat.start)
        self.simulator = _simulator(self.notes, self.broker)
        self.simulator.start()
        _current = self

    def stop(self) -> None:
        """Stop all of it within seconds; what doesn't end in time ends with the process."""
        global _current
        _current = None
        if self.simulator:
            self.simulator.stop()
            self._await_goodbyes()
        self._beat.stop(wait=False)
        worker_state.should_stop = 0
        current_app.send_task(HEARTBEAT, ignore_result=True)  # it looks up when something comes
        self._leave.set()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.broker.stop()

    def _run(self, name: str, work: Callable[[], object]) -> None:
        def guarded() -> None:
            try:
                work()
            except SystemExit:
                log.debug("%s ended.", name)
            except Exception:
                log.exception("The demo's %s ended by an error.", name)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _await_bridge(self) -> None:
        """A device that comes online before the bridge listens would count from its next message only (P4)."""
        deadline = time.monotonic() + LISTENING_SECONDS
        began = Bridge.objects.filter(connected=True).values_list("beat_at", flat=True)
        before = set(began)
        while set(began.all()) <= before:
            if time.monotonic() > deadline:
                raise RuntimeError("The bridge does not listen to the demo's broker. The log says why.")
            time.sleep(0.05)

    def _await_goodbyes(self) -> None:
        """The bridge stores that the devices left, so that nobody has to guess at the next start."""
        ids = [each["device_id"] for each in self.notes["devices"] if each["is_simulated"]]
        deadline = time.monotonic() + GOODBYE_SECONDS
        with system_scope():
            while Presence.objects.filter(device_id__in=ids, is_online=True).exists():
                if time.monotonic() > deadline:
                    log.warning("Some devices' goodbyes were not stored; their sessions end at the next start.")
                    return
                time.sleep(0.05)


def _simulator(notes: dict[str, Any], broker: EmbeddedBroker) -> Simulator:
    devices = [each for each in notes["devices"] if each["is_simulated"]]
    with system_scope():
        services = DeviceService.objects.in_bulk([each["device_id"] for each in devices])
    simulated = [
        _device(each, services[each["device_id"]], notes["products"][each["product_key"]]["readings"])
        for each in devices
        if each["device_id"] in services
    ]
    address = MqttAddress.parse(broker.url)
    return Simulator(address, simulated, password=broker.password, report_every=REPORT_SECONDS)


def _device(known: dict[str, Any], service: DeviceService, readings: dict[str, list[float]]) -> SimulatedDevice:
    """As the device was when it was last heard: its memory is what it reported."""
    locked = service.reported_lock == Lock.LOCKED.value
    return SimulatedDevice(
        product_key=known["product_key"],
        device_key=known["key"],
        properties={"service_lock": "true" if locked else "false"},
        readings={code: (low, high) for code, (low, high) in readings.items()},
        online=known["is_online"],
        generation=service.generation,
    )
