"""The world in which isolation is tried: made once for a file of tests, each of which rolls its own changes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.core.cache import cache
from django.db import transaction

from tests.isolation.tenants import Tenant, make_tenant


class World(NamedTuple):
    """Whose rows are tried, and who tries."""

    parent: Tenant
    ours: Tenant
    sibling: Tenant
    child: Tenant
    stranger: Tenant


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """Five tenants, each with a row of everything."""
    with django_db_blocker.unblock():
        around = transaction.atomic()
        around._from_testcase = True  # type: ignore[attr-defined]  # as a test's own: "durable" blocks may lie within
        with around:
            parent = make_tenant("quartz")
            ours = make_tenant("walnut", parent.enterprise)
            sibling = make_tenant("pepper", parent.enterprise)
            child = make_tenant("violet", ours.enterprise)
            yield World(parent, ours, sibling, child, make_tenant("copper"))
            transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def full_rate(settings: Any) -> None:
    """Many requests with one key, which no throttle is to end."""
    settings.API_REQUESTS_PER_MINUTE = 10**9
    cache.clear()
