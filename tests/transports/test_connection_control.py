"""Brokers that are asked to end a connection: EMQX's API as documented, and Mosquitto, which does it by itself (X4)."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest

from devices.transports.base import BrokerRefused, BrokerUnavailable, ConnectionControl, Ended
from devices.transports.emqx import EmqxConnections
from devices.transports.mosquitto import MosquittoConnections, hash_password, render_acl, render_password_file
from tests.stack.daemon import free_port
from tests.stack.mosquitto import PLATFORM_USER, Mosquitto
from tests.stack.waiting import eventually
from tests.transports.conftest import DEVICE_PASSWORD

KEY, SECRET = "api-key", "api-secret"


class Management:
    """The part of EMQX's management API that we use, on loopback: `DELETE /api/v5/clients/{clientid}`."""

    def __init__(self) -> None:
        self.connected: set[str] = set()
        self.trouble: tuple[int, bytes] | None = None
        self.is_silent = threading.Event()
        self._answers = threading.Event()
        management = self

        class Handler(BaseHTTPRequestHandler):
            def do_DELETE(self) -> None:
                if management.is_silent.is_set():
                    management._answers.wait(30)
                status, body = management.answer(self.path, self.headers.get("Authorization", ""))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing to say."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/v5"

    def answer(self, path: str, authorization: str) -> tuple[int, bytes]:
        if self.trouble:
            return self.trouble
        if authorization != "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode():
            return 401, b'{"code":"BAD_API_KEY_OR_SECRET","message":"Check api_key/api_secret"}'
        prefix, _, client = path.rpartition("/")
        if prefix != "/api/v5/clients":
            return 404, b'{"code":"NOT_FOUND","message":"Request Path Not Found"}'
        if unquote(client) not in self.connected:
            return 404, b'{"code":"CLIENTID_NOT_FOUND","message":"Client ID not found"}'
        self.connected.discard(unquote(client))
        return 204, b""

    def close(self) -> None:
        self._answers.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


@pytest.fixture
def management() -> Iterator[Management]:
    one = Management()
    yield one
    one.close()


@pytest.fixture
def emqx(management: Management) -> EmqxConnections:
    return EmqxConnections(management.url, KEY, SECRET)


@pytest.fixture(params=["emqx", "mosquitto"])
def control(request: pytest.FixtureRequest, management: Management) -> ConnectionControl:
    """Every implementation."""
    makers: dict[str, Callable[[], ConnectionControl]] = {
        "emqx": lambda: EmqxConnections(management.url, KEY, SECRET),
        "mosquitto": MosquittoConnections,
    }
    return makers[request.param]()


# --- the contract ----------------------------------------------------------------------------------------------------


def test_every_implementation_says_what_became_of_the_connection(control, management):
    management.connected = {"pk/d1", "pk/d2"}
    first = control.disconnect("pk/d1", timeout=10)
    again = control.disconnect("pk/d1", timeout=10)
    assert (first, again) in [(Ended.ENDED, Ended.NOT_CONNECTED), (Ended.UNSUPPORTED, Ended.UNSUPPORTED)]
    assert "pk/d2" in management.connected


@pytest.mark.parametrize("client_id", ["pk/d1", "pk/#", "pk/d 1", "../../nodes", "pk/d1?x=1", "é/ü", "%2F"])
def test_every_implementation_takes_any_client_id_and_touches_no_other(control, management, client_id):
    management.connected = {"pk/other"}
    assert control.disconnect(client_id, timeout=10) in (Ended.NOT_CONNECTED, Ended.UNSUPPORTED)
    assert management.connected == {"pk/other"}


# --- EMQX ------------------------------------------------------------------------------------------------------------


def test_the_slash_of_a_client_id_is_part_of_it(emqx, management):
    management.connected = {"pk/d1"}
    assert emqx.disconnect("pk/d1") is Ended.ENDED
    assert not management.connected


def test_a_wrong_key_and_a_wrong_address_are_a_persons_matter(management):
    with pytest.raises(BrokerRefused, match="401 BAD_API_KEY_OR_SECRET"):
        EmqxConnections(management.url, KEY, "wrong").disconnect("pk/d1")
    with pytest.raises(BrokerRefused, match="404"):
        EmqxConnections(management.url + "/v6", KEY, SECRET).disconnect("pk/d1")


@pytest.mark.parametrize(
    ("status", "raises"),
    [(200, BrokerRefused), (302, BrokerRefused), (400, BrokerRefused), (404, BrokerRefused), (429, BrokerUnavailable),
     (500, BrokerUnavailable), (503, BrokerUnavailable)],
)  # fmt: skip
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"code": 7}', b"\xff", json.dumps({"code": "x" * 999}).encode()]
)
def test_an_answer_that_is_not_documented_never_passes_for_success(emqx, management, status, raises, body):
    management.trouble = (status, body)
    with pytest.raises(raises) as told:
        emqx.disconnect("pk/d1")
    assert len(str(told.value)) < 300


def test_a_broker_that_is_away_or_silent_is_waited_for_no_longer_than_asked(emqx, management):
    with pytest.raises(BrokerUnavailable):
        EmqxConnections(f"http://127.0.0.1:{free_port()}/api/v5", KEY, SECRET).disconnect("pk/d1")
    management.is_silent.set()
    with pytest.raises(BrokerUnavailable, match="Timeout"):
        emqx.disconnect("pk/d1", timeout=0.2)


# --- Mosquitto -------------------------------------------------------------------------------------------------------


def test_mosquitto_throws_out_who_is_no_longer_in_its_file_when_it_reads_it_again(client, tmp_path):
    """What UNSUPPORTED relies on: the export and its signal end the connection of a revoked device, and no other."""
    broker = Mosquitto(directory=tmp_path)
    broker.start()
    try:
        write(broker, "pk/d1", "pk/d2")
        revoked, kept = (client(broker.port, name, DEVICE_PASSWORD) for name in ("pk/d1", "pk/d2"))
        assert (revoked.connect(), kept.connect()) == (0, 0)
        revoked.mqtt.reconnect_delay_set(60, 60)
        write(broker, "pk/d2")
        eventually(lambda: not revoked.mqtt.is_connected(), what="the revoked device is thrown out")
        assert kept.mqtt.is_connected()
        assert client(broker.port, "pk/d1", DEVICE_PASSWORD).connect() != 0
    finally:
        broker.stop()


_hashes: dict[str, str] = {}


def write(broker: Mosquitto, *names: str) -> None:
    users = [(PLATFORM_USER, broker.platform_password), *((name, DEVICE_PASSWORD) for name in names)]
    lines = [(name, _hashes.setdefault(f"{name} {password}", hash_password(password))) for name, password in users]
    broker.password_file.write_text(render_password_file(lines))
    broker.acl_file.write_text(render_acl(PLATFORM_USER))
    broker.reload()
