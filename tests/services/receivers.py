"""Integrators' systems, as bad as they come: real servers on this machine that note what reaches them."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from alerts.models import Webhook, WebhookDelivery
from alerts.services.webhook_endpoints import add_webhook
from alerts.services.webhook_outbox import spread_events
from alerts.services.webhook_sending import Sender
from amp.foundation.models import Enterprise
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import EventDraft, record_events
from tests.factories import NOW, make_enterprise

Behaviour = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    """Tests of webhooks read and write across enterprises unless they say otherwise."""
    with system_scope():
        yield


@pytest.fixture
def maker() -> Enterprise:
    """Whose events are told."""
    return make_enterprise("Greenfield")


class Got(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Of the message."""
        return self.headers["webhook-id"]

    @property
    def told(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """A server with a behaviour that may be changed while it runs."""

    behave: Behaviour
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        """Of the messages, in the order in which they came."""
        return [each.id for each in self.got]


def answers(status: int, body: bytes = b"ok", **headers: str) -> Behaviour:
    """It answers at once."""

    def behave(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return behave


def hangs(released: threading.Event) -> Behaviour:
    """It says nothing until somebody lets it."""

    def behave(request: BaseHTTPRequestHandler) -> None:
        released.wait(60)

    return behave


def writes(*pieces: bytes, pause: float = 0) -> Behaviour:
    """It sends these bytes, whatever they are, and closes."""

    def behave(request: BaseHTTPRequestHandler) -> None:
        try:
            for piece in pieces:
                request.wfile.write(piece)
                request.wfile.flush()
                time.sleep(pause)
        except OSError:
            pass
        request.close_connection = True

    return behave


@contextmanager
def receiver(behave: Behaviour | None = None, *, tls: Path | None = None) -> Iterator[Receiver]:
    """One that listens on a free port; with `tls` (a file of key and certificate) by https."""
    running = Receiver(behave or answers(200))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            running.got.append(Got(self.path, headers, body))
            running.behave(self)

        def log_message(self, *_args: Any) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def get_request(self) -> Any:
            connection = super().get_request()
            running.connections += 1
            return connection

        def handle_error(self, *_args: Any) -> None:
            """Who hung up is no error."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    running.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()


def certificate(where: Path, name: str) -> Path:
    """Key and self-signed certificate for a name, in one file."""
    both = where / f"{name}.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-keyout", str(where / "key"), "-out", str(where / "cert")),
        ],
        check=True,
        capture_output=True,
    )
    both.write_bytes((where / "key").read_bytes() + (where / "cert").read_bytes())
    return both


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def hook(enterprise: Enterprise, url: str, *, now: datetime = NOW, **terms: Any) -> Webhook:
    """An endpoint of that enterprise."""
    fields: Any = {"name": "ERP", "url": url, **terms}
    return add_webhook(enterprise=enterprise, actor="ann@example.com", now=now, waits=time.monotonic(), **fields)[0]


def happen(
    enterprise: Enterprise, number: int = 1, *, kind: str = "order.paid", now: datetime = NOW, **more: Any
) -> None:
    """Events of that kind, as a service records them."""
    fields = {"subject": "order:1", "after": {"status": "PAID"}, **more}
    record_events([EventDraft(kind, enterprise_id=enterprise.pk, happened_at=now, **fields)] * number, now=now)


def spread(now: datetime = NOW) -> int:
    """Everything that waits becomes deliveries; number of events looked at."""
    total = 0
    while found := spread_events(now=now):
        total += found
    return total


def send(now: datetime = NOW, sender: Sender | None = None) -> None:
    """A run of the worker, at that moment of the product's time."""
    sender = sender or Sender()
    while sender.turn(now=now, wall=now):
        pass
    sender.finish(lambda: now)


def standing(webhook: Webhook) -> list[tuple[str, int, int | None]]:
    """Status, attempts and last answer of each delivery."""
    rows = WebhookDelivery.objects.filter(webhook=webhook).order_by("pk")
    return list(rows.values_list("status", "attempts", "response_status"))


def days_of(hours: float) -> timedelta:
    """So many hours."""
    return timedelta(hours=hours)
