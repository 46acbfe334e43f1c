"""Products whose TSL can't say a notice, or can't any more: UNSUPPORTED, with the reason for all to see (N7, F64)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerts.models import Notice
from catalog.services.products import import_thing_model
from devices.transports.recorded import RecordedTransport
from tests import factories
from tests.services.announcing import DAY, NOW, hear, make_fleet, notice, rows, sweep, switch
from tests.services.dispatching import transport
from tests.services.fleet import scope

__all__ = ["scope", "transport"]
pytestmark = pytest.mark.django_db


def test_n7_a_product_without_the_property_is_unsupported_and_says_why(transport: RecordedTransport) -> None:
    switch()
    bare = factories.standard_tsl(properties=factories.STANDARD_TSL["properties"][:3])
    fleet = make_fleet(tsl=bare)
    assert sweep(fleet.end() - 30 * DAY, transport) == []
    assert rows() == [(30, "UNSUPPORTED", "NO_PROPERTY")]
    row = Notice.objects.get()
    assert "q_retain_device_sevice_notice" in row.detail
    assert "lacks the notice property" in row.get_reason_display()


@pytest.mark.parametrize("change", ["type", "access", "members"])
def test_n7_a_property_of_another_form_is_unsupported(change: str, transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet(tsl=misshapen(change))
    assert sweep(fleet.end() - 30 * DAY, transport) == []
    assert rows() == [(30, "UNSUPPORTED", "NO_PROPERTY")]


def test_f64_a_tsl_that_lost_the_property_in_between(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet()
    assert hear(fleet.end() - 30 * DAY, transport) == [notice(3, 1)]
    bare = factories.standard_tsl(properties=factories.STANDARD_TSL["properties"][:3])
    import_thing_model(product=fleet.product, text=json.dumps(bare), actor="test", now=NOW)
    assert hear(fleet.end() - 7 * DAY, transport) == []
    assert rows(days=7) == [(7, "UNSUPPORTED", "NO_PROPERTY")]
    import_thing_model(product=fleet.product, text=json.dumps(factories.STANDARD_TSL), actor="test", now=NOW)
    assert hear(fleet.end() - DAY, transport) == [notice(3, 3)]


def misshapen(change: str) -> dict[str, Any]:
    """A TSL whose notice isn't what the seed describes."""
    *others, right = json.loads(json.dumps(factories.STANDARD_TSL["properties"]))
    match change:
        case "type":
            right |= {"dataType": "TEXT", "specs": {"length": "64"}}
        case "access":
            right["subType"] = "R"
        case "members":
            right["specs"] = right["specs"][:1]
    return factories.standard_tsl(properties=[*others, right])
