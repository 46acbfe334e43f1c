"""What EMQX sends, read without trusting any of it (P2, P3, P5, F68, F69)."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import emqx
from devices.transports.mosquitto import render_acl
from devices.wire import Source

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MS = 1_772_452_800_000  # the same moment
SECRET = "0123456789abcdef" * 4
BODY = b'{"event": "client.connected"}'
D1 = Source("pk", "d1")


def connected(**changes: Any) -> dict[str, Any]:
    """As the rule engine of EMQX 5.8 tells it, with fields that nobody here reads."""
    return {
        "event": "client.connected",
        "username": "pk/d1",
        "clientid": "pk/d1",
        "connected_at": MS,
        "keepalive": 60,
        "timestamp": MS + 1,
        "peername": "192.168.0.10:56431",
        "proto_ver": 5,
        "clean_start": True,
        "node": "emqx@127.0.0.1",
        "conn_props": {"User-Property": {}},
        **changes,
    }


def disconnected(**changes: Any) -> dict[str, Any]:
    fields = {"event": "client.disconnected", "disconnected_at": MS + 5000, "reason": "normal", "keepalive": None}
    return connected(**{**fields, **changes})


def read(*events: Any) -> emqx.Reading:
    reading = emqx.read_events(json.dumps(list(events)).encode())
    assert reading is not None
    return reading


def sign(
    body: bytes = BODY, *, at: datetime = NOW, secret: str = SECRET, scheme: str = "hmac-sha256"
) -> dict[str, str]:
    """Timestamp and signature, written down independently of the product."""
    stamp = str(int(at.timestamp()))
    message = stamp.encode() + b"." + body
    if scheme == "hmac-sha256":
        digest = hmac.digest(secret.encode(), message, "sha256").hex()
    else:
        inner = hashlib.sha256(f"{secret}.".encode() + message).hexdigest()
        digest = hashlib.sha256((secret + inner).encode()).hexdigest()
    return {"timestamp": stamp, "signature": f"{scheme}={digest}"}


def is_signed(proof: dict[str, str], *, body: bytes = BODY, secret: str = SECRET, wall: datetime = NOW) -> bool:
    return emqx.is_signed(body, **proof, secret=secret, wall=wall)


# --- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["hmac-sha256", "nested-sha256"])
def test_a_signature_holds_for_its_body_its_moment_and_its_secret_alone(scheme):
    proof = sign(scheme=scheme)
    assert is_signed(proof)
    assert not is_signed(proof, body=BODY + b" ")
    assert not is_signed(proof, secret=SECRET + "x")
    assert not is_signed(proof | {"timestamp": str(int(proof["timestamp"]) + 1)})
    assert not is_signed(proof | {"signature": proof["signature"].swapcase()})


@pytest.mark.parametrize("scheme", ["hmac-sha256", "nested-sha256"])
@pytest.mark.parametrize(("off", "holds"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_a_signature_holds_for_five_minutes_to_both_sides(scheme, off, holds):
    assert is_signed(sign(scheme=scheme), wall=NOW + timedelta(seconds=off)) is holds


def test_the_moment_is_proven_too_so_an_old_body_is_not_dressed_as_a_new_one():
    old = sign(at=NOW - timedelta(hours=1))
    assert not is_signed({**old, "timestamp": sign()["timestamp"]})


@pytest.mark.parametrize(
    "signature", ["", "=", "hmac-sha256", "hmac-sha256=", "md5=abc", "=" * 100, "hmac-sha256=é", "\ud800", "nested="]
)
@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1e9", "9" * 400, "１７７２４５２８００", str(MS // 1000)])
def test_junk_is_no_signature(signature, timestamp):
    assert not is_signed({"timestamp": timestamp, "signature": signature})


def test_one_form_is_not_taken_for_the_other():
    right = sign()["signature"].partition("=")[2]
    assert not is_signed(sign() | {"signature": f"nested-sha256={right}"})


def test_a_nested_signature_can_not_be_lengthened():
    """Negative control: the bare prefix hash, which SHA-256 lets anybody extend, is not what is compared."""
    stamp = sign()["timestamp"]
    bare = hashlib.sha256(f"{SECRET}.{stamp}.".encode() + BODY).hexdigest()
    assert not is_signed({"timestamp": stamp, "signature": f"nested-sha256={bare}"})


# --- events ----------------------------------------------------------------------------------------------------------


def test_connected_at_names_the_session_and_the_brokers_times_count_P2_P5():
    reading = read(connected(), disconnected())
    assert reading.told == [
        emqx.Told(D1, str(MS), NOW, None, 60),
        emqx.Told(D1, str(MS), NOW, NOW + timedelta(seconds=5)),
    ]
    assert not reading.refused


def test_one_event_needs_no_list_and_times_may_be_quoted():
    reading = emqx.read_events(json.dumps(connected(connected_at=str(MS))).encode())
    assert reading is not None
    assert reading.told == [emqx.Told(D1, str(MS), NOW, None, 60)]


@pytest.mark.parametrize("reason", ["takenover", "discarded"])
def test_a_take_over_ends_no_presence_P3(reason):
    reading = read(disconnected(reason=reason), disconnected(reason="keepalive_timeout"))
    assert (len(reading.told), reading.passed_on, reading.refused.total()) == (1, 1, 0)


@pytest.mark.parametrize("reason", [[], {}, ["takenover"], None, 7])
def test_a_reason_that_is_no_text_ends_the_presence_like_any_other_F69(reason):
    reading = read(disconnected(reason=reason), disconnected())
    assert (len(reading.told), reading.passed_on, reading.refused.total()) == (2, 0, 0)


def test_a_disconnect_before_its_connect_ends_an_empty_session():
    """From 5.9 on the two clocks of a cluster may disagree by a little."""
    [told] = read(disconnected(disconnected_at=MS - 20)).told
    assert told.disconnected_at == told.connected_at == NOW


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (1, "not_an_object"),
        (None, "not_an_object"),
        ([connected()], "not_an_object"),
        ({}, "event"),
        (connected(event="client.connack"), "event"),
        (connected(event=["client.connected"]), "event"),
        (connected(username="pk/d2"), "client"),
        (connected(clientid="mqttjs_1"), "client"),
        (connected(username=None), "client"),
        (connected(username=None, clientid=None), "client"),
        (connected(username={}, clientid={}), "client"),
        (connected(username="pk/d/1", clientid="pk/d/1"), "client"),
        (connected(username="pk/", clientid="pk/"), "client"),
        (connected(username="pk/+", clientid="pk/+"), "client"),
        (connected(username="pk/d1\n", clientid="pk/d1\n"), "client"),
        (connected(username="amp-bridge", clientid="amp-bridge"), "client"),
        (connected(connected_at=None), "session"),
        (disconnected(connected_at=None), "session"),
        (connected(connected_at=0), "session"),
        (connected(connected_at=-MS), "session"),
        (connected(connected_at=True), "session"),
        (connected(connected_at=float(MS)), "session"),
        (connected(connected_at=10**30), "session"),
        (connected(connected_at="soon"), "session"),
        (connected(connected_at="9" * 400), "session"),
        (disconnected(disconnected_at=None), "timestamp"),
        (disconnected(disconnected_at=[MS]), "timestamp"),
    ],
)
def test_an_event_that_breaks_the_format_is_refused_alone(event, reason):
    reading = read(connected(), event, connected())
    assert dict(reading.refused) == {reason: 1}
    assert len(reading.told) == 2


@pytest.mark.parametrize("keepalive", [0, -1, 70_000, "60", None, True, 1.5])
def test_a_keepalive_that_is_none_is_left_out(keepalive):
    assert read(connected(keepalive=keepalive)).told[0].keepalive is None


@pytest.mark.parametrize("body", [b"", b"null", b"1", b'"x"', b"{", b"\xff", b"[" * 100_000, b'{"a":NaN}', b"\x00"])
def test_a_body_that_is_no_event_is_none(body):
    assert emqx.read_events(body) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        name: anything | st.sampled_from(["client.connected", "client.disconnected", "pk/d1", MS, "takenover"])
        for name in ("event", "username", "clientid", "connected_at", "disconnected_at", "keepalive", "reason")
    },
)


@given(st.lists(fields | anything, max_size=5))
def test_no_json_raises_and_every_event_is_accounted_for(events):
    body = json.dumps(events, allow_nan=True).encode("utf-8", "surrogatepass")
    reading = emqx.read_events(body)
    if reading is not None:
        assert len(reading.told) + reading.refused.total() + reading.passed_on == len(events)


@given(st.binary(max_size=200))
def test_no_bytes_raise(body):
    emqx.read_events(body)
    emqx.read_question(body)


# --- questions -------------------------------------------------------------------------------------------------------


def test_a_question_is_an_object_of_texts():
    asked = emqx.read_question(b'{"username":"pk/d1","clientid":"pk/d1","password":"x","peerhost":"1.2.3.4"}')
    assert asked == emqx.Question("pk/d1", "pk/d1", "x")
    assert emqx.read_question(b'{"username":null}') == emqx.Question()
    for junk in (b"", b"[]", b"1", b'{"username":1}', b'{"password":["x"]}', b'{"topic":{}}'):
        assert emqx.read_question(junk) is None


OWN = "amp/pk/d1"
TOPICS = [
    *(f"{OWN}/{tail}" for tail in ("up/attr", "up/ack", "up/a/b/c", "up", "up/", "status", "status/x", "down/attr")),
    *(f"{OWN}/{tail}" for tail in ("down/#", "down/+", "down", "#", "+/attr", "up/#", "upper", "downward", "down#")),
    *("#", "+/+/+/down/#", "amp/#", "amp/pk/+/down/#", "amp/pk/d2/down/#", "amp/pk/d2/up/attr", "amp/pk/d2/status"),
    *("amp/pk/d11/up/attr", "amp/pk/d1", "amp", "", "$SYS/#", "$share/g/amp/pk/d1/down/#", "AMP/pk/d1/up/attr"),
]
MAY_PUBLISH = {f"{OWN}/{tail}" for tail in ("up/attr", "up/ack", "up/a/b/c", "up", "up/", "status")}
MAY_SUBSCRIBE = {f"{OWN}/{tail}" for tail in ("down/attr", "down/#", "down/+", "down")}


@pytest.mark.parametrize("topic", TOPICS)
def test_a_device_speaks_and_hears_below_its_own_topics_and_nowhere_else(topic):
    assert emqx.device_may(D1, "publish", topic) is (topic in MAY_PUBLISH)
    assert emqx.device_may(D1, "subscribe", topic) is (topic in MAY_SUBSCRIBE)
    for action in ("", "all", "PUBLISH", "unsubscribe"):
        assert not emqx.device_may(D1, action, topic)


def test_the_acl_is_the_one_that_mosquitto_gets():
    lines = [line.split() for line in render_acl("platform").splitlines() if line.startswith("pattern")]
    patterns = {(verb, pattern.replace("%u", "pk/d1")) for _pattern, verb, pattern in lines}
    assert patterns == {("write", f"{OWN}/up/#"), ("write", f"{OWN}/status"), ("read", f"{OWN}/down/#")}


def test_the_platform_reads_and_writes_everything_below_amp_and_nothing_else():
    for topic in ("amp/#", "amp/+/+/status", "amp/pk/d1/down/attr", "$share/amp/amp/+/+/up/#"):
        assert emqx.platform_may("subscribe", topic)
    assert emqx.platform_may("publish", "amp/bridge/amp-bridge/echo")
    for topic in ("#", "$SYS/#", "$share/amp/#", "$share/amp", "ample/x", ""):
        assert not emqx.platform_may("subscribe", topic)
    assert not emqx.platform_may("all", "amp/#")
    assert emqx.platform_may("subscribe", "$SYS/broker/uptime")
    assert not emqx.platform_may("publish", "$SYS/broker/uptime")
