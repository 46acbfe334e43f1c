"""EMQX as the product meets it: signed reports and questions over HTTP."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from tests.talking_devices import Fleet

SECRET = "emqx-and-amp-share-this-secret-and-nobody-else-does"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
INGEST, AUTHENTICATE, AUTHORIZE = "/api/v1/ingest/emqx", "/api/v1/emqx/authenticate", "/api/v1/emqx/authorize"


def ms(moment: datetime) -> int:
    """Milliseconds since 1970, as EMQX tells times."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def connected(name: str, at: datetime, **changes: Any) -> dict[str, Any]:
    """The event of a rule on `$events/client_connected`."""
    fields = {"clientid": name, "username": name, "connected_at": ms(at), "keepalive": 60, "timestamp": ms(at)}
    return {"event": "client.connected", **fields, **changes}


def disconnected(name: str, at: datetime, *, since: datetime, reason: str = "normal", **changes: Any) -> dict[str, Any]:
    """The event of a rule on `$events/client_disconnected`; `connected_at` from 5.8.6 on."""
    fields = {"clientid": name, "username": name, "connected_at": ms(since), "disconnected_at": ms(at)}
    return {"event": "client.disconnected", **fields, "reason": reason, "timestamp": ms(at), **changes}


def proof(body: bytes, *, at: datetime | None = None, secret: str = SECRET) -> dict[str, str]:
    """Headers that prove a body."""
    stamp = str(int((at or clock.wall()).timestamp()))
    digest = hmac.digest(secret.encode(), f"{stamp}.".encode() + body, "sha256").hex()
    return {"X-AMP-Timestamp": stamp, "X-AMP-Signature": f"hmac-sha256={digest}"}


def post(body: Any, headers: dict[str, str] | None = None, *, client: Client | None = None) -> HttpResponse:
    """Report events, signed unless headers are given."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = proof(raw) if headers is None else headers
    return (client or Client()).post(INGEST, raw, content_type="application/json", headers=sent)


def ask(address: str, question: Any, *, secret: str = SECRET) -> HttpResponse:
    """Ask as the authenticator or the authorizer of EMQX does."""
    raw = question if isinstance(question, bytes) else json.dumps(question).encode()
    return Client().post(address, raw, content_type="application/json", headers={"X-AMP-Secret": secret})


_moments: dict[str, datetime] = {}


@pytest.fixture(autouse=True)
def emqx_set_up(settings: Any) -> Iterator[None]:
    """Imported by the modules that talk as EMQX: the installation knows it, and the test looks from everywhere."""
    _moments["start"] = clock.wall().replace(microsecond=0)
    settings.EMQX_SECRET = SECRET
    settings.MQTT_URL = "mqtt://platform:its%20password@127.0.0.1:1884"
    with system_scope():
        yield


def ago(length: timedelta) -> datetime:
    """A moment before the test began, as the broker's clock shows it."""
    return _moments["start"] - length


def name(fleet: Fleet, key: str = "d1") -> str:
    """User name and client id of a device."""
    return f"{fleet.product.key}/{key}"


def statements(queries: CaptureQueriesContext) -> list[str]:
    """What was asked, without the marks of transactions."""
    return [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
