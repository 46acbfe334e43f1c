"""The demo as a newcomer runs it: one process from an empty directory, used over HTTP, stopped and started again.

The tests share one demo and run in the order of this file: what one leaves, the next finds.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.journeys import append_only
from tests.stack.browsing import PHONE
from tests.stack.daemon import free_port, is_alive
from tests.stack.processes import REPOSITORY
from tests.stack.waiting import eventually

# One worker takes them all; every other journey goes to whoever is free.
pytestmark = [pytest.mark.journey, pytest.mark.timeout(600), pytest.mark.xdist_group("demo")]

SEEDED_WITHIN = 300.0
STOPPED_WITHIN = 60.0


@dataclass
class Demo:
    """`manage.py demo` on free ports, and a browser of sorts."""

    directory: Path
    port: int = field(default_factory=free_port)
    mqtt_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    browser: requests.Session = field(default_factory=lambda: _phone())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | {
            "AMP_MODE": "demo",
            "AMP_DEMO_DIR": str(self.directory),
            "AMP_DEMO_PORT": str(self.port),
            "AMP_DEMO_MQTT_PORT": str(self.mqtt_port),
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def told(self) -> str:
        """What the terminal shows."""
        return (self.directory / "terminal").read_text()

    @property
    def file(self) -> Path:
        """Its database."""
        return self.directory / "amp.sqlite3"

    @property
    def notes(self) -> dict[str, Any]:
        notes: dict[str, Any] = json.loads((self.directory / "demo.json").read_text())
        return notes

    def start(self) -> None:
        with (self.directory / "terminal").open("wb") as terminal:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "demo"],
                cwd=REPOSITORY,
                env=self.environment,
                stdout=terminal,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = self.process
        eventually(
            lambda: "Ctrl-C" in self.told or process.poll() is not None, within=SEEDED_WITHIN, every=0.1, what="demo"
        )
        assert process.poll() is None, self.told

    def children(self) -> list[int]:
        """Ids of all processes below the demo's."""
        assert self.process
        found, below = [], [self.process.pid]
        while below:
            threads = Path(f"/proc/{below.pop()}/task").glob("*/children")
            ids = [int(each) for path in threads for each in path.read_text().split()]
            found += ids
            below += ids
        return found

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=REPOSITORY, env=self.environment, capture_output=True, text=True, timeout=200, check=False
        )

    def post(self, path: str, **content: str) -> requests.Response:
        """As a form of the page last opened: with its token, and following the redirect."""
        token = self.browser.cookies.get("csrftoken", "")
        return self.browser.post(f"{self.url}{path}", data={"csrfmiddlewaretoken": token, **content}, timeout=60)

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=30) as connection:
            return connection.execute(statement, parameters).fetchall()

    def service(self) -> tuple[str, str]:
        """State and reported lock of the camera of the tour."""
        [row] = self.sql(
            "SELECT state, reported_lock FROM devices_deviceservice WHERE device_id = ?",
            self.notes["star"]["device_id"],
        )
        return row[0], row[1]

    def has_sent_online(self) -> bool:
        star = self.notes["star"]["device_id"]
        return bool(self.sql("SELECT 1 FROM devices_presence WHERE device_id = ? AND is_online", star))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("demo"))
    demo.start()
    yield demo
    if demo.process and demo.process.poll() is None:
        demo.process.kill()
        demo.process.wait()


def test_the_terminal_shows_where_to_look_and_nothing_that_alarms(demo: Demo) -> None:
    star = demo.notes["star"]
    for shown in ("/demo/", "/admin/", f"/r/{star['renewal_token']}", str(demo.mqtt_port), "clock advance"):
        assert shown in demo.told
    for login in demo.notes["logins"]:
        assert login["email"] in demo.told
    assert not re.search("WARNING|ERROR|Traceback", demo.told)


def test_the_demo_has_devices_in_every_state_of_service_and_lock(demo: Demo) -> None:
    states = dict(demo.sql("SELECT state, count(*) FROM devices_deviceservice GROUP BY state"))
    assert set(states) == {"PENDING", "TRIAL", "ACTIVE", "EXPIRED", "TERMINATED"}
    assert sum(states.values()) >= 200
    newest = set(
        demo.sql(
            "SELECT kind, status FROM devices_command c "
            "WHERE id = (SELECT max(id) FROM devices_command WHERE device_id = c.device_id)"
        )
    )
    assert {("LOCK", "CONFIRMED"), ("LOCK", "PENDING"), ("LOCK", "STALE"), ("UNLOCK", "PENDING")} <= newest
    [(renewed_often,)] = demo.sql(
        "SELECT count(*) FROM (SELECT 1 FROM devices_period GROUP BY device_id HAVING count(*) > 2)"
    )
    assert renewed_often > 4
    [(document,)] = demo.sql("SELECT document FROM catalog_thingmodel LIMIT 1")
    assert '"q_retain_device_sevice_notice"' in document


@pytest.mark.django_db  # whose triggers the demo's are compared with
def test_sqlite_refuses_what_postgresql_refuses_R9_F98(demo: Demo) -> None:
    with append_only.empty_copy(demo.file) as copy:
        append_only.refuses_what_postgresql_refuses(copy)


def test_a_permit_opens_an_old_event_on_sqlite_and_no_ledger_X5_X6(demo: Demo) -> None:
    with append_only.empty_copy(demo.file) as copy:
        append_only.a_permit_opens_an_old_event_and_no_ledger(copy)


def test_retention_deletes_no_event_of_money_and_no_young_one_on_sqlite_X5(demo: Demo) -> None:
    with append_only.empty_copy(demo.file) as copy:
        append_only.retention_deletes_no_event_of_money_and_no_young_one(copy)


def test_the_demos_own_scheduler_runs_every_sweep(demo: Demo) -> None:
    """Wake-ups alone would move a service that somebody looks at, and none that nobody does."""
    wanted = {"advance_due_services", "dispatch_commands", "close_commands", "fulfil_paid_orders", "count_devices"}
    finished = "SELECT name FROM foundation_sweeprun WHERE finished_at IS NOT NULL"
    eventually(lambda: wanted <= {name for (name,) in demo.sql(finished)}, what="the sweeps have run")


def test_a_second_demo_says_that_the_port_is_taken_and_what_to_do(demo: Demo, tmp_path: Path) -> None:
    second = Demo(tmp_path, port=demo.port).manage("demo")
    assert second.returncode == 1
    assert f"Port {demo.port} is in use" in second.stderr
    assert "AMP_DEMO_PORT=" in second.stderr


def test_the_camera_is_tried_locked_paid_for_and_unlocked(demo: Demo) -> None:
    """The main job: A2, A3, A17, A21, Q3."""
    star = demo.notes["star"]
    assert demo.browser.get(f"{demo.url}/", timeout=60).url == f"{demo.url}/demo/"
    assert demo.service() == ("PENDING", "UNKNOWN")

    assert demo.post(f"/demo/devices/{star['device_id']}", step="on").status_code == 200
    eventually(lambda: demo.has_sent_online() and demo.service()[1] == "UNLOCKED", what="the camera online, unlocked")
    demo.post("/demo/clock", step="5m")
    eventually(lambda: demo.service()[0] == "TRIAL", what="the trial after 5 minutes online")
    demo.post("/demo/clock", step="5m")
    eventually(lambda: demo.service() == ("EXPIRED", "LOCKED"), what="the lock after 10 minutes online")

    answer = _pay(demo, f"{demo.url}/r/{star['renewal_token']}")
    assert "199.00" in answer.text
    eventually(lambda: demo.service() == ("ACTIVE", "UNLOCKED"), what="the unlock after the payment")
    assert star["key"] in demo.browser.get(f"{demo.url}/demo/live", timeout=60).json()["html"]


def _phone() -> requests.Session:
    """A computer would be shown a code to scan."""
    session = requests.Session()
    session.headers["User-Agent"] = PHONE
    return session


def _pay(demo: Demo, renewal_url: str) -> requests.Response:
    """Choose the plan of 12 months, and pay on the sandbox's page; the result page."""
    page = demo.browser.get(renewal_url, timeout=60)
    plans = {int(name.split()[0]): value for value, name in _plans(page.text)}
    gateway = demo.post(renewal_url.removeprefix(demo.url) + "/pay", plan=plans[12])
    assert "/sandbox/pay/" in gateway.url
    paid = demo.post(gateway.url.removeprefix(demo.url), trouble="")
    assert "/orders/" in paid.url
    return paid


def _plans(html: str) -> list[tuple[str, str]]:
    """Value and name of each plan on the renewal page."""
    return re.findall(r'<input[^>]*name="plan"[^>]*value="([^"]+)".*?<b>(\d+ months?)', html, re.DOTALL)


def test_a_year_later_the_camera_is_locked_again_although_time_jumped(demo: Demo) -> None:
    demo.browser.get(f"{demo.url}/demo/", timeout=60)
    demo.post("/demo/clock", step="365d")
    demo.post("/demo/clock", step="1d")
    eventually(lambda: demo.service() == ("EXPIRED", "LOCKED"), what="the lock at the end of the paid year")
    assert "too_late" not in (demo.directory / "demo.log").read_text()


def test_staff_see_the_clock_in_the_admin_and_strangers_cannot_move_it(demo: Demo) -> None:
    login = next(each for each in demo.notes["logins"] if each["role"] == "ENTERPRISE_ADMINISTRATOR")
    demo.browser.get(f"{demo.url}/admin/login/", timeout=60)
    inside = demo.post("/admin/login/?next=/admin/", username=login["email"], password=login["password"])
    assert inside.url == f"{demo.url}/admin/"
    assert "amp-clock-bar" in inside.text
    stranger = requests.post(f"{demo.url}/demo/clock", data={"step": "1d"}, timeout=60)
    assert stranger.status_code == 403
    assert demo.post("/demo/clock", step="1century").status_code == 400
    demo.post("/demo/clock", step="reset")
    assert demo.manage("clock", "show").stdout.strip().endswith("(real time)")


def test_the_books_of_the_demo_balance(demo: Demo) -> None:
    audit = demo.manage("audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr


def test_sigterm_stops_all_of_it_and_leaves_no_child(demo: Demo) -> None:
    assert demo.process
    children = demo.children()
    assert children  # the broker
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(STOPPED_WITHIN) == 0, demo.told
    eventually(lambda: not any(map(is_alive, children)), what="the end of the broker")
    assert "Traceback" not in demo.told + (demo.directory / "demo.log").read_text()


def test_the_next_start_keeps_everything_and_kill_9_leaves_no_orphan(demo: Demo) -> None:
    before = demo.notes
    demo.start()
    assert demo.notes == before
    page = demo.browser.get(f"{demo.url}/r/{before['star']['renewal_token']}", timeout=60)
    assert page.status_code == 200
    children = demo.children()
    assert demo.process
    demo.process.kill()
    demo.process.wait()
    eventually(lambda: not any(map(is_alive, children)), what="the end of the broker")
