"""A process that serves until it is stopped: start it, wait until it is ready, stop it or kill it."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Protocol

from tests.stack.waiting import eventually


class Running(Protocol):
    """What is asked of a `subprocess.Popen`, or of whatever else shows a process."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int, /) -> None: ...


@dataclass(kw_only=True)
class Daemon(ABC):
    """One process in a group of its own, with its log in `directory`.

    Subclasses say `command()` and `is_ready()`. `start`, `stop`, `restart` and `kill` may be called in any order and
    any number of times; the port and the directory stay the same, so clients can reconnect.
    """

    name: str
    directory: Path
    environment: Mapping[str, str] | None = None
    working_directory: Path | None = None
    user: str | None = None
    ready_within: float = 90.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 30.0
    process: Running | None = field(default=None, init=False, repr=False)
    log_offset: int = field(default=0, init=False, repr=False)

    @abstractmethod
    def command(self) -> tuple[str, ...]:
        """The command line."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the process serves; exceptions of the network count as "not yet"."""

    @property
    def log(self) -> Path:
        """Standard output and standard error of every start, one after the other."""
        return self.directory / f"{self.name}.log"

    def output(self) -> str:
        """What the process wrote so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def latest_output(self) -> str:
        """What the process wrote since its last start."""
        return self.log.read_bytes()[self.log_offset :].decode(errors="replace") if self.log.exists() else ""

    @property
    def is_running(self) -> bool:
        """Whether the process exists and has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its group; `RuntimeError` if it never started."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self.process.pid

    def start(self) -> None:
        """Start, and return when the process is ready; does nothing if it runs already.

        Raises `RuntimeError` with the end of its log if it ends instead, `AssertionError` if it never gets ready.
        """
        if self.is_running:
            return
        self._spawn()
        eventually(self._answers, within=self.ready_within, what=f"{self.name}, see {self.log}:")

    def stop(self) -> None:
        """End in order; after `stop_within` seconds by force."""
        if not self.is_running or self.process is None:
            return
        self.process.send_signal(self.stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(self.stop_within)
        self.kill()

    def kill(self) -> None:
        """`kill -9` of the process and all its children at once: no clean-up, no farewell."""
        if self.process is None:
            return
        signal_group(self.process.pid, signal.SIGKILL)
        self.process.wait()
        watchdog().tell(f"release {self.process.pid}")

    def restart(self) -> None:
        """Stop in order and start again, on the same port and directory."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the whole group (SIGSTOP): alive, and answering nobody."""
        signal_group(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen group go on."""
        signal_group(self.pid, signal.SIGCONT)

    def children(self) -> list[int]:
        """Process ids of the direct children, for example the pool of a worker."""
        listed = Path(f"/proc/{self.pid}/task").glob("*/children")
        return sorted(int(pid) for path in listed for pid in path.read_text().split())

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self.log_offset = log.tell()
            self.process = self._launched(log)
        watchdog().tell(f"guard {self.pid}")

    def _launched(self, log: IO[bytes]) -> Running:
        as_user = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        started: Running = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.working_directory or self.directory,
            env=None if self.environment is None else dict(self.environment),
            start_new_session=True,
            **as_user,  # type: ignore[call-overload]
        )
        return started

    def _answers(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            code = self.process.returncode
            raise RuntimeError(f"{self.name} ended with code {code}:\n" + "\n".join(self.output().splitlines()[-30:]))
        try:
            return self.is_ready()
        except OSError:
            return False


@dataclass
class Watchdog:
    """Our end of the pipe to the process that cleans up after a run that died."""

    pipe: IO[bytes]

    def tell(self, line: str) -> None:
        """Hand over one line of the protocol in `tests/stack/watchdog.py`."""
        self.pipe.write(line.encode() + b"\n")
        self.pipe.flush()


@cache
def watchdog() -> Watchdog:
    """The watchdog of this run, started at the first call."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("watchdog.py"))], stdin=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    return Watchdog(process.stdin)


PORTS = range(12_000, 32_000)
"""Below the range that the kernel gives to outgoing connections."""
WORKERS = 16
_given: set[int] = set()


def free_port() -> int:
    """A loopback port nobody listens on, and that no other caller of this test run gets.

    A port is chosen long before it is bound: so workers that test side by side choose from different ones.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = random.choice(PORTS[worker % WORKERS :: WORKERS])
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def accepts(port: int) -> bool:
    """Whether something accepts TCP connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def signal_group(group: int, number: signal.Signals) -> None:
    """To all processes of a group, if there are any."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)
