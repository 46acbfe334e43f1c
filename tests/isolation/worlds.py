"""The world in which isolation is tried: made once for a file of tests, each of which rolls its own changes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.core.cache import cache

from tests.isolation.tenants import Tenant, make_tenant
from tests.made_once import within_one_transaction


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
    with within_one_transaction(django_db_blocker):
        parent = make_tenant("quartz")
        ours = make_tenant("walnut", parent.enterprise)
        sibling = make_tenant("pepper", parent.enterprise)
        child = make_tenant("violet", ours.enterprise)
        yield World(parent, ours, sibling, child, make_tenant("copper"))


@pytest.fixture(autouse=True)
def full_rate(settings: Any) -> None:
    """Many requests with one key, which no throttle is to end."""
    settings.API_REQUESTS_PER_MINUTE = 10**9
    cache.clear()
