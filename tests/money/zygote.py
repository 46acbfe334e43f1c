"""A process that has loaded the product and done nothing else, and bears fresh ones: each does one step and ends.

Commands are lines of JSON: which step of a life, at what moments, with which defect. For each, a child does the step
with the product's own code on the real database and the gateway's real process; its exit status comes back, negative
where a signal ended it. Starting the product anew for each step would take a second; a child takes some milliseconds.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stack.processes import REPOSITORY


@dataclass
class Zygote:
    """Our end of it."""

    process: subprocess.Popen[str]
    wanted: Path
    """The file that names the point at which the next child dies."""

    @classmethod
    def started(cls, directory: Path, environment: Mapping[str, str]) -> Zygote:
        """One with these settings; what its children write goes into its log."""
        wanted = directory / "wanted"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.money.zygote"],
            cwd=REPOSITORY,
            env={**os.environ, **environment, "AMP_CRASH_FILE": str(wanted)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(directory / "zygote.log").open("w"),
            text=True,
        )
        return cls(process, wanted)

    def does(self, **command: Any) -> dict[str, Any]:
        """Let a fresh process do one step: its `status`, and the `points` that it came by."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the zygote has died, see its log"
        told: dict[str, Any] = json.loads(line)
        return told

    def stop(self) -> None:
        """Its children are gone by then."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def main() -> None:
    """Serve until the other end is closed."""
    import django

    django.setup()
    from cryptography.hazmat.backends import default_backend
    from django.apps import apps
    from django.conf import settings
    from django.db.models import QuerySet
    from django.test.client import ClientHandler
    from django.urls import get_resolver

    from amp.celery import app
    from amp.foundation.calendar import check_zone
    from amp.foundation.sealed import seal, unseal
    from tests.money import lives

    # What the first request, task, query, signature and calendar of each child would load otherwise; none connects.
    settings.WHITENOISE_AUTOREFRESH = True  # a client looks for a static file when one is asked for
    get_resolver().check()
    ClientHandler().load_middleware()
    app.finalize(auto=True)
    for lazy in ("tasks", "amqp", "events", "backend"):
        getattr(app, lazy)
    app.connection_for_write().get_transport_cls()
    default_backend()
    unseal(seal(b"secret", "owner"), "owner")
    check_zone("UTC")
    for model in apps.get_models():
        str(QuerySet(model).query)

    gc.freeze()
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the product prints is no answer
    for line in sys.stdin:
        print(json.dumps(_born(json.loads(line), lives)), file=told, flush=True)


def _born(command: dict[str, Any], lives: Any) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os._exit(_live(command, lives, writing))
    os.close(writing)
    with os.fdopen(reading) as points:
        seen = points.read().split()
    _pid, status = os.waitpid(child, 0)
    return {"status": os.waitstatus_to_exitcode(status), "points": seen}


def _live(command: dict[str, Any], lives: Any, writing: int) -> int:
    import traceback

    try:
        lives.live(command, lambda point: os.write(writing, f"{point}\n".encode()))
    except BaseException:  # noqa: BLE001 (the parent is told by the status, a person by the log)
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
