"""The product's own processes, by the command lines that the compose file runs in production."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psycopg

from tests.stack.daemon import Daemon, Running, free_port
from tests.stack.forkserver import forkserver
from tests.stack.mosquitto import Mosquitto

WEB = ("gunicorn", "amp.wsgi")
WORKER = ("celery", "-A", "amp", "worker", "--loglevel=INFO", "--without-mingle", "--without-gossip")
BEAT = ("celery", "-A", "amp", "beat", "--loglevel=INFO")
BRIDGE = ("python", "manage.py", "bridge")
MIGRATE = ("python", "manage.py", "migrate", "--noinput")

REPOSITORY = Path(__file__).parents[2]
# Keys of no value, the same in each run so that failures repeat.
SECRET_KEY = "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789"
FIELD_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def settings_environment(*, database_url: str, redis_url: str, mqtt_url: str, base_url: str) -> dict[str, str]:
    """The product's settings for a test, as environment variables, and nothing else."""
    return {
        "DJANGO_SETTINGS_MODULE": "amp.settings",
        "AMP_MODE": "test",
        "SECRET_KEY": SECRET_KEY,
        "AMP_FIELD_KEY": FIELD_KEY,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "MQTT_URL": mqtt_url,
        "AMP_BASE_URL": base_url,
        "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
        "AMP_REQUIRE_TOTP": "false",  # the tests of signing in ask for it
    }


def resolved(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command with its program taken from this virtual environment, active or not."""
    return (str(Path(sys.executable).parent / command[0]), *command[1:])


@dataclass(kw_only=True)
class Process(Daemon):
    """One process of the product."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    is_cold: bool

    def command(self) -> tuple[str, ...]:
        """Production's command, from this virtual environment."""
        return resolved(self.arguments)

    def _launched(self, log: IO[bytes]) -> Running:
        if self.is_cold:
            return super()._launched(log)
        return forkserver(self.environment).popen(self.command(), cwd=REPOSITORY, stdout=log, stderr=log)


@dataclass(kw_only=True)
class Web(Process):
    """gunicorn; ready when `/health/live` answers 200."""

    url: str

    def is_ready(self) -> bool:
        """Whether the web process is alive."""
        return status_of(f"{self.url}/health/live") == 200


@dataclass(kw_only=True)
class Celery(Process):
    """A worker or the scheduler; ready when its log says so."""

    says: str

    def is_ready(self) -> bool:
        """Whether `says` stands in the log of this start."""
        return self.says in self.latest_output()


@dataclass(kw_only=True)
class Bridge(Process):
    """The listener; ready when the broker has taken its subscriptions, the last of which is its own echo's."""

    mosquitto: Mosquitto
    subscriptions_before: int = 0

    @property
    def client_id(self) -> str:
        """Its name at the broker, which says its slot."""
        slot = self.arguments[-1].replace("/", "of") if "--slot" in self.arguments else ""
        return f"amp-bridge-{slot}" if slot else "amp-bridge"

    def is_ready(self) -> bool:
        """Whether the broker has taken its last subscription since this start."""
        return self._subscriptions() > self.subscriptions_before

    def _subscriptions(self) -> int:
        return self.mosquitto.subscriptions(self.client_id, f"amp/bridge/{self.client_id}/echo")

    def _spawn(self) -> None:
        self.subscriptions_before = self._subscriptions()
        super()._spawn()


@dataclass(kw_only=True)
class Product:
    """The product on one database: run its commands, start its processes, ask it over HTTP and SQL.

    `directory` takes the logs. All processes get `environment` and nothing of the caller's but PATH, HOME and LANG.
    They are forked by a process that has loaded the product in this environment; where the start itself is the subject,
    `is_cold` has each started by its command line.
    """

    directory: Path
    environment: dict[str, str]
    mosquitto: Mosquitto
    metrics: Path
    port: int = field(default_factory=free_port)
    is_cold: bool = False
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            **self.environment,
            "AMP_BASE_URL": self.url,
            "GUNICORN_CMD_ARGS": f"--bind=127.0.0.1:{self.port} --preload --no-control-socket "
            "--worker-class=gthread --workers=2 --threads=4 --graceful-timeout=5",
            "PYTHONUNBUFFERED": "1",
            "AMP_METRICS_DIR": str(self.metrics),
        }

    @property
    def url(self) -> str:
        """Where the web process answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        """`DATABASE_URL` of all processes."""
        return self.environment["DATABASE_URL"]

    def manage(self, *arguments: str, check: bool = True, within: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` to its end; raises `RuntimeError` with its output when it fails and `check` is true."""
        command = resolved(("python", "manage.py", *arguments))
        if self.is_cold:
            done = subprocess.run(
                command,
                cwd=REPOSITORY,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=within,
                check=False,
            )
        else:
            done = forkserver(self.environment).run(command, cwd=REPOSITORY, timeout=within)
        if check and done.returncode:
            raise RuntimeError(
                f"manage.py {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def sql(self, statement: str, parameters: Mapping[str, Any] | tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Rows of one SQL statement, on a connection of its own that commits."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def web(self) -> Process:
        """Start gunicorn."""
        return self._start(Web(**self._options("web"), arguments=WEB, url=self.url))

    def worker(self, *arguments: str) -> Process:
        """Start one more Celery worker, for example with `--queues=urgent`."""
        options = self._options("worker")
        # Production has one worker per container; here several share a host, and Celery wants them told apart.
        node = f"--hostname={options['name']}@%h"
        return self._start(Celery(**options, arguments=(*WORKER, node, *arguments), says=" ready."))

    def beat(self) -> Process:
        """Start the scheduler."""
        return self._start(Celery(**self._options("beat"), arguments=BEAT, says="beat: Starting"))

    def bridge(self, *arguments: str) -> Process:
        """Start the bridge, for example with `--slot`, `1/2`."""
        options = self._options("bridge")
        return self._start(Bridge(**options, arguments=(*BRIDGE, *arguments), mosquitto=self.mosquitto))

    def start(self) -> None:
        """Start web, one worker, beat and the bridge side by side; returns when all are ready."""
        with ThreadPoolExecutor() as starting:
            for started in [starting.submit(start) for start in (self.web, self.worker, self.beat, self.bridge)]:
                started.result()

    def end(self) -> None:
        """Be rid of every process that was started, without waiting for any farewell."""
        for process in reversed(self.processes):
            process.kill()

    def _options(self, kind: str) -> dict[str, Any]:
        number = 1 + sum(process.name.startswith(kind) for process in self.processes)
        return {
            "name": f"{kind}-{number}",
            "directory": self.directory,
            "environment": self.environment,
            "working_directory": REPOSITORY,
            "is_cold": self.is_cold,
        }

    def _start(self, process: Process) -> Process:
        self.processes.append(process)
        process.start()
        return process


def status_of(url: str, *, seconds: float = 5.0) -> int:
    """HTTP status of a GET, 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return 0
