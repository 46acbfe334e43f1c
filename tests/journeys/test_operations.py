"""Real processes as operations see them: counts of all gunicorn workers, one id from web to worker, no secret in any
log, a schedule that a running beat takes (X10, F83)."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import requests
from django_celery_beat.models import PeriodicTask
from prometheus_client.parser import text_string_to_metric_families

from amp.foundation import clock
from amp.foundation.models import Role, SweepRun
from amp.foundation.scoping import system_scope
from amp.operations.schedules import change_schedule
from billing.models import Order
from devices.lifecycle import State
from devices.models import DeviceService
from tests import factories
from tests.api.calling import new_key
from tests.gateways.process import wechat_secret
from tests.stack.browsing import PHONE
from tests.stack.daemon import free_port
from tests.stack.processes import Product
from tests.stack.waiting import eventually

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
TOKEN = "a-token-of-the-monitoring-0123456789"
PASSWORD_TYPED = "wrong-but-somebodys-0815"


@pytest.fixture
def amp(product_on_test_database: Product) -> Product:
    """Not started; in the format of production."""
    product_on_test_database.environment |= {"AMP_METRICS_TOKEN": TOKEN, "AMP_LOG_FORMAT": "json"}
    return product_on_test_database


def scrape(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample, by Prometheus' own parser."""
    answer = requests.get(f"{url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for f in families for each in f.samples}


def lost(url: str) -> float:
    """Requests for an address that doesn't exist, as metrics count them."""
    labels = (("method", "GET"), ("status", "404"), ("view", "none"))
    return scrape(url).get(("amp_http_requests_total", labels), 0)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_any_gunicorn_worker_tells_what_all_of_them_counted_also_those_that_died_X10(amp: Product) -> None:
    web = amp.web()
    directory = Path(amp.environment["AMP_METRICS_DIR"])
    sent = 0

    def both_have_counted() -> bool:
        nonlocal sent
        for _number in range(10):
            requests.get(f"{amp.url}/nowhere", timeout=30)
            sent += 1
        return sum(file.stat().st_size > 0 for file in directory.glob("counter_*.db")) == 2

    eventually(both_have_counted, what="requests at both workers")
    assert [lost(amp.url) for _again in range(8)] == [sent] * 8
    for _death in range(3):
        victim = children_of(web.pid)[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda gone=victim: gone not in (now := children_of(web.pid)) and len(now) == 2, what="a new worker")
        for _number in range(10):
            requests.get(f"{amp.url}/nowhere", timeout=30)
        sent += 10
        assert [lost(amp.url) for _again in range(4)] == [sent] * 4
    assert len(list(directory.glob("counter_*.db"))) <= 3, "a new worker goes on in the file of the dead one"
    assert requests.get(f"{amp.url}/metrics", timeout=30).status_code == 401
    assert (directory.stat().st_mode & 0o777) == 0o700


def test_a_running_beat_takes_a_changed_schedule_and_the_worker_tells_its_tasks_X10(amp: Product) -> None:
    port = free_port()
    amp.environment["AMP_METRICS_PORT"] = str(port)
    heart = PeriodicTask.objects.get(task="amp.foundation.tasks.beat_heart")

    def change(seconds: int, *, enabled: bool) -> None:
        with system_scope():
            change_schedule(
                pk=heart.pk, seconds=seconds, enabled=enabled, typed="beat_heart", actor="ann", now=clock.now()
            )

    def beats() -> float:
        labels = (("outcome", "SUCCESS"), ("task", heart.task))
        return scrape(f"http://127.0.0.1:{port}").get(("amp_task_runs_total", labels), 0)

    change(86_400, enabled=True)
    worker, beat = amp.worker(), amp.beat()
    eventually(lambda: SweepRun.objects.filter(name="advance_due_services").exists(), what="a beat")
    before = beats()
    change(1, enabled=True)
    eventually(lambda: beats() >= before + 3, what="beats that weren't due before tomorrow")
    change(1, enabled=False)
    eventually(lambda: _rests(beats), what="a beat that is off")
    assert requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).status_code == 401
    assert requests.get(f"http://127.0.0.1:{port}/", timeout=30).status_code == 404
    assert beat.is_running
    worker.stop()
    assert not _answers(port)
    assert {each["level"] for each in lines(worker.output())} <= {"info", "warning"}, worker.output()


def _rests(count: Any) -> bool:
    """Not one more while beat looks at its schedule several times."""
    seen = count()
    runs = SweepRun.objects.get(name="advance_due_services").started_at
    eventually(
        lambda: (SweepRun.objects.get(name="advance_due_services").started_at - runs).total_seconds() > 4,
        what="some seconds of other sweeps",
    )
    return bool(count() == seen)


def _answers(port: int) -> bool:
    try:
        requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5)
    except requests.ConnectionError:
        return False
    return True


def lines(output: str) -> list[dict[str, Any]]:
    """The lines of JSON of a process; its banner is none."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def post(browser: requests.Session, url: str, **content: Any) -> requests.Response:
    token = browser.cookies.get("csrftoken", "")
    return browser.post(url, data={"csrfmiddlewaretoken": token, **content}, timeout=60)


def test_one_id_follows_a_payment_and_no_secret_reaches_any_log_X10_F83(amp: Product) -> None:
    now = clock.wall()
    with system_scope():
        maker = factories.make_enterprise("Greenfield", now=now)
        product = factories.make_product(maker, now=now)
        plan = factories.make_plan(product, months=12, now=now)
        device = factories.make_device(product, now=now)
        DeviceService.objects.filter(pk=device.device.pk).update(state=State.EXPIRED.value)
        ann = factories.make_member(maker, Role.ENTERPRISE_ADMINISTRATOR, email="ann@example.com")
    _row, key = new_key(maker, ann)
    web, worker = amp.web(), amp.worker()
    link = f"{amp.url}/r/{device.renewal_token}"
    told = {
        "link": device.renewal_token,
        "device": device.password,
        "key": key,
        "password": factories.PASSWORD,
        "typed": PASSWORD_TYPED,
        "monitoring": TOKEN,
        **{name: text for name, text in wechat_secret().items() if "key" in name and "id" not in name},
    }

    phone = requests.Session()
    phone.headers["User-Agent"] = PHONE  # a computer would be shown a code to scan
    phone.get(link, timeout=60)
    gateway = post(phone, f"{link}/pay", plan=str(plan.pk))
    assert "/sandbox/pay/" in gateway.url
    assert post(phone, gateway.url, decision="pay").status_code == 200
    with system_scope():
        eventually(lambda: Order.objects.filter(status="FULFILLED").exists(), what="the renewal")

    desk = requests.Session()
    desk.get(f"{amp.url}/admin/login/", timeout=60)
    post(desk, f"{amp.url}/admin/login/", username="ann@example.com", password=PASSWORD_TYPED)
    inside = post(desk, f"{amp.url}/admin/login/?next=/admin/", username="ann@example.com", password=factories.PASSWORD)
    assert inside.url == f"{amp.url}/admin/"
    told["session"] = desk.cookies["sessionid"]
    typed = {f"wechat_{name}": text for name, text in wechat_secret().items()}
    accounts = f"{amp.url}/admin/foundation/enterprise/{maker.pk}/accounts/"
    refused = post(desk, accounts, provider="wechat", ways="SCREEN", **typed)
    assert refused.status_code == 422, "never beside test money; the keys have been sent all the same"

    api = requests.Session()
    api.headers["Authorization"] = f"Bearer {key}"
    assert api.get(f"{amp.url}/api/v1/me", timeout=60).status_code == 200
    assert api.get(f"{amp.url}/api/v1/me?token={TOKEN}", timeout=60).status_code == 400
    hook = api.post(
        f"{amp.url}/api/v1/webhooks",
        json={"enterprise": maker.pk, "name": "ERP", "url": f"{amp.url}/nowhere", "types": ["order.paid"]},
        headers={"Idempotency-Key": "a-first-time-1"},
        timeout=60,
    )
    assert hook.status_code == 201, hook.text
    told["webhook"] = hook.json()["secret"]
    requests.get(f"{amp.url}/r/{device.renewal_token}x", headers={"Authorization": f"Bearer {key}"}, timeout=60)
    requests.get(f"{amp.url}/p/{device.renewal_token}", timeout=60)

    spoken = web.output() + worker.output()
    pieces = {name: piece for name, text in told.items() for piece in _pieces(text)}
    assert [name for name, piece in pieces.items() if piece in spoken] == []
    access = [each for each in lines(web.output()) if each["logger"] == "amp.access"]
    assert {"request_id", "method", "route", "status", "ms", "time"} <= set(access[0])
    assert "r/<str:token>/pay" in {each["route"] for each in access}
    assert not any("health" in each["route"] for each in access)
    assert f"user:{ann.pk}" in {each.get("actor") for each in access}
    assert (f"key:{key.rpartition('_')[0]}"[:16], maker.pk) in {
        (str(each.get("actor"))[:16], each.get("enterprise")) for each in access
    }
    asked = {each["request_id"] for each in access}
    tasks = [each for each in lines(worker.output()) if each["logger"] == "amp.tasks"]
    renewals = [
        each for each in tasks if each["task"] == "billing.tasks.fulfil_paid_orders" and each["request_id"] in asked
    ]
    assert renewals, "the notice's id goes along with the task that renews"
    assert renewals[0]["task_id"] != renewals[0]["request_id"]


def _pieces(text: str) -> list[str]:
    """What of a secret must not be found: itself, of a key with many lines each long one."""
    body = re.sub(r"-----[A-Z ]+-----", "", text)
    return [line for line in body.split() if len(line) >= 10]
