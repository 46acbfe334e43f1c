"""The fork server itself (see `forkserver`): `python -m tests.stack.loaded FD`, where FD is its end of a socket.

A message there holds a command; with it come the files for its output, and the socket for its process id and status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

PROGRAMS = (
    *("gunicorn.app.wsgiapp", "gunicorn.glogging", "gunicorn.workers.gthread"),
    *("celery.bin.celery", "celery.apps.beat", "celery.apps.worker", "celery.concurrency.prefork"),
    *("celery.worker.consumer", "django_celery_beat.schedulers", "kombu.transport.redis"),
)
"""What commands import as they start. Not what acts while it is imported: `amp.wsgi` looks at the database."""


def main() -> None:
    """Load the product and serve. A child goes on from here as the process of its command, to whatever end."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    libraries = len(sys.path) - 1
    gc.disable()
    _load()
    _refuse_what_children_would_share(channel)
    gc.freeze()
    request = Server(channel).serve()
    if request is None:
        return
    gc.enable()
    os.chdir(request["cwd"])
    script, *arguments = request["args"][Path(request["args"][0]).name == "python" :]
    sys.argv = [script, *arguments]
    sys.path[-1 - libraries] = str(Path(script).absolute().parent)  # where ours was; Celery has put something before
    runpy.run_path(script, run_name="__main__")


def _load() -> None:
    """What any command would import, and nothing that it would do."""
    import django
    from celery import current_app
    from django.conf import settings
    from django.core.management import get_commands, load_command_class
    from django.urls import get_resolver

    django.setup()
    get_resolver().check()
    for name in (*PROGRAMS, *(middleware.rpartition(".")[0] for middleware in settings.MIDDLEWARE)):
        importlib.import_module(name)
    current_app.finalize(auto=True)
    current_app.loader.import_default_modules()
    for command, package in get_commands().items():
        load_command_class(package, command)


def _refuse_what_children_would_share(channel: socket.socket) -> None:
    """Threads don't live on in a child, and no two may speak on one connection or hold one lock."""
    ours = {"0", "1", "2", str(channel.fileno())}
    left = [path for path in Path("/proc/self/fd").iterdir() if path.name not in ours and path.is_symlink()]
    if left or len(list(Path("/proc/self/task").iterdir())) > 1:
        raise RuntimeError(f"Loading the product left threads or open files: {[path.readlink() for path in left]}")


class Server:
    """Forks on demand, and tells with what its children ended."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.living: dict[int, tuple[int, socket.socket]] = {}
        """By the descriptor that becomes readable at its end: a child, and who is told."""

    def serve(self) -> dict[str, Any] | None:
        """In a child, what it is to run; None when the other end is closed, for then the run is over."""
        events = select.poll()
        events.register(self.channel, select.POLLIN)
        while True:
            for ready, _event in events.poll():
                if ready != self.channel.fileno():
                    events.unregister(ready)
                    self._tell(ready)
                    continue
                text, files, _flags, _address = socket.recv_fds(self.channel, 1 << 16, 3)
                if not text:
                    return None
                pid = os.fork()
                if not pid:
                    self._leave(files)
                    request: dict[str, Any] = json.loads(text)
                    return request
                watched = os.pidfd_open(pid)
                self.living[watched] = pid, socket.socket(fileno=files.pop())
                events.register(watched, select.POLLIN)
                for file in files:
                    os.close(file)

    def _leave(self, files: list[int]) -> None:
        """In the child: a session of its own, its own files and none of ours; then whoever asked may know it."""
        os.setsid()
        self.channel.close()
        for watched, (_pid, status) in self.living.items():
            os.close(watched)
            status.close()
        with Path(os.devnull).open("rb") as nothing:
            for ours, given in enumerate((nothing.fileno(), *files[:2])):
                os.dup2(given, ours)
        for file in files[:2]:
            os.close(file)
        watched = os.pidfd_open(os.getpid())
        with socket.socket(fileno=files[2]) as told:
            socket.send_fds(told, [str(os.getpid()).encode()], [watched])
        os.close(watched)

    def _tell(self, watched: int) -> None:
        os.close(watched)
        pid, status = self.living.pop(watched)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with status, suppress(OSError):  # who asked may be gone
            status.send(str(code).encode())


if __name__ == "__main__":
    main()
