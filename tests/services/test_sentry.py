"""Errors reach a Sentry of the operator's choice without secrets, people or bodies (X10, F83)."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from amp.sentry import without_secrets

REPOSITORY = Path(__file__).parents[2]
SECRET = "S3cr3t-of-somebody_x9"
FAILS = f"""
import django, logging
django.setup()
from django.test import Client
from django.urls import path
from amp import urls

def fail(request, token):
    password = "{SECRET}"
    raise ValueError("Gateway said: Authorization: Bearer {SECRET}, secret={SECRET}")

urls.urlpatterns.insert(0, path("p/<str:token>", fail))
client = Client(raise_request_exception=False, HTTP_AUTHORIZATION="Bearer {SECRET}")
client.cookies["sessionid"] = ""
answer = client.post(
    "/p/{SECRET}?token={SECRET}", {{"openid": "{SECRET}"}}, REMOTE_ADDR="203.0.113.7", headers={{"host": "127.0.0.1"}}
)
assert answer.status_code == 500, answer.status_code
logging.getLogger("amp.test").error("Key %s is refused for ann", "amp_abcd1234_{SECRET}")
import sentry_sdk
sentry_sdk.flush(timeout=20)
"""


class Receiver(BaseHTTPRequestHandler):
    """A Sentry that notes what reaches it."""

    got: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        text = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        self.got.append(f"{self.path} {text.decode()}")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Quietly."""


@pytest.fixture
def sentry() -> Iterator[tuple[str, list[str]]]:
    """The address to set, and what reached it."""
    got: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Receiver,), {"got": got}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://public@127.0.0.1:{server.server_port}/7", got
    server.shutdown()
    server.server_close()


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "AMP_METRICS_DIR") if name in os.environ}
    settings = {"AMP_MODE": "demo", "DATABASE_URL": "sqlite://:memory:", "DJANGO_SETTINGS_MODULE": "amp.settings"}
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env=kept | settings | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_error_arrives_and_no_secret_with_it_X10_F83(sentry: tuple[str, list[str]]) -> None:
    dsn, got = sentry
    ended = run(FAILS, AMP_SENTRY_DSN=dsn)
    assert ended.returncode == 0, ended.stderr
    assert any("/api/7/envelope/" in each for each in got), ended.stderr
    events = [
        json.loads(line) for each in got for line in each.splitlines() if line.startswith('{"') and '"level"' in line
    ]
    assert any("ValueError" in json.dumps(event.get("exception", "")) for event in events)
    assert any("is refused for ann" in json.dumps(event.get("logentry", "")) for event in events)
    everything = "\n".join(got)
    assert SECRET not in everything
    assert SECRET not in ended.stderr, "nor does it reach the log"
    assert "203.0.113.7" not in everything
    for event in events:
        assert set(event.get("request", {})) <= {"method", "url"}
        assert not {"user", "server_name", "breadcrumbs"} & {name for name, value in event.items() if value}


def test_without_an_address_nothing_is_started() -> None:
    assert run("import django; django.setup(); import sys; assert 'sentry_sdk' not in sys.modules").returncode == 0


def test_an_address_without_the_package_is_refused_by_name_X9() -> None:
    hidden = """
import importlib.util as util
find = util.find_spec
util.find_spec = lambda name, *rest: None if name == "sentry_sdk" else find(name, *rest)
import django
django.setup()
"""
    ended = run(hidden, AMP_SENTRY_DSN="http://public@127.0.0.1:1/7")
    assert ended.returncode == 1
    assert "AMP_SENTRY_DSN is set, but sentry-sdk is missing" in ended.stderr


def test_what_is_dropped_is_dropped_whatever_it_holds() -> None:
    event = {
        "user": {"email": "ann@example.com"},
        "server_name": "host",
        "request": {"method": "GET", "url": f"https://x/r/{SECRET}", "query_string": "a", "headers": {}, "env": {}},
        "extra": {"password": SECRET},
    }
    assert without_secrets(event, {}) == {
        "request": {"method": "GET", "url": "https://x/r/[removed]"},
        "extra": {"password": "[removed]"},
    }
