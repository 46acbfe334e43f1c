"""Secrets are taken out of texts and structures by their names and by their looks, and the rest stays (X10, F83)."""

from __future__ import annotations

import json
import logging
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from amp.logs import _json, _line, formatter
from amp.redacting import REMOVED, is_secret, redacted, redacted_text

SECRET = "S3cr3t-of-somebody_x9"
LOOKS = [
    f"amp_abcd1234_{SECRET}",
    f"whsec_{SECRET}",
    f"Authorization: Bearer {SECRET}",
    f"'Authorization': 'Basic {SECRET}'",
    f"redis://:{SECRET}@redis:6379/0",
    f"postgres://amp:{SECRET}@db/amp",
    f"Not Found: /p/{SECRET}",
    f"GET /r/{SECRET}/orders/N1/pay HTTP/1.1",
    f"/admin/join/{SECRET}/",
    f"/sandbox/pay/{SECRET}",
    f"/admin/password/MQ/{SECRET}/",
    f"password={SECRET}&next=/",
    f'{{"secret": "{SECRET}", "name": "shop"}}',
    f"{{'webhook_secret': '{SECRET}'}}",
    f"Cookie: sessionid={SECRET}; csrftoken={SECRET}",
    f"csrfmiddlewaretoken={SECRET}",
    f"https://api.weixin.qq.com/sns/oauth2?appid=wx1&secret={SECRET}&code=1",
    f"openid={SECRET}",
    f"-----BEGIN PRIVATE KEY-----\nMIIE{SECRET}\n-----END PRIVATE KEY-----",
    f"api_key: {SECRET}",
    f"https://public:{SECRET}@sentry.example/1",
]
NAMES = [
    "password",
    "new_password",
    "webhook_secret",
    "X-Api-Key",
    "Authorization",
    "Set-Cookie",
    "openid",
    "key",
    "token",
]


@pytest.mark.parametrize("text", LOOKS)
def test_what_looks_like_a_secret_is_removed_from_text_F83(text: str) -> None:
    told = redacted_text(f"before {text} after")
    assert SECRET not in told
    assert REMOVED in told
    assert told.startswith("before ")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [SECRET, [SECRET], {"inner": SECRET}, SECRET.encode(), None])
def test_what_goes_by_the_name_of_a_secret_is_removed_F83(name: str, value: Any) -> None:
    assert redacted({"a": [{name: value}]}) == {"a": [{name: REMOVED}]}


def test_objects_are_scrubbed_before_anybody_renders_them_F83() -> None:
    class Request:
        def __repr__(self) -> str:
            return f"<WSGIRequest: GET '/p/{SECRET}?token={SECRET}'>"

    assert SECRET not in str(redacted({"what": Request(), "all": [Request()]}))
    for renderer in (structlog.processors.JSONRenderer(serializer=_json), _line):
        told = formatter(renderer).format(record("Failed", request=Request(), other=Request()))
        assert "other" in told
        assert SECRET not in told


@pytest.mark.parametrize(
    "name", ["task", "keyboard", "device_key_count", "logger", "method", "monkey", "event", "status"]
)
def test_ordinary_names_are_none(name: str) -> None:
    assert not is_secret(name)


@given(
    st.recursive(st.none() | st.integers(), lambda kept: st.lists(kept) | st.dictionaries(st.sampled_from("abc"), kept))
)
def test_what_holds_no_text_stays_as_it_is(value: Any) -> None:
    assert redacted(value) == value


@pytest.mark.parametrize(
    "text",
    [
        "Bridge amp-bridge listens at mosquitto:1884.",
        "Order N123 of 5 devices: paid at 12:30:05",
        "GET admin/operations/",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redacted_text(text) == text


def record(message: str, *values: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("billing.services", logging.WARNING, "", 0, message, values, None)
    made.__dict__.update(extra)
    return made


def test_a_record_of_the_standard_library_is_one_line_of_json_in_utc_X10() -> None:
    with structlog.contextvars.bound_contextvars(task="billing.tasks.poll_attempts", task_id="t1"):
        line = formatter(structlog.processors.JSONRenderer(serializer=_json)).format(
            record("Gateway %s said\nno", "wechat", password=SECRET, number=4)
        )
    assert "\n" not in line
    told = json.loads(line)
    assert told["time"].endswith("Z")
    assert (told["level"], told["logger"]) == ("warning", "billing.services")
    assert told["event"] == "Gateway wechat said\nno"
    assert (told["task"], told["task_id"], told["number"], told["password"]) == (
        "billing.tasks.poll_attempts",
        "t1",
        4,
        REMOVED,
    )


def test_tracebacks_are_scrubbed_too_and_anything_can_be_told_F83() -> None:
    failed = record("Failed", what={1: object()})
    try:
        raise ValueError(f"Bearer {SECRET}")
    except ValueError as failure:
        failed.exc_info = (ValueError, failure, failure.__traceback__)
    for renderer in (structlog.processors.JSONRenderer(serializer=_json), _line):
        told = formatter(renderer).format(failed)
        assert "ValueError" in told
        assert SECRET not in told
    assert SECRET in logging.Formatter("%(message)s").format(failed)
    assert orjson.loads(_json({"event": "x", "odd": object()}))["event"] == "x"
