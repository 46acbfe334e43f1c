"""A process that has loaded the product, and forks those that run its commands: each would take two seconds to load it.

One for each environment, since settings are read while loading; tests whose environments are equal share it. A command
runs as the main program of a fresh child, by the file that its command line names, in a session of its own.

What it gives up: a child finds all modules imported, whatever its command would have imported by itself. So
`tests/stack/test_processes.py`, `tests/journeys/test_restarts.py` and the first journey of
`tests/journeys/test_main_job.py` start cold, by the command line alone, and so does the demo.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tests.stack.daemon import signal_group, watchdog

KEPT = 2
"""How many servers wait for another test with their environment."""
PATIENCE = 120.0
"""Seconds that loading may take."""
LOST = 255
"""Status of a process whose server died before it: nobody was there to take the true one."""


class Forked:
    """A child of a server, shown as `subprocess.Popen` shows one. What it ended with comes by a socket of its own."""

    def __init__(self, args: Sequence[str], status: socket.socket) -> None:
        self.args = args
        self.returncode: int | None = None
        self._status = status
        self._asking = threading.Lock()
        status.settimeout(PATIENCE)
        told, [self._pidfd], _, _ = socket.recv_fds(status, 64, 1)
        self.pid = int(told)

    def poll(self) -> int | None:
        """The exit status, negative where a signal ended it; None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, at its end. Raises `subprocess.TimeoutExpired`."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """To this process alone; to nobody once it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _ended(self, timeout: float | None) -> int | None:
        with self._asking:
            if self.returncode is None and _speaks(self._status.fileno(), timeout):
                told = self._status.recv(64)
                if told or _speaks(self._pidfd, timeout):
                    self.returncode = int(told or LOST)
                    self._status.close()
                    os.close(self._pidfd)
            return self.returncode


@dataclass
class ForkServer:
    """Our end of it."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    log: IO[bytes]
    children: list[Forked] = field(default_factory=list)

    @classmethod
    def started(cls, environment: Mapping[str, str]) -> ForkServer:
        """One with these settings, which loads the product while we go on."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log = TemporaryFile()  # noqa: SIM115 (closed by `stop`)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.stack.loaded", str(theirs.fileno())],
                cwd=Path(__file__).parents[2],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        watchdog().tell(f"guard {process.pid}")
        return cls(process, ours, log)

    def popen(self, args: Sequence[str], *, cwd: Path, stdout: IO[bytes], stderr: IO[bytes]) -> Forked:
        """Start a command, which the watchdog guards. Raises `RuntimeError` with the server's words if it has died."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = json.dumps({"args": args, "cwd": str(cwd)}).encode()
        try:
            with theirs:
                socket.send_fds(self.channel, [request], [stdout.fileno(), stderr.fileno(), theirs.fileno()])
            child = Forked(args, ours)
        except (OSError, ValueError) as dead:
            ours.close()
            self.log.seek(0)
            raise RuntimeError(f"The fork server has died:\n{self.log.read().decode()}") from dead
        watchdog().tell(f"guard {child.pid}")
        self.children.append(child)
        return child

    def run(self, args: Sequence[str], *, cwd: Path, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as `subprocess.run` does."""
        with TemporaryFile() as stdout, TemporaryFile() as stderr:
            child = self.popen(args, cwd=cwd, stdout=stdout, stderr=stderr)
            try:
                code = child.wait(timeout)
            except BaseException:
                signal_group(child.pid, signal.SIGKILL)
                child.wait()
                raise
            finally:
                watchdog().tell(f"release {child.pid}")
            for file in (stdout, stderr):
                file.seek(0)
            return subprocess.CompletedProcess(args, code, stdout.read().decode(), stderr.read().decode())

    def is_idle(self) -> bool:
        """Whether all children have ended."""
        return all(child.poll() is not None for child in self.children)

    def stop(self) -> None:
        """Kill it; a child that runs goes on, and its status is `LOST`."""
        self.process.kill()
        self.process.wait()
        self.channel.close()
        self.log.close()
        watchdog().tell(f"release {self.process.pid}")


_servers: dict[frozenset[tuple[str, str]], ForkServer] = {}
_choosing = threading.Lock()


def forkserver(environment: Mapping[str, str]) -> ForkServer:
    """The server of this environment; one that has died is replaced, and the oldest that nobody needs is stopped."""
    key = frozenset(environment.items())
    with _choosing:
        server = _servers.pop(key, None)
        if server and server.process.poll() is not None:
            server.stop()
            server = None
        _servers[key] = server or ForkServer.started(environment)
        idle = [other for other, each in _servers.items() if other != key and each.is_idle()]
        for other in idle[: max(len(_servers) - KEPT, 0)]:
            _servers.pop(other).stop()
        return _servers[key]


def stop_all() -> None:
    """At the end of the run."""
    while _servers:
        _servers.popitem()[1].stop()


def _speaks(descriptor: int, timeout: float | None) -> bool:
    """Whether there is something to read, or the end, within so many seconds."""
    events = select.poll()
    events.register(descriptor, select.POLLIN)
    return bool(events.poll(None if timeout is None else timeout * 1000))
