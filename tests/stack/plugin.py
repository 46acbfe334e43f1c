"""pytest plugin: the product's environment, and fixtures for the throwaway services.

Django reads its settings once, early. So ports are chosen and settings are put into the environment before that, and a
service starts when the first test asks for it: rules need none, and start none. `AMP_TEST_DATABASE_URL` names an
existing database server to use instead of starting one.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.stack.daemon import free_port, watchdog
from tests.stack.forkserver import stop_all
from tests.stack.memory import memory_to_spare
from tests.stack.mosquitto import Mosquitto
from tests.stack.postgresql import PostgreSQL
from tests.stack.processes import Product, settings_environment
from tests.stack.redis import Redis
from tests.stack.template import TEMPLATE, ensure_template


@dataclass
class Stack:
    """The services of one test run; none of them runs before it is asked for."""

    directory: Path
    postgresql: PostgreSQL
    redis: Redis
    mosquitto: Mosquitto
    port: int | None = None
    """Of the product's web process, once it was asked for."""

    @classmethod
    def in_temporary_directory(cls, memory: Path | None = None) -> Stack:
        """Choose ports and directories, which the watchdog removes when the run ends in whatever way.

        `memory` is where small databases may live.
        """
        directory = _temporary()
        return cls(
            directory,
            PostgreSQL(directory=directory, memory=memory and _temporary(memory)),
            Redis(directory=directory),
            Mosquitto(directory=directory),
        )

    @property
    def starts_postgresql(self) -> bool:
        """Whether the tests in this process use our own server, not the one of `AMP_TEST_DATABASE_URL`."""
        return "AMP_TEST_DATABASE_URL" not in os.environ

    @property
    def database_url(self) -> str:
        """The database of the tests in this process; pytest-django puts `test_` before its name."""
        return os.environ.get("AMP_TEST_DATABASE_URL") or self.postgresql.url()

    def environment(self, *, database_url: str, redis_database: int) -> dict[str, str]:
        """Settings of a product on these services."""
        return settings_environment(
            database_url=database_url,
            redis_url=self.redis.url(redis_database),
            mqtt_url=self.mosquitto.url,
            base_url="http://testserver",
        )

    def product(self, directory: Path, mosquitto: Mosquitto, *, database_url: str) -> Product:
        """The product with its logs in `directory`; on one database its environment is the same for every test."""
        if self.port is None:
            self.port = free_port()
        metrics = self.directory / "metrics-of-the-product"
        shutil.rmtree(metrics, ignore_errors=True)  # what was counted before is no test's business
        environment = self.environment(database_url=database_url, redis_database=1)
        return Product(
            directory=directory, environment=environment, mosquitto=mosquitto, metrics=metrics, port=self.port
        )

    def stop(self) -> None:
        """End the services and remove what they wrote."""
        stop_all()
        for service in (self.mosquitto, self.redis, self.postgresql):
            service.stop()
        for directory in (self.directory, self.postgresql.memory):
            if directory:
                shutil.rmtree(directory, ignore_errors=True)


def _temporary(parent: Path | None = None) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="amp-tests-", dir=parent))
    directory.chmod(0o755)  # PostgreSQL runs as another user when we are root
    watchdog().tell(f"remove {directory}")
    return directory


STACK = pytest.StashKey[Stack]()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Set the environment; a wrapper, for it has to come before pytest-django, which loads the settings here."""
    stack = early_config.stash[STACK] = Stack.in_temporary_directory(memory_to_spare())
    os.environ.update(stack.environment(database_url=stack.database_url, redis_database=0))
    os.environ["AMP_METRICS_DIR"] = str(stack.directory / "metrics")
    early_config.add_cleanup(stack.stop)
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked as long begins first, so that one worker doesn't wait at the end for another's.

    Only for journeys: others stay as pytest-django has them, those that roll back before those that commit.
    """
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What is there now stays to the end; looking through it for garbage again and again took a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Stack:
    """All services of this run, none of them started."""
    return pytestconfig.stash[STACK]


@pytest.fixture(scope="session")
def postgresql_server(stack: Stack) -> PostgreSQL:
    """A running PostgreSQL server."""
    stack.postgresql.start()
    return stack.postgresql


@pytest.fixture(scope="session")
def redis_server(stack: Stack) -> Redis:
    """A running Redis; database 0 is for tests in this process, 1 for the product's own processes."""
    stack.redis.start()
    return stack.redis


@pytest.fixture(scope="session")
def mosquitto(stack: Stack) -> Mosquitto:
    """A running Mosquitto with production's configuration and ACL."""
    stack.mosquitto.start()
    return stack.mosquitto


@pytest.fixture(scope="session")
def product_template(stack: Stack, postgresql_server: PostgreSQL, pytestconfig: pytest.Config) -> str:
    """Name of a migrated, otherwise empty database to copy."""
    environment = stack.environment(database_url=postgresql_server.url(TEMPLATE), redis_database=1)
    cache = pytestconfig.cache
    assert cache is not None
    return ensure_template(postgresql_server, environment, cache.mkdir("migrated"))


@pytest.fixture
def product(
    stack: Stack,
    postgresql_server: PostgreSQL,
    redis_server: Redis,
    mosquitto: Mosquitto,
    product_template: str,
    tmp_path: Path,
) -> Iterator[Product]:
    """The product on a database of its own and an empty Redis database; no process runs until it is started."""
    for service in (postgresql_server, redis_server, mosquitto):
        service.start()  # a test before us may have left it killed
    redis_server.client(1).flushdb()
    name = f"amp_{tmp_path.name}"[:60].lower()
    database_url = postgresql_server.create_database(name, template=product_template)
    product = stack.product(tmp_path / "product", mosquitto, database_url=database_url)
    try:
        yield product
    finally:
        product.end()
        postgresql_server.start()
        postgresql_server.drop_database(name)


@pytest.fixture
def product_on_test_database(
    stack: Stack, transactional_db: None, redis_server: Redis, mosquitto: Mosquitto, tmp_path: Path
) -> Iterator[Product]:
    """The product on the very database that this test reaches through Django, which is emptied afterwards."""
    from django.db import connection

    redis_server.client(1).flushdb()
    base, _, _ = stack.database_url.rpartition("/")
    database_url = f"{base}/{connection.settings_dict['NAME']}"
    product = stack.product(tmp_path / "product", mosquitto, database_url=database_url)
    try:
        yield product
    finally:
        product.end()
