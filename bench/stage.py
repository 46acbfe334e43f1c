"""The servers of one run, thrown away after it, and Django on them. Product and limit share everything here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import django
import psycopg

from amp import tuning
from tests.stack.plugin import Stack
from tests.stack.template import TEMPLATE, ensure_template

SERVER = {"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
"""For a million devices (docs/performance.md): what PostgreSQL comes with suits a machine of 512 MB."""
SMALL = 10_000
"""Devices of the small fleet, which lists are compared with."""


@dataclass
class Stage:
    """Running PostgreSQL, Redis and Mosquitto; `large` and `small` name databases with `scale` and 10,000 devices."""

    stack: Stack
    scale: int
    large: str = "fleet_large"
    small: str = "fleet_small"

    @property
    def small_scale(self) -> int:
        """Devices in the small database."""
        return min(SMALL, self.scale)

    @property
    def mqtt_url(self) -> str:
        """Where the product's own processes reach the broker."""
        return self.stack.mosquitto.url

    def database_url(self, name: str) -> str:
        """Address of one database."""
        return self.stack.postgresql.url(name)

    def use(self, name: str) -> None:
        """Let Django talk to this database from now on, in all threads."""
        from django.db import connections

        connections.close_all()
        connections["default"].settings_dict["NAME"] = name

    def connect(self, name: str) -> psycopg.Connection[tuple[object, ...]]:
        """A plain connection beside Django's, autocommit."""
        return psycopg.connect(self.database_url(name), autocommit=True)


@contextmanager
def open_stage(scale: int, migrated: Path | None = None) -> Iterator[Stage]:
    """Start the servers, load Django, migrate, and build both fleets; stop and remove everything afterwards.

    `migrated` is where dumps of migrated databases are kept from run to run, for whom migrating takes too long.
    """
    stack = Stack.in_temporary_directory()
    try:
        stack.postgresql.settings |= SERVER
        for server in (stack.postgresql, stack.redis, stack.mosquitto):
            server.start()
        stage = Stage(stack, scale)
        os.environ.update(stack.environment(database_url=stage.database_url("amp"), redis_database=0))
        os.environ["AMP_LOCK_ALLOWANCE"] = str(10**9)  # whole enterprises expire here, and nobody confirms (P8)
        os.environ["AMP_API_REQUESTS_PER_MINUTE"] = str(10**9)  # pages are asked for again and again with one key
        os.environ["AMP_LOG_LEVEL"] = "WARNING"  # the table is what is to be read
        django.setup()
        _fill(stage, migrated or stack.directory)
        tuning.settle()  # as every process of the product does
        yield stage
        _hang_up()
    finally:
        stack.stop()


def _fill(stage: Stage, migrated: Path) -> None:
    from bench import fleet

    environment = stage.stack.environment(database_url=stage.database_url(TEMPLATE), redis_database=0)
    ensure_template(stage.stack.postgresql, environment, migrated)
    for name, devices in ((stage.large, stage.scale), (stage.small, stage.small_scale)):
        _hang_up()
        stage.stack.postgresql.create_database(name, template=TEMPLATE)
        stage.use(name)
        fleet.build(devices)


def _hang_up() -> None:
    from django.db import connections

    connections.close_all()
