"""What one tenant sees doesn't depend on whether another is empty or full (R6): no count, order or text moves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from billing.services.figures import count_sales
from devices.services.figures import count_devices
from tests.crawling import pages
from tests.isolation.doors import doors
from tests.isolation.tenants import Tenant, make_tenant

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

ANCHORS = str.maketrans("", "", "^$")
DIFFERS = re.compile(
    rb'name="csrfmiddlewaretoken" value="[^"]+"|name="once_key" value="[^"]+"|"request_id":"[^"]+"|nonce="[^"]*"'
    rb'|name="seen" value="[^"]*"|name="ticket" value="[^"]*"'
)


class Eyes:
    """A tenant's administrator and its key: every page and every list of the API, as they read now."""

    def __init__(self, tenant: Tenant) -> None:
        self.staff = tenant.staff()
        self.headers = {"Authorization": f"Bearer {tenant.key()}"}
        self.endpoints = [f"/{door.route.translate(ANCHORS)}" for door in doors() if door.name.endswith("-list")]
        Client().get(reverse("api:me"), headers=self.headers)  # from here on the key was used this hour

    def first_look(self) -> dict[str, bytes]:
        """Every page that links lead to, as the walk finds it: a second walk would double the longest part."""
        self._count_anew()
        return self._seen(pages(self.staff, "/admin/", per_kind=1))

    def look(self, paths: Iterable[str]) -> dict[str, bytes]:
        """The same pages and lists again."""
        self._count_anew()
        return self._seen(
            {path: self.staff.get(path, follow=True).content for path in paths if path not in self.endpoints}
        )

    def _seen(self, shown: dict[str, bytes]) -> dict[str, bytes]:
        seen = shown | {path: Client().get(path, headers=self.headers).content for path in self.endpoints}
        return {path: DIFFERS.sub(b"", content) for path, content in seen.items()}

    def _count_anew(self) -> None:
        cache.clear()
        with system_scope():
            count_devices(now=clock.now(), every=timedelta())
            count_sales(now=clock.now(), every=timedelta())


def differing(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {path for path in before if before[path] != after[path]}


@pytest.fixture
def still() -> Any:
    """Time stands, so that no "3 seconds ago" differs."""
    with time_machine.travel(clock.wall(), tick=False) as standing:
        yield standing


def test_pages_and_endpoints_read_the_same_with_another_tenant_empty_and_full(still: Any) -> None:
    """And the negative control: a row that comes into reach, below our enterprise, is seen."""
    ours = make_tenant("walnut")
    eyes = Eyes(ours)
    before = eyes.first_look()
    assert len(before) > 40
    make_tenant("copper")
    assert differing(before, eyes.look(before)) == set()
    make_tenant("violet", ours.enterprise)
    assert {"/admin/devices/device/", "/api/v1/devices"} <= differing(before, eyes.look(before))
