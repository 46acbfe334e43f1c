"""Who gets to see a renewal page, and what every answer of it withholds (F85, F91, F94, F96)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from amp.foundation.scoping import system_scope
from amp.public import answers, throttle
from devices.models import Device, PublicToken
from devices.services.registration import terminate_device
from devices.services.tokens import issue_token, revoke_token
from tests.factories import make_enterprise, make_product
from tests.services.shop import NOW, Loopback
from tests.services.visiting import BEFORE, Visit, newest_order, rows

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    cache.clear()
    with system_scope():
        yield


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch) -> Loopback:
    return Loopback.installed(monkeypatch)


def test_looking_creates_nothing_and_sets_no_cookie_F85() -> None:
    visit = Visit().over()
    visit.plan()
    before = rows()
    with CaptureQueriesContext(connection) as queries:
        response = visit.browser.get(visit.path)
    assert rows() == before
    assert not response.cookies
    assert not [query["sql"] for query in queries if not query["sql"].startswith("SELECT")]


def test_unknown_malformed_revoked_and_terminated_links_answer_alike_F85() -> None:
    live, revoked, ended = Visit(), Visit(), Visit()
    revoke_token(token=PublicToken.objects.get(device=revoked.device), actor="test", now=NOW)
    terminate_device(device=ended.device, actor="test", now=NOW)
    made_up = live.token[:-1] + ("A" if live.token[-1] != "A" else "B")
    paths = [
        revoked.path,
        ended.path,
        f"/r/{made_up}",
        "/r/x",
        "/r/",
        "/r/a/b/c",
        f"{live.path}/",
        "/r/%00%ff",
        f"{live.path}/orders/NONE",
    ]
    answers_ = [Client().get(path) for path in paths]
    assert {answer.status_code for answer in answers_} == {404}
    assert len({answer.content for answer in answers_}) == 1
    for answer in answers_:
        del answer.headers["X-Request-ID"]  # each request has a name of its own
    assert len({tuple(sorted(answer.headers.items())) for answer in answers_}) == 1
    posted = Client().post(f"/r/{made_up}/pay", {"plan": 1})
    assert (posted.status_code, posted.content) == (404, answers_[0].content)
    assert live.browser.get(live.path).status_code == 200


def test_a_new_link_works_beside_the_old_one_until_that_is_revoked_F85() -> None:
    visit = Visit()
    fresh = issue_token(device=visit.device, actor="test", now=NOW)
    assert Client().get(f"/r/{fresh}").status_code == Client().get(visit.path).status_code == 200
    assert fresh not in {row.digest for row in PublicToken.objects.all()}


def test_every_answer_is_private_and_runs_no_foreign_script_F85_F91() -> None:
    visit = Visit().over()
    plan = visit.plan()
    visit.choose(plan)
    order = newest_order().number
    for path in [visit.path, "/r/nothing", f"{visit.path}/orders/{order}", f"{visit.path}/orders/{order}/status"]:
        headers = visit.browser.get(path).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "noindex" in headers["X-Robots-Tag"]
        policy = headers["Content-Security-Policy"]
        assert "unsafe-inline" not in policy
        assert "default-src 'none'" in policy
    page = visit.browser.get(visit.path).content.decode()
    assert not re.search(r"\sstyle=|<style|<script(?! src)|\son[a-z]+=", page)


def test_a_name_that_is_markup_is_shown_as_text_F91() -> None:
    evil = "<script>alert(1)</script>"
    product = make_product(make_enterprise(f"Maker {evil}", now=BEFORE), name=f"Pump {evil}", now=BEFORE)
    visit = Visit(product, serial="<b>1")
    page = visit.browser.get(visit.path).content.decode()
    assert evil not in page
    assert "<b>1" not in page
    assert "Pump &lt;script&gt;" in page


def test_links_come_from_the_configured_address_never_from_the_host_header_F96(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    visit = Visit().over()
    plan = visit.plan()
    assert "evil.example" not in visit.browser.get(visit.path, headers={"host": "evil.example"}).content.decode()
    answer = visit.browser.post(f"{visit.path}/pay", {"plan": plan.pk}, headers={"host": "evil.example"})
    assert answer["Location"].startswith(settings.BASE_URL + "/sandbox/pay/")


def test_a_post_without_referrer_is_no_forgery_because_the_link_is_the_permission() -> None:
    """Browsers send `Origin: null` from a page that tells no referrer; Django's CSRF check would refuse that."""
    visit = Visit().over()
    plan = visit.plan()
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(f"{visit.path}/pay", {"plan": plan.pk}, headers={"origin": "null"})
    assert answer.status_code == 302


def test_an_address_that_asks_too_often_waits_and_the_others_do_not_F85(wire: Loopback) -> None:
    visit = Visit()
    for _look in range(120):
        assert visit.browser.get("/r/guess", REMOTE_ADDR="192.0.2.1").status_code == 404
    refused = visit.browser.get(visit.path, REMOTE_ADDR="192.0.2.1")
    assert refused.status_code == 429
    assert refused.headers["Cache-Control"] == "no-store"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert visit.browser.get(visit.path, REMOTE_ADDR="192.0.2.2").status_code == 200
    wire.at(timedelta(minutes=1))
    assert visit.browser.get(visit.path, REMOTE_ADDR="192.0.2.1").status_code == 200


def test_orders_are_limited_more_narrowly_than_looks() -> None:
    visit = Visit().over()
    plan = visit.plan()
    answers_ = {visit.choose(plan).status_code for _press in range(20)}
    assert answers_ == {302}
    assert visit.choose(plan).status_code == 429
    assert visit.browser.get(visit.path).status_code == 200


def test_a_made_up_forwarded_address_does_not_escape_the_limit_F94(settings: Any) -> None:
    def counted(**meta: Any) -> str:
        return throttle.address_of(Client().get("/r/x", **meta).wsgi_request)

    forged = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9, 198.51.100.7"}
    settings.TRUSTED_PROXIES = 0
    assert counted(**forged) == "192.0.2.1"
    settings.TRUSTED_PROXIES = 1
    assert counted(**forged) == "198.51.100.7"
    assert counted(REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR="rubbish") == "192.0.2.1"
    assert counted(REMOTE_ADDR="2001:db8:1:2:3:4:5:6") == counted(REMOTE_ADDR="2001:db8:1:2::9")
    assert counted(REMOTE_ADDR="::ffff:192.0.2.1") == "192.0.2.1"


def test_without_a_cache_the_page_stays_open_R5(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(throttle.cache, "add", lost)
    visit = Visit()
    assert {visit.browser.get(visit.path).status_code for _look in range(125)} == {200}


def test_the_rate_limit_is_what_stops_a_guesser_and_not_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with the brake off, the same flood gets through."""
    monkeypatch.setattr(answers, "is_too_fast", lambda *_, **__: False)
    visit = Visit()
    codes = [visit.browser.get("/r/guess").status_code for _look in range(130)]
    assert set(codes) == {404}


def test_a_view_of_one_link_sees_the_devices_of_that_enterprise_alone_R6() -> None:
    visit, other = Visit(), Visit()

    @answers.for_link("GET")
    def seen(_request: HttpRequest, _device: Device, _token: str) -> HttpResponse:
        return HttpResponse(",".join(Device.objects.values_list("key", flat=True)))

    assert seen(RequestFactory().get("/"), visit.token).content.decode() == visit.device.key
    assert seen(RequestFactory().get("/"), other.token).content.decode() == other.device.key
