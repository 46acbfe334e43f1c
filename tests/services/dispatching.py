"""Dispatch without a broker: a transport that records, and one run of the dispatcher."""

import pytest

from devices.services.dispatch import dispatch_commands
from devices.transports.recorded import RecordedTransport
from tests.services.fleet import NOW


@pytest.fixture
def transport() -> RecordedTransport:
    return RecordedTransport()


def run(transport: RecordedTransport, now=NOW, limit: int = 2_000) -> int:
    return dispatch_commands(now=now, transport=transport, limit=limit)
