"""What Prometheus reads: by its own parser, for a fixed price, for whoever has the token (X10)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from amp.foundation import clock
from amp.foundation.models import AlarmRow, SweepRun
from amp.foundation.scoping import system_scope
from amp.metrics.exposition import Counts, exposition
from amp.metrics.figures import Figures
from amp.metrics.slots import directory
from amp.observing import begin_task, end_task
from devices.delivery import CommandKind
from devices.models import Bridge, DeviceService
from devices.services.published import Fate, tell_published
from devices.transports.base import Outcome
from tests.factories import NOW, make_device, make_product

pytestmark = pytest.mark.django_db
DOCUMENT = Path(__file__).parents[2] / "docs" / "operations" / "monitoring.md"
TOKEN = "a-token-of-32-characters-at-least"
Samples = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture(autouse=True)
def in_system_scope(redis_server: Any) -> Iterator[None]:
    redis_server.client(0).delete("celery", "urgent")
    with system_scope():
        yield


def samples(text: str) -> Samples:
    """By name and values of labels; the parser refuses what isn't Prometheus' format."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sample.labels.values()))
            assert key not in found, f"{key} is told twice"
            found[key] = sample.value
    return found


def scrape(**headers: str) -> Samples:
    answer = Client().get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return samples(answer.content.decode())


def world() -> None:
    wall = clock.wall()
    SweepRun.objects.create(name="advance_due_services", started_at=wall, finished_at=wall, seconds=0.25, found=7)
    SweepRun.objects.create(name="worker_heartbeat", started_at=wall - timedelta(minutes=2), failed_because="Boom")
    Bridge.objects.create(name="amp-bridge", connected=True, beat_at=wall, received=40, dropped=2)
    AlarmRow.objects.create(key="x", kind="sweep_late", began_at=NOW, seen_at=NOW)
    device = make_device(make_product()).device
    DeviceService.objects.filter(pk=device.pk).update(due_at=clock.now() - timedelta(seconds=90))


def test_ages_of_sweeps_and_of_the_oldest_due_work_are_told_X10_F07_F13(redis_server: Any) -> None:
    world()
    redis_server.client(0).lpush("celery", "{}", "{}")
    told = scrape()
    assert 0 <= told["amp_sweep_age_seconds", ("advance_due_services",)] < 60
    assert 120 <= told["amp_worker_heartbeat_age_seconds", ()] < 180
    assert 90 <= told["amp_oldest_due_seconds", ("services",)] < 150
    exactly = {
        ("amp_oldest_due_seconds", ("refunds",)): 0,
        ("amp_sweep_failed", ("worker_heartbeat",)): 1,
        ("amp_sweep_last_seconds", ("advance_due_services",)): 0.25,
        ("amp_sweep_found_rows", ("advance_due_services",)): 7,
        ("amp_open_alarms", ("sweep_late",)): 1,
        ("amp_bridge_connected", ("amp-bridge",)): 1,
        ("amp_bridge_messages_total", ("amp-bridge",)): 40,
        ("amp_bridge_dropped_messages_total", ("amp-bridge",)): 2,
        ("amp_dead_rows", ("services",)): 0,
        ("amp_held_locks", ()): 0,
        ("amp_payment_exceptions", ()): 0,
        ("amp_unknown_attempts", ()): 0,
        ("amp_queue_messages", ("celery",)): 2,
        ("amp_queue_messages", ("urgent",)): 0,
        ("amp_up", ("database",)): 1,
        ("amp_up", ("redis",)): 1,
    }
    assert {key: told[key] for key in exactly} == exactly
    assert next(iter(told))[0] == "amp_sweep_age_seconds", "ages first"


def test_requests_and_tasks_are_counted_by_bounded_names() -> None:
    class Task:
        name = "amp.tasks.watch_alarms"
        request = object()

    before = samples(exposition(Counts(("amp_",))).decode())
    for path in ("/health/live", "/r/a-secret-token", "/nowhere/at/all"):
        Client().get(path)
    Client().generic("SUBSCRIBE", "/health/live")
    begin_task("t1", Task())
    end_task("t1", Task(), "FAILURE")
    text = exposition(Counts(("amp_",))).decode()
    after = samples(text)
    more = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    assert more["amp_http_requests_total", _by(text, view="amp.health.live", method="GET", status="200")] == 1
    assert more["amp_http_requests_total", _by(text, view="amp.health.live", method="OTHER", status="405")] == 1
    assert more["amp_http_requests_total", _by(text, view="none", method="GET", status="404")] == 1
    assert more["amp_task_runs_total", _by(text, outcome="FAILURE", task="amp.tasks.watch_alarms")] == 1
    assert "a-secret-token" not in text


def _by(text: str, **labels: str) -> tuple[str, ...]:
    """Values of labels in the order in which the text has them."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if dict(sample.labels) == labels:
                return tuple(sample.labels.values())
    raise AssertionError(f"{labels} isn't told")


def test_a_process_that_has_just_made_its_file_fails_no_scrape_X10() -> None:
    path = directory() / "counter_begun.db"
    path.touch()
    try:
        exposition(Counts("amp_"))
    finally:
        path.unlink()


def test_a_scrape_costs_the_same_however_much_there_is() -> None:
    world()
    numbers = []
    for _round in range(2):
        with CaptureQueriesContext(connection) as queries:
            exposition(Figures(now=clock.now(), wall=clock.wall()))
        numbers.append(len(queries))
        product = make_product()
        for number in range(20):
            make_device(product, key=f"D{number}")
            SweepRun.objects.create(name=f"sweep{_round}{number}", started_at=NOW)
    assert numbers[0] == numbers[1] == 22


def test_what_is_down_is_told_and_the_rest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from amp.metrics import figures

    def fail(*_: Any) -> None:
        raise ConnectionError("redis://:secret@host")

    world()
    monkeypatch.setattr(figures, "read_queues", fail)
    told = scrape()
    assert (told["amp_up", ("redis",)], told["amp_up", ("database",)]) == (0, 1)
    monkeypatch.setattr(figures.waiting, "oldest_work", fail)
    told = scrape()
    assert told["amp_up", ("database",)] == 0
    assert not any(name.startswith("amp_sweep") for name, _labels in told), "half of the figures would look like all"
    assert any(name.startswith("amp_http_requests") for name, _labels in told)


@pytest.mark.parametrize(
    ("token", "production", "address", "header", "status"),
    [
        ("", False, "127.0.0.1", "", 200),
        ("", False, "203.0.113.7", "", 404),
        ("", True, "127.0.0.1", "", 404),
        ("", True, "127.0.0.1", "Bearer ", 404),
        (TOKEN, True, "203.0.113.7", f"Bearer {TOKEN}", 200),
        (TOKEN, True, "203.0.113.7", f"bearer {TOKEN}", 200),
        (TOKEN, True, "127.0.0.1", "", 401),
        (TOKEN, False, "127.0.0.1", "", 401),
        (TOKEN, True, "127.0.0.1", f"Bearer {TOKEN}x", 401),
        (TOKEN, True, "127.0.0.1", "Bearer \N{SNOWMAN}", 401),
        (TOKEN, True, "127.0.0.1", f"Basic {TOKEN}", 401),
        (TOKEN, True, "127.0.0.1", TOKEN, 401),
    ],
)
def test_figures_of_the_platform_are_for_whoever_has_the_token_X9(
    settings: Any, token: str, production: bool, address: str, header: str, status: int
) -> None:
    settings.METRICS_TOKEN, settings.IS_PRODUCTION = token, production
    answer = Client(REMOTE_ADDR=address).get("/metrics", headers={"Authorization": header} if header else {})
    assert answer.status_code == status
    assert b"amp_" not in answer.content or status == 200


def test_the_document_explains_every_metric_and_no_other() -> None:
    world()
    begin_task("t2", type("Task", (), {"name": "x", "request": None})())
    end_task("t2", type("Task", (), {"name": "x"})(), "SUCCESS")
    Client().get("/health/live")
    tell_published([Fate(CommandKind.LOCK, Outcome.PUBLISHED)])
    text = exposition(Figures(now=clock.now(), wall=clock.wall()), Counts(("amp_",))).decode()
    exposed = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(text)
    }
    explained = set(re.findall(r"^\| `(amp_[a-z_]+)", DOCUMENT.read_text(), re.MULTILINE))
    assert explained == exposed
    used = set(re.findall(r"\bamp_[a-z_]+", DOCUMENT.read_text()))
    series = exposed | {f"{name}{end}" for name in exposed for end in ("_bucket", "_sum", "_count")}
    assert used <= series, "rules and texts name metrics that exist"
