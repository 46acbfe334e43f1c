"""What is read from topics and payloads, and what is refused (F68, F69)."""

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import wire
from devices.wire import Ack, Attr, EventReport, Refusal, Refused, Source, Status, parse

D1 = Source("p1", "d1")
TICKET = "6b8f9d52-7a6f-4f4e-9f3e-3f1e8a2c1d00"


def nested(depth: int) -> bytes:
    """A report whose innermost object lies `depth` deep."""
    inner = "1"
    for _ in range(depth - 3):
        inner = f'{{"a": {inner}}}'
    return f'{{"type": "MATTR", "subtype": "REPORT", "data": {{"kv": {{"a": {inner}}}}}}}'.encode()


@pytest.mark.parametrize(
    ("tail", "payload", "said"),
    [
        ("status", {"value": 1, "session": 17}, Status(D1, True, "17", None)),
        ("status", {"value": 0, "session": 17}, Status(D1, False, "17", None)),
        (
            "status",
            {"value": 1, "session": "2026-01-01T00:00:00Z", "keepalive": 60},
            Status(D1, True, "2026-01-01T00:00:00Z", 60),
        ),
        ("status", {"value": 1}, Status(D1, True, None, None)),
        ("status", {"value": 1, "keepalive": 0}, Status(D1, True, None, None)),
        (
            "up/attr",
            {"ticket": "t", "type": "MATTR", "subtype": "REPORT", "data": {"kv": {"service_lock": "true"}}},
            Attr(D1, {"service_lock": "true"}),
        ),
        (
            "up/event",
            {"type": "MEVENT", "subtype": "WARN", "data": {"code": "hot"}},
            EventReport(D1, "WARN", {"code": "hot"}),
        ),
        ("up/ack", {"ticket": TICKET, "status": "succ"}, Ack(D1, UUID(TICKET), True)),
        ("up/ack", {"ticket": TICKET, "status": "fail"}, Ack(D1, UUID(TICKET), False)),
        (
            "up/ack",
            {"ticket": TICKET, "status": "succ", "productKey": "p1", "deviceKey": "d1"},
            Ack(D1, UUID(TICKET), True),
        ),
    ],
)
def test_each_message_of_the_wire_format_is_read(tail: str, payload: dict[str, object], said: object) -> None:
    assert parse(f"amp/p1/d1/{tail}", json.dumps(payload).encode()) == said


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "amp",
        "amp/p1/d1",
        "amp/p1/d1/up",
        "amp/p1/d1/up/other",
        "amp/p1/d1/up/attr/more",
        "amp/p1/d1/down/attr",
        "amp/p1/d1/status/",
        "other/p1/d1/status",
        "amp//d1/status",
        "amp/p1/+/status",
        "amp/p1/d 1/status",
        "amp/p1/d1\n/status",
        f"amp/p1/{'d' * 65}/status",
    ],
)
def test_topics_that_are_not_ours_are_refused(topic: str) -> None:
    assert parse(topic, b'{"value": 1}') == Refused(Refusal.TOPIC)


@pytest.mark.parametrize(
    ("tail", "payload", "reason"),
    [
        ("status", b"", Refusal.NOT_JSON),
        ("status", b"online", Refusal.NOT_JSON),
        ("status", b'{"value": 1', Refusal.NOT_JSON),
        ("status", b'{"value": NaN}', Refusal.NOT_JSON),
        ("status", '{"value": 1, "session": "\u00e4"}'.encode("latin-1"), Refusal.NOT_JSON),
        ("status", b'{"value": 1, "session": "\\ud800"}', Refusal.NOT_JSON),
        ("status", b"[1]", Refusal.NOT_AN_OBJECT),
        ("status", b"1", Refusal.NOT_AN_OBJECT),
        ("status", b"{}", Refusal.STATUS),
        ("status", b'{"value": true}', Refusal.STATUS),
        ("status", b'{"value": "1"}', Refusal.STATUS),
        ("status", b'{"value": 2}', Refusal.STATUS),
        ("status", b'{"value": 1, "session": {}}', Refusal.STATUS),
        ("status", b'{"value": 1, "session": 1.5}', Refusal.STATUS),
        ("status", b'{"value": 1, "session": true}', Refusal.STATUS),
        ("status", b'{"value": 1, "session": "a\\u0000b"}', Refusal.STATUS),
        ("status", b'{"value": 1, "session": ""}', Refusal.STATUS),
        ("status", b'{"value": 1, "session": "%s"}' % (b"s" * 65), Refusal.STATUS),
        ("status", b'{"value": 1, "keepalive": -1}', Refusal.STATUS),
        ("status", b'{"value": 1, "keepalive": 65536}', Refusal.STATUS),
        ("status", b'{"value": 1, "keepalive": "60"}', Refusal.STATUS),
        ("status", b'{"value": 1, "deviceKey": "d2"}', Refusal.OTHER_DEVICE),
        ("status", b'{"value": 1, "productKey": "p2"}', Refusal.OTHER_DEVICE),
        ("up/attr", b'{"data": {"kv": {}}}', Refusal.ATTRIBUTES),
        ("up/attr", b'{"type": "MATTR", "subtype": "WRITE", "data": {"kv": {}}}', Refusal.ATTRIBUTES),
        ("up/attr", b'{"type": "MATTR", "subtype": "REPORT", "data": []}', Refusal.ATTRIBUTES),
        ("up/attr", b'{"type": "MATTR", "subtype": "REPORT", "data": {"kv": "x"}}', Refusal.ATTRIBUTES),
        ("up/event", b'{"type": "MEVENT", "subtype": "DEBUG", "data": {}}', Refusal.EVENT),
        ("up/event", b'{"type": "MEVENT", "subtype": ["INFO"], "data": {}}', Refusal.EVENT),
        ("up/event", b'{"type": "MEVENT", "subtype": "INFO", "data": 1}', Refusal.EVENT),
        ("up/ack", b'{"ticket": 4, "status": "succ"}', Refusal.ACK),
        ("up/ack", b'{"ticket": "no uuid", "status": "succ"}', Refusal.ACK),
        ("up/ack", b'{"ticket": "%s", "status": "ok"}' % TICKET.encode(), Refusal.ACK),
        ("up/ack", b'{"ticket": "%s", "status": {}}' % TICKET.encode(), Refusal.ACK),
    ],
)
def test_a_message_that_breaks_the_format_is_refused(tail: str, payload: bytes, reason: Refusal) -> None:
    assert parse(f"amp/p1/d1/{tail}", payload) == Refused(reason)


def test_a_message_may_have_64_kb_and_not_a_byte_more() -> None:
    empty = b'{"type": "MATTR", "subtype": "REPORT", "data": {"kv": {"a": ""}}}'
    filling = wire.MAX_BYTES - len(empty)
    largest = empty.replace(b'""', b'"' + b"x" * filling + b'"')
    assert len(largest) == wire.MAX_BYTES
    assert isinstance(parse("amp/p1/d1/up/attr", largest), Attr)
    assert parse("amp/p1/d1/up/attr", largest.replace(b'"x', b'"xx')) == Refused(Refusal.TOO_LARGE)


@pytest.mark.parametrize("depth", [17, 18, 100, 1000, 1024, 1025, 9000])
def test_a_message_deeper_than_16_is_refused_however_deep_it_goes(depth: int) -> None:
    assert isinstance(parse("amp/p1/d1/up/attr", nested(16)), Attr)
    assert parse("amp/p1/d1/up/attr", nested(depth)) == Refused(Refusal.TOO_DEEP)
    assert parse("amp/p1/d1/up/attr", b"[" * depth + b"]" * depth) == Refused(Refusal.TOO_DEEP)


def test_many_brackets_side_by_side_or_in_text_are_not_depth() -> None:
    wide = json.dumps({"type": "MATTR", "subtype": "REPORT", "data": {"kv": {"a": [{}] * 50, "b": "[{" * 50}}})
    assert isinstance(parse("amp/p1/d1/up/attr", wide.encode()), Attr)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)
words = st.sampled_from(["value", "session", "keepalive", "type", "subtype", "data", "ticket", "status", "kv"])
topics = st.sampled_from(["amp/p1/d1/status", "amp/p1/d1/up/attr", "amp/p1/d1/up/event", "amp/p1/d1/up/ack"])
readings = (Status, Attr, EventReport, Ack, Refused)


@given(topics | st.text(), st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(topic: str, payload: bytes) -> None:
    assert isinstance(parse(topic, payload), readings)


@given(topics, st.dictionaries(words, json_values | st.sampled_from(["MATTR", "REPORT", "MEVENT", "INFO", "succ"])))
def test_no_document_makes_the_reader_fail(topic: str, body: dict[str, object]) -> None:
    payload = json.dumps(body).encode()
    said = parse(topic, payload)
    assert isinstance(said, readings)
    if isinstance(said, Status) and said.session is not None:
        assert len(said.session) <= wire.MAX_SESSION


def test_f69_a_topic_that_is_too_long_to_be_ours_is_not_remembered() -> None:
    """Devices may publish below their own names as they like: what the platform keeps of it is bounded."""
    longest = f"amp/{'p' * 64}/{'d' * 64}/up/event"
    assert len(longest) == wire.MAX_TOPIC
    assert wire.read_topic(longest) is not None
    kept = wire._read_topic.cache_info().currsize
    assert wire.read_topic(f"amp/p/d/up/{'x' * 60_000}") is None
    assert wire._read_topic.cache_info().currsize == kept
