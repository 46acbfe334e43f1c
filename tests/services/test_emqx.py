"""EMQX reports presence and asks who may do what, over HTTP with a shared secret (P1–P5, X4, F60, F68, F69, R6)."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from unittest.mock import Mock

import pytest
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext

from amp.foundation import clock, wakeups
from amp.foundation.scoping import system_scope
from amp.foundation.services import testclock
from devices import views
from devices.models import Bridge, Command, Device
from devices.services.credentials import revoke_credential, rotate_credential
from devices.services.registration import terminate_device
from tests.services.emqx_calls import (
    AUTHENTICATE,
    AUTHORIZE,
    INGEST,
    SECRET,
    ask,
    connected,
    disconnected,
    ms,
    post,
    proof,
)
from tests.talking_devices import Fleet, lock_sent, make_fleet

pytestmark = pytest.mark.django_db
moments: dict[str, datetime] = {}
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture(autouse=True)
def setup(settings) -> None:
    moments["start"] = clock.wall().replace(microsecond=0)
    settings.EMQX_SECRET = SECRET
    settings.MQTT_URL = "mqtt://platform:its%20password@127.0.0.1:1884"


@pytest.fixture
def fleet() -> Fleet:
    return make_fleet(2)


def ago(length: timedelta) -> datetime:
    """A moment before the test began, as the broker's clock shows it."""
    return moments["start"] - length


def name(fleet: Fleet, key: str = "d1") -> str:
    return f"{fleet.product.key}/{key}"


def statements(queries: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]


# --- presence ----------------------------------------------------------------------------------------------------------


def test_a_session_counts_from_connect_to_disconnect_by_the_brokers_clock_P1_P5(fleet):
    began, ended = ago(3 * HOUR), ago(HOUR)
    assert post(connected(name(fleet), began)).status_code == 204
    presence = fleet.presence()
    assert (presence.is_online, presence.session, presence.open_since, presence.keepalive) == (
        True,
        str(ms(began)),
        began,
        60,
    )
    answer = post(disconnected(name(fleet), ended, since=began))
    assert (answer.status_code, answer.content) == (204, b"")
    assert fleet.hours() == 2
    assert [(row.session, row.started_at, row.ended_at, row.estimated) for row in fleet.sessions()] == [
        (str(ms(began)), began, ended, False)
    ]


@pytest.mark.parametrize("reason", ["takenover", "discarded"])
def test_a_take_over_never_makes_a_device_offline_P3(fleet, reason):
    """In whichever order both arrive; from 5.9 on the old end is later than the new beginning."""
    first, second = ago(3 * HOUR), ago(2 * HOUR)
    taken = disconnected(name(fleet), second + SECOND, since=first, reason=reason)
    for events in ([taken, connected(name(fleet), second)], [connected(name(fleet), second), taken], [taken]):
        post(connected(name(fleet), first))
        for event in events:
            assert post(event).status_code == 204
        assert fleet.presence().is_online
    assert fleet.presence().open_since == first
    post(disconnected(name(fleet), ago(HOUR), since=second))
    assert not fleet.presence().is_online
    assert fleet.hours() == 2


def test_a_disconnect_that_comes_after_a_newer_connect_leaves_the_device_online_P3(fleet):
    first, ended, second = ago(3 * HOUR), ago(2 * HOUR), ago(HOUR)
    post([connected(name(fleet), first), connected(name(fleet), second)])
    post(disconnected(name(fleet), ended, since=first))
    assert fleet.presence().is_online
    assert fleet.hours() == 1


def test_a_connect_that_was_lost_is_told_by_its_disconnect(fleet):
    """EMQX gives up on a report after a while; the end of a session names its beginning."""
    post(disconnected(name(fleet), ago(HOUR), since=ago(3 * HOUR)))
    assert fleet.hours() == 2
    assert not fleet.presence().is_online


def test_a_lost_connect_after_another_session_does_not_leave_the_device_online_for_ever_P3(fleet):
    first, second = ago(3 * HOUR), ago(2 * HOUR)
    post(connected(name(fleet), first))
    post(disconnected(name(fleet), second, since=first, reason="takenover"))
    post(disconnected(name(fleet), ago(HOUR), since=second))
    assert not fleet.presence().is_online
    assert fleet.hours() == 2


def test_a_report_that_is_repeated_changes_nothing_P2(fleet):
    """So a replay within the five minutes is harmless; byte for byte and headers included."""
    body = json.dumps(
        [connected(name(fleet), ago(3 * HOUR)), disconnected(name(fleet), ago(2 * HOUR), since=ago(3 * HOUR))]
    ).encode()
    headers = proof(body)
    for _ in range(3):
        assert post(body, headers).status_code == 204
        assert fleet.hours() == 1
        assert len(fleet.sessions()) == 1
        assert not fleet.presence().is_online


def test_a_session_older_than_seven_days_still_ends_now(fleet):
    """Its beginning was told in time and isn't refused with every end (P5)."""
    began = clock.wall() - timedelta(days=6, hours=23)
    began = began.replace(microsecond=0)
    post(connected(name(fleet), began))
    testclock.advance(timedelta(days=2), wall=clock.wall())
    clock.forget()
    try:
        assert post(disconnected(name(fleet), ago(SECOND), since=began)).status_code == 204
        assert not fleet.presence().is_online
        assert not Bridge.objects.get(name="emqx").dropped
    finally:
        testclock.reset(wall=clock.wall())
        clock.forget()


@pytest.mark.parametrize(("at", "reason"), [(-8 * 24 * HOUR, "too_late"), (10 * MINUTE, "too_far_ahead")])
def test_events_outside_their_window_are_refused_and_counted_P5(fleet, at, reason):
    assert post(connected(name(fleet), ago(-at))).status_code == 204
    assert not fleet.presence().is_online
    bridge = Bridge.objects.get(name="emqx")
    assert (bridge.received, bridge.dropped, bridge.last_dropped) == (1, 1, f"{reason} 1")


def test_unknown_and_foreign_clients_are_dropped_and_counted_beside_the_others(fleet):
    terminated = Device.objects.get(pk=fleet.ids["d2"])
    terminate_device(device=terminated, actor="ann", now=clock.now())
    odd = connected(name(fleet), ago(HOUR))
    events = [
        connected(name(fleet, "d2"), ago(HOUR)),
        connected(name(fleet, "nobody"), ago(HOUR)),
        {**odd, "clientid": "mqttx"},
        {**odd, "username": "platform", "clientid": "amp-bridge"},
        {**odd, "connected_at": None},
        "junk",
        odd,
    ]
    assert post(events).status_code == 204
    assert fleet.presence().is_online
    bridge = Bridge.objects.get(name="emqx")
    assert (bridge.received, bridge.dropped) == (7, 6)
    assert bridge.last_dropped == "client 2, not_an_object 1, session 1, unknown_device 2"
    assert not bridge.connected, "readiness counts bridges that listen, not this one"


def test_a_device_that_connects_is_sent_what_waits_for_it_A21(fleet, monkeypatch):
    command = lock_sent(fleet)
    Command.objects.filter(pk=command.pk).update(
        status="PENDING", sent_at=None, due_at=None, stale_at=clock.now() + HOUR
    )
    wake = Mock()
    monkeypatch.setattr(wakeups, "wake", wake)
    post(disconnected(name(fleet), ago(SECOND), since=ago(HOUR)))
    command.refresh_from_db()
    assert command.due_at is None, "a device that left is not sent to"
    post(connected(name(fleet), ago(SECOND)))
    command.refresh_from_db()
    assert command.due_at is not None


def test_the_test_clock_moves_the_brokers_times_too_R8(fleet):
    """Real time stays the measure of signatures; what EMQX stamps is moved with the product's time."""
    testclock.advance(timedelta(days=400), wall=clock.wall())
    clock.forget()
    try:
        began = ago(2 * HOUR)
        post(connected(name(fleet), began))
        assert fleet.presence().open_since == began + timedelta(days=400)
        post(disconnected(name(fleet), ago(HOUR), since=began))
        assert fleet.hours() == 1
    finally:
        testclock.reset(wall=clock.wall())
        clock.forget()


def test_a_batch_costs_the_same_whatever_its_size():
    counts = []
    for number, size in enumerate((1, 40)):
        fleet = make_fleet(size, name=f"Maker {number}")
        post(connected("no/body", ago(HOUR)))
        events = [connected(name(fleet, key), ago(HOUR)) for key in fleet.ids]
        body = json.dumps(events).encode()
        with CaptureQueriesContext(connection) as queries:
            assert post(body).status_code == 204
        counts.append(len(statements(queries)))
        assert all(fleet.presence(key).is_online for key in fleet.ids)
    assert counts[0] == counts[1] <= 9, counts


@pytest.mark.django_db(transaction=True)
def test_two_reports_about_the_same_devices_in_other_orders_both_get_through(fleet):
    """Locks are taken in one order (F23); nothing is lost between them."""
    names = [name(fleet, "d1"), name(fleet, "d2")]
    began = [ago(3 * HOUR), ago(2 * HOUR)]
    bodies = [[connected(who, began[turn]) for who in (names if turn else names[::-1])] for turn in (0, 1)]
    answers: list[int] = []

    def report(turn: int) -> None:
        try:
            with system_scope():
                answers.append(post(bodies[turn]).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=report, args=(turn,)) for turn in (0, 1) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [204] * 6
    assert {fleet.presence(key).session for key in ("d1", "d2")} == {str(ms(began[1]))}, "the newer one, in any order"
    assert Bridge.objects.get(name="emqx").received == 12


# --- who may report ----------------------------------------------------------------------------------------------------


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


# --- who may connect ---------------------------------------------------------------------------------------------------


def login(fleet: Fleet, key: str = "d1", **changes: str) -> dict[str, object]:
    who = name(fleet, key)
    question = {"username": who, "clientid": who, "password": fleet.passwords.get(key, "")} | changes
    answer = ask(AUTHENTICATE, question)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    return answer.json()


ALLOW = {"result": "allow", "is_superuser": False}
DENY = {"result": "deny", "is_superuser": False}


def test_a_device_connects_as_itself_with_its_own_password_F68(fleet):
    assert login(fleet) == ALLOW
    assert login(fleet, password=fleet.passwords["d2"]) == DENY
    assert login(fleet, password="") == DENY
    assert login(fleet, clientid=name(fleet, "d2")) == DENY
    assert login(fleet, clientid="mqttx_1") == DENY
    assert login(fleet, "nobody", password="") == DENY
    for odd in ("", "d1", "/", "a/b/c", "pk/+", "pk/\0", "é/d1", "x" * 5_000, "platform"):
        assert login(fleet, username=odd, clientid=odd) == DENY


def test_an_old_password_ends_with_rotation_revocation_and_termination_X4(fleet):
    device = Device.objects.get(pk=fleet.ids["d1"])
    fresh = rotate_credential(device=device, actor="ann", now=clock.now())
    assert login(fleet) == DENY
    assert login(fleet, password=fresh) == ALLOW
    revoke_credential(device=device, actor="ann", now=clock.now())
    assert login(fleet, password=fresh) == DENY
    assert login(fleet, password="") == DENY
    again = rotate_credential(device=device, actor="ann", now=clock.now())
    assert login(fleet, password=again) == ALLOW
    terminate_device(device=device, actor="ann", now=clock.now())
    assert login(fleet, password=again) == DENY


def test_the_platforms_own_processes_connect_under_any_client_id(fleet):
    platform = {"username": "platform", "password": "its password"}
    assert login(fleet, **platform, clientid="amp-bridge") == ALLOW
    assert login(fleet, **(platform | {"password": "its%20password"}), clientid="amp-bridge") == DENY
    assert login(fleet, username="platform", password="", clientid="platform") == DENY


def test_without_a_platform_user_nobody_is_the_platform(fleet, settings):
    settings.MQTT_URL = "mqtt://127.0.0.1:1884"
    assert login(fleet, username="", password="", clientid="") == DENY
    assert ask(AUTHORIZE, {"username": "", "clientid": "", "action": "subscribe", "topic": "amp/#"}).json() == {
        "result": "deny"
    }


@pytest.mark.parametrize("known", [True, False])
def test_a_login_costs_one_query_whether_the_device_exists_or_not(fleet, known):
    with CaptureQueriesContext(connection) as queries:
        login(fleet, "d1" if known else "nobody", password="wrong")
    assert len(statements(queries)) == 1


def test_an_unknown_device_is_compared_with_as_much_work_as_a_known_one(fleet, monkeypatch):
    """One comparison each, of hashes with as many rounds; a wall clock is not asked."""
    from devices.services import emqx

    compared: list[str] = []
    matches = emqx.password_matches
    monkeypatch.setattr(emqx, "password_matches", lambda text, digest: compared.append(digest) or matches(text, digest))
    revoke_credential(device=Device.objects.get(pk=fleet.ids["d2"]), actor="ann", now=clock.now())
    for key in ("d1", "d2", "nobody"):
        login(fleet, key, password="wrong")
    login(fleet, username="platform", password="its password", clientid="amp-bridge")
    assert len(compared) == 4
    assert len({digest.split("$")[2] for digest in compared}) == 1


# --- who may use which topic -------------------------------------------------------------------------------------------


def verdict(fleet: Fleet, action: str, topic: str, key: str = "d1", **changes: str) -> str:
    who = name(fleet, key)
    answer = ask(AUTHORIZE, {"username": who, "clientid": who, "action": action, "topic": topic} | changes)
    assert answer.status_code == 200
    assert set(answer.json()) == {"result"}
    return answer.json()["result"]


def test_a_device_uses_its_own_topics_and_no_others_F68_R6(fleet):
    own = f"amp/{name(fleet)}"
    for action, topic in (("publish", "up/attr"), ("publish", "status"), ("subscribe", "down/#")):
        assert verdict(fleet, action, f"{own}/{topic}") == "allow"
        assert verdict(fleet, action, f"amp/{name(fleet, 'd2')}/{topic}") == "deny"
        assert verdict(fleet, action, f"{own}/{topic}", clientid="mqttx") == "deny"
        assert verdict(fleet, action, f"{own}/{topic}", "nobody") == "deny"
    for action, topic in (("subscribe", "#"), ("publish", f"{own}/down/attr"), ("subscribe", f"{own}/up/#"), ("", own)):
        assert verdict(fleet, action, topic) == "deny"


@pytest.mark.parametrize("end", [revoke_credential, terminate_device])
def test_a_connection_that_is_still_open_may_nothing_any_more_X4(fleet, end):
    own = f"amp/{name(fleet)}/up/attr"
    assert verdict(fleet, "publish", own) == "allow"
    end(device=Device.objects.get(pk=fleet.ids["d1"]), actor="ann", now=clock.now())
    assert verdict(fleet, "publish", own) == "deny"


def test_the_platform_hears_and_tells_every_device(fleet):
    who = {"username": "platform", "clientid": "amp-bridge"}
    assert verdict(fleet, "subscribe", "amp/+/+/up/#", **who) == "allow"
    assert verdict(fleet, "publish", f"amp/{name(fleet)}/down/attr", **who) == "allow"
    assert verdict(fleet, "subscribe", "$SYS/#", **who) == "deny"


def test_a_verdict_costs_one_query_at_most_and_none_for_what_no_device_may(fleet):
    for topic, cost in ((f"amp/{name(fleet)}/up/attr", 1), ("#", 0)):
        with CaptureQueriesContext(connection) as queries:
            verdict(fleet, "publish", topic)
        assert len(statements(queries)) == cost


@pytest.mark.parametrize("address", [AUTHENTICATE, AUTHORIZE])
def test_questions_without_the_secret_are_refused_alike(address):
    answers = [
        ask(address, {"username": "pk/d1"}, secret=secret) for secret in ("", "wrong", SECRET + "x", SECRET[:-1])
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(401, answers[0].content)}


@pytest.mark.parametrize("address", [AUTHENTICATE, AUTHORIZE])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"username":1}', b"\xff", b'{"username":"\\ud800"}'])
def test_a_question_that_makes_no_sense_is_denied_with_200(address, body):
    """EMQX passes a question that got an error on to the next in its chain: a denial is safer."""
    answer = ask(address, body)
    assert (answer.status_code, answer.json()["result"]) == (200, "deny")
