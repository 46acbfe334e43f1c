"""The simulator's process, the two clocks, and a day at the sellers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from amp.foundation.scoping import system_scope
from tests.gateways.process import Gateways, gateway_process, gateways
from tests.money.day import Day
from tests.services.gateway import wire
from tests.services.shop import Loopback

__all__ = ["gateway_process", "gateways", "wire"]


@pytest.fixture
def day(transactional_db: None, gateways: Gateways, wire: Loopback) -> Iterator[Day]:
    """One at which nothing has happened yet; threads have connections of their own, so everything is committed."""
    with system_scope():
        yield Day(wire, gateways)
