"""Only who signs may report, and nothing that is sent breaks anything (R6, R8, R10, F69)."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.db import OperationalError

from amp.foundation import clock
from amp.foundation.services import testclock
from devices import views
from devices.models import Bridge
from tests.services.emqx_calls import (
    AUTHENTICATE,
    AUTHORIZE,
    HOUR,
    INGEST,
    MINUTE,
    ago,
    connected,
    emqx_set_up,
    name,
    post,
    proof,
)
from tests.talking_devices import Fleet, make_fleet

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures(emqx_set_up.__name__)]


@pytest.fixture
def fleet() -> Fleet:
    return make_fleet(2)


def test_what_is_not_signed_is_refused_alike_whatever_is_wrong(fleet):
    body = json.dumps(connected(name(fleet), ago(HOUR))).encode()
    right = proof(body)
    wrong = [
        {},
        right | {"X-AMP-Signature": "hmac-sha256=" + "0" * 64},
        right | {"X-AMP-Timestamp": "soon"},
        {"X-AMP-Timestamp": right["X-AMP-Timestamp"]},
        proof(body, at=clock.wall() - 6 * MINUTE),
        proof(body, at=clock.wall() + 6 * MINUTE),
        proof(body, secret="another"),
        proof(body + b" "),
    ]
    answers = [post(body, headers) for headers in wrong]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    same = [{name: value for name, value in answer.items() if name != "X-Request-ID"} for answer in answers]
    assert all(headers == same[0] for headers in same)
    assert not fleet.presence().is_online
    assert post(body, right).status_code == 204, "negative control: the right signature lets the same body in"
    assert fleet.presence().is_online


def test_the_clock_of_signatures_is_real_time_R8(fleet):
    testclock.advance(timedelta(days=3), wall=clock.wall())
    clock.forget()
    try:
        assert post(connected(name(fleet), ago(HOUR))).status_code == 204
    finally:
        testclock.reset(wall=clock.wall())
        clock.forget()


def told(answer) -> str:
    """The answer without the number of the request."""
    return re.sub(r'"request_id": ?"\w+"', "", answer.content.decode())


@pytest.mark.parametrize("address", [INGEST, AUTHENTICATE, AUTHORIZE])
def test_nothing_of_it_exists_without_a_secret(fleet, settings, client, address):
    settings.EMQX_SECRET = ""
    unknown = client.post("/api/v1/ingest/unknown", b"{}", content_type="application/json")
    assert unknown.status_code == 404
    for headers in ({}, {"X-AMP-Secret": ""}, proof(b"{}", secret="")):
        answer = client.post(address, b"{}", content_type="application/json", headers=headers)
        assert answer.status_code == 404
        assert told(answer) == told(unknown)


@pytest.mark.parametrize("address", [INGEST, AUTHENTICATE, AUTHORIZE])
@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
def test_there_is_nothing_but_post(client, address, method):
    assert getattr(client, method)(address).status_code == 405


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"7", b"\xff\xfe", b"[" * 50_000, b'"' + b"x" * 900_000 + b'"'],
    ids=["empty", "open", "null", "number", "bytes", "deep", "long"],
)
def test_a_signed_body_that_is_no_event_is_a_400_that_is_counted(body):
    answer = post(body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert Bridge.objects.get(name="emqx").last_dropped == "not_json 1"


@pytest.mark.parametrize(("address", "size"), [(INGEST, 1024 * 1024 + 1), (AUTHENTICATE, 16_385), (AUTHORIZE, 16_385)])
def test_a_body_beyond_the_limit_is_not_read(client, address, size):
    answer = client.post(address, b" " * size, content_type="application/json")
    assert answer.status_code == 413


def test_three_thousand_events_fit_into_one_report(fleet):
    events = [connected(f"{fleet.product.key}/dev{number:06d}", ago(HOUR)) for number in range(3_000)]
    assert post(events).status_code == 204


def test_while_the_database_is_away_emqx_is_told_to_come_again(fleet, monkeypatch):
    monkeypatch.setattr(views, "record_emqx_events", Mock(side_effect=OperationalError("gone")))
    assert post(connected(name(fleet), ago(HOUR))).status_code == 503
