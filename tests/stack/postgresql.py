"""A throwaway PostgreSQL cluster."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from tests.stack.daemon import Daemon, free_port
from tests.stack.waiting import eventually

SETTINGS = {
    # Nothing here has to survive a power cut; but a killed server must keep what it committed, so it commits
    # synchronously, into the kernel's hands.
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "timezone": "UTC",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
}


@dataclass(kw_only=True)
class PostgreSQL(Daemon):
    """A cluster with the superuser `amp`, who needs no password on this loopback port, and the database `amp`.

    As root it runs as the system user postgres, since PostgreSQL refuses root.
    """

    name: str = "postgresql"
    port: int = field(default_factory=free_port)
    stop_signal: signal.Signals = signal.SIGINT  # fast shutdown: clients are disconnected
    settings: dict[str, str] = field(default_factory=lambda: dict(SETTINGS))
    memory: Path | None = None
    """A directory in memory for the cluster, where there is one; the log stays in `directory`."""

    def __post_init__(self) -> None:
        if os.geteuid() == 0:
            self.user = "postgres"

    @property
    def data(self) -> Path:
        """The cluster's own directory."""
        return (self.memory or self.directory) / "postgresql"

    def url(self, database: str = "amp") -> str:
        """`DATABASE_URL` of one database of the cluster."""
        return f"postgres://amp@127.0.0.1:{self.port}/{database}"

    def command(self) -> tuple[str, ...]:
        """`postgres` on our port and directory."""
        settings = [argument for name, value in self.settings.items() for argument in ("-c", f"{name}={value}")]
        return (str(binary("postgres")), "-D", str(self.data), "-p", str(self.port), *settings)

    def is_ready(self) -> bool:
        """Whether a client may log in."""
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def start(self) -> None:
        """Make the cluster at the first start; wait for the backends of a killed server, which hold its memory."""
        if self.is_running:
            return
        if not self.data.exists():
            self._initdb()
        eventually(self._has_no_backends, what="the end of the killed server's backends")
        super().start()
        if "amp" not in self.databases():
            self.create_database("amp")

    def databases(self) -> list[str]:
        """Names of the databases."""
        with psycopg.connect(self.url("postgres")) as connection:
            return [name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()]

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database as a copy of `template`, which nobody may be connected to; returns its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, and whoever is connected to it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _initdb(self) -> None:
        self.data.mkdir(mode=0o700)
        if self.user:
            shutil.chown(self.data, self.user, self.user)
        command = (
            binary("initdb"),
            "-D",
            self.data,
            "-U",
            "amp",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-N",
        )
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.data, user=self.user, group=self.user, check=False
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _has_no_backends(self) -> bool:
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return True
        if any(_runs_in(entry, self.data) for entry in Path("/proc").glob("[0-9]*")):
            return False
        pid_file.unlink()
        return True


def binary(name: str) -> Path:
    """Path of a PostgreSQL program; Debian keeps the server's away from PATH. Newest version first."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=_version, reverse=True)
    found = versions[0] if versions else shutil.which(name)
    if not found:
        raise RuntimeError(f"{name} is missing: install the package postgresql, or set AMP_TEST_DATABASE_URL.")
    if os.geteuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        raise RuntimeError("As root the tests run PostgreSQL as the system user postgres, which is missing.")
    return Path(found)


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parent.parent.name.split(".") if part.isdigit())


def _runs_in(process: Path, directory: Path) -> bool:
    try:
        return (process / "cwd").readlink() == directory
    except OSError:
        return False
