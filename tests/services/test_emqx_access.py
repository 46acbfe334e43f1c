"""EMQX asks who may connect and who may use which topic (X4, F68, F94, R6)."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from amp.foundation import clock
from devices.models import Device
from devices.services.credentials import revoke_credential, rotate_credential
from devices.services.registration import terminate_device
from tests.services.emqx_calls import (
    AUTHENTICATE,
    AUTHORIZE,
    SECRET,
    ask,
    emqx_set_up,
    name,
    statements,
)
from tests.talking_devices import Fleet, make_fleet

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures(emqx_set_up.__name__)]


@pytest.fixture
def fleet() -> Fleet:
    return make_fleet(2)


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
