"""`manage.py demo`: the whole product in one process, with devices that behave like real ones. Ctrl-C ends it."""

from __future__ import annotations

import contextlib
import logging
import logging.config
import signal
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import waitress
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from amp.demo.greeting import greeting
from amp.demo.notebook import FILE, read_notes, write_notes
from amp.demo.seeding import seed
from amp.demo.stage import Stage
from amp.foundation import clock

WEB_THREADS = 12
"""The sandbox gateway calls back over HTTP into the same server, so one request needs another thread."""


class Command(BaseCommand):
    """Migrates, seeds when new, starts everything, serves until it is told to stop."""

    help = "Run the product with an embedded MQTT broker, simulated devices and SQLite. Loopback only."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """From nothing to a page in the browser."""
        self._check()
        directory: Path = settings.DEMO_DIR
        directory.mkdir(parents=True, exist_ok=True)
        _log_to(directory / "demo.log")
        began = time.monotonic()
        with _stoppable(), contextlib.suppress(KeyboardInterrupt):
            self._serve(self._prepared(directory), began)
        self.stdout.write("\nStopped. The data stays; the next start takes a few seconds.")

    def _check(self) -> None:
        if not settings.IS_DEMO:
            raise CommandError("Set AMP_MODE=demo, or say `make demo`.")
        if "sqlite" not in settings.DATABASES["default"]["ENGINE"]:
            raise CommandError("The demo keeps its own SQLite database. Unset DATABASE_URL.")
        for variable, port in (("AMP_DEMO_PORT", settings.DEMO_PORT), ("AMP_DEMO_MQTT_PORT", settings.DEMO_MQTT_PORT)):
            if not _is_free(port):
                raise CommandError(
                    f"Port {port} is in use. Stop the program that uses it, or choose another port: "
                    f"{variable}={port + 10} make demo"
                )

    def _prepared(self, directory: Path) -> dict[str, Any]:
        notes = read_notes(directory)
        if notes is None:
            _remove_unfinished(directory)
        self._say("Preparing the database …")
        call_command("migrate", verbosity=0, interactive=False)
        if notes is None:
            notes = self._seeded(directory)
        return notes

    def _seeded(self, directory: Path) -> dict[str, Any]:
        began = time.monotonic()
        seeded = seed(now=clock.now(), wall=clock.wall(), progress=_Progress(self))
        notes = seeded.as_json()
        write_notes(directory, notes)
        self._say(f"Made {len(seeded.devices)} devices and 14 months of their history in {_since(began)}.", end=True)
        return notes

    def _serve(self, notes: dict[str, Any], began: float) -> None:
        self._say("Starting the broker, the bridge, the worker and the devices …")
        stage = Stage(notes)
        try:
            stage.start()
            server = waitress.create_server(
                WSGIHandler(), host="127.0.0.1", port=settings.DEMO_PORT, threads=WEB_THREADS, ident=None
            )
            self._say(f"Ready after {_since(began)}.", end=True)
            self.stdout.write(greeting(notes, self.style))
            self.stdout.flush()
            server.run()
        except (OSError, RuntimeError) as trouble:
            raise CommandError(f"{trouble}\nThe log is {settings.DEMO_DIR / 'demo.log'}.") from trouble
        finally:
            self._say("Stopping …")
            _ignore_signals()
            stage.stop()
            connections.close_all()

    def _say(self, line: str, *, end: bool = False) -> None:
        """One line that the next one replaces, where a person looks on; else one line each."""
        if self.stdout.isatty():
            self.stdout.write(f"\r\033[K{line}", ending="\n" if end else "")
        else:
            self.stdout.write(line)
        self.stdout.flush()

    def say_progress(self, part: float) -> None:
        """How far the seeding has come, from 0 to 1."""
        self._say(f"Making 14 months of history: {part:4.0%}")


class _Progress:
    """Says something only when a person would see a difference."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._step = 0.02 if command.stdout.isatty() else 0.25
        self._next = 0.0

    def __call__(self, part: float) -> None:
        if part >= self._next:
            self._command.say_progress(part)
            self._next = part + self._step


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """A second Ctrl-C doesn't interrupt the stopping, which takes seconds at most."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _remove_unfinished(directory: Path) -> None:
    """A seeding that was interrupted left half a data set: its notes are written last."""
    for leftover in (*directory.glob("amp.sqlite3*"), directory / FILE):
        leftover.unlink(missing_ok=True)


def _log_to(path: Path) -> None:
    """Warnings and errors go to a file: the terminal shows where to look.

    Celery sets Django up once more when its worker starts, so the settings themselves must say it.
    """
    settings.LOGGING["handlers"]["console"] = {
        "class": "logging.FileHandler",
        "filename": str(path),
        "encoding": "utf-8",
        "formatter": "ours",
    }
    settings.LOGGING["root"]["level"] = "WARNING"
    logging.config.dictConfig(settings.LOGGING)
    logging.captureWarnings(True)
    # Static files come straight from the apps here; the directory for collected ones needn't exist.
    warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
