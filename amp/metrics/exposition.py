"""`/metrics` of the web, and the small port of a worker: the same text, for the same token (X10)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from amp.foundation import clock
from amp.metrics.figures import Figures
from amp.metrics.slots import directory
from amp.public.throttle import address_of

log = logging.getLogger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "::1"})
OF_WEB, OF_WORKERS = ("amp_http_",), ("amp_task_", "amp_command_")


class Counts:
    """A collector of what all processes of this host counted, of the families whose names begin so."""

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self.prefixes = prefixes

    def collect(self) -> Iterator[Metric]:
        """The sums. Web and worker of one host may share the directory: each tells its own, so none counts twice."""
        # A process that has just begun has made its file and put nothing into it, not even the length of nothing.
        files = [str(path) for path in directory().glob("*.db") if path.stat().st_size]
        found: Iterable[Metric] = MultiProcessCollector.merge(files, accumulate=True)  # type: ignore[no-untyped-call]
        yield from sorted((each for each in found if each.name.startswith(self.prefixes)), key=lambda each: each.name)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures and what the web counted; in the demo, which is one process, what tasks did too."""
    if not may_read(request.headers.get("Authorization", ""), address_of(request)):
        return _refused()
    counts = Counts(OF_WEB + OF_WORKERS) if settings.IS_DEMO else Counts(OF_WEB)
    text = exposition(Figures(now=clock.now(), wall=clock.wall()), counts)
    return HttpResponse(text, content_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"})


def may_read(authorization: str, address: str) -> bool:
    """By the token where one is set; else, outside production, from this machine."""
    if settings.METRICS_TOKEN:
        scheme, _space, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and constant_time_compare(given.strip(), settings.METRICS_TOKEN)
    return not settings.IS_PRODUCTION and address in LOOPBACK


def exposition(*collectors: Any) -> bytes:
    """The text of the collectors, in their order of arrival."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)


def serve_workers(port: int) -> WSGIServer:
    """Answer at every address of this host, in a thread, with what the workers of this host counted."""
    server = make_server("", port, _worker_page, server_class=_Server, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    log.info("Metrics of this worker are told at port %s.", port)
    return server


def _worker_page(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] != "/metrics" or environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
        start("404 Not Found", [("Content-Length", "0")])
        return [b""]
    if not may_read(environ.get("HTTP_AUTHORIZATION", ""), environ.get("REMOTE_ADDR", "")):
        start("401 Unauthorized", [("WWW-Authenticate", "Bearer"), ("Content-Length", "0")])
        return [b""]
    text = exposition(Counts(OF_WORKERS))
    start("200 OK", [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4), ("Content-Length", str(len(text)))])
    return [text]


def _refused() -> HttpResponse:
    """Without a token there is no such page."""
    if not settings.METRICS_TOKEN:
        return HttpResponse(status=404)
    return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape is no news."""
