"""The world of a journey: all processes run, and stop with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from amp.foundation.scoping import system_scope
from tests.journeys.world import World
from tests.stack.mosquitto import Mosquitto
from tests.stack.processes import Product


@pytest.fixture
def world(product_on_test_database: Product, mosquitto: Mosquitto) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def begin(**rule: Any) -> World:
        worlds.append(World(product_on_test_database, mosquitto, **rule))
        product_on_test_database.start()
        return worlds[-1]

    with system_scope():
        yield begin
        for each in worlds:
            each.device.go_offline()
