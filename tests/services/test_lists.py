"""Lists that people work in: pages, search, filters, columns (G2, G3, F72, F73, F93; row E of the benchmarks)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from amp.foundation import clock
from amp.foundation.lists import counts, keyset, search
from amp.foundation.lists.keyset import Ordering
from amp.foundation.scoping import system_scope
from devices.models import Device, DeviceService
from tests.factories import make_device, make_enterprise
from tests.services.admin_world import Maker, made_makers, makers

__all__ = ["made_makers", "makers"]
DEVICES = "/admin/devices/device/"
SERVICES = "/admin/devices/deviceservice/"
ENDS = Ordering("ends", "", "ends_at", descending=False, nullable=True)
LATEST = Ordering("ends_last", "", "ends_at", nullable=True)
NEWEST = Ordering("newest", "")


def keys_of(page: str) -> list[str]:
    """Device keys of a list's rows, in its order."""
    return re.findall(r'field-device_key"><a[^>]*><span class="amp-when">([^<]+)', page)


def shown(client: Client, address: str, status: int = 200) -> list[str]:
    answer = client.get(address)
    assert answer.status_code == status, address
    return keys_of(answer.content.decode())


@pytest.fixture(scope="module")
def twelve_more(made_makers: tuple[Maker, Maker], django_db_blocker: Any) -> None:
    """Devices beside our three, every third without an end, two with the same; in the transaction of `made_makers`."""
    ours, _other = made_makers
    now = clock.now()
    with django_db_blocker.unblock(), system_scope():
        for number in range(12):
            device = make_device(ours.product, key=f"pump-{number:02}", serial=f"SN{number:03}", now=now).device
            end = None if number % 3 == 0 else now + timedelta(days=number // 2)
            DeviceService.objects.filter(device=device).update(ends_at=end)


@pytest.fixture
def fleet(twelve_more: None, makers: tuple[Maker, Maker]) -> Maker:
    """Ours, with its fifteen devices."""
    return makers[0]


@pytest.mark.parametrize("ordering", [NEWEST, ENDS, LATEST])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_pages_put_together_are_the_list_in_both_directions(fleet: Maker, ordering: Ordering, size: int) -> None:
    """Equal values and rows without a value included: no row is left out or met twice."""
    with system_scope():
        rows = DeviceService.objects.filter(enterprise=fleet.enterprise)
        whole = keyset.first_page(rows, ordering, 100).keys
        assert len(whole) == len(set(whole)) == 15
        page, forward = keyset.first_page(rows, ordering, size), []
        while True:
            forward += page.keys
            if not page.has_next:
                break
            page = keyset.page_after(rows, ordering, size, ordering.spelled(page.keys[-1]))
        assert forward == whole
        page, backward = keyset.last_page(rows, ordering, size), []
        while True:
            backward = [*(key for key in page.keys if key not in backward), *backward]
            if not page.has_previous:
                break
            page = keyset.page_before(rows, ordering, size, ordering.spelled(page.keys[0]))
        assert backward == whole


def test_rows_without_an_end_come_last_in_either_direction(fleet: Maker) -> None:
    with system_scope():
        rows = DeviceService.objects.filter(enterprise=fleet.enterprise)
        for ordering in (ENDS, LATEST):
            values = [value for value, _pk in keyset.first_page(rows, ordering, 100).keys]
            empty = [value is None for value in values]
            assert empty == sorted(empty)
            ends = [value for value in values if value]
            assert ends == sorted(ends, reverse=ordering.descending)


@pytest.mark.parametrize("cursor", ["x", "~", "1~2~3", "~-4", "9" * 30, "0000-01-01~4", "2027-02-30T00:00:00Z~1", "é"])
def test_a_damaged_cursor_is_told_and_shows_the_first_page(fleet: Maker, cursor: str) -> None:
    client = fleet.client()
    answer = client.get(DEVICES, {"after": cursor, "sort": "ends"})
    assert answer.status_code == 400
    assert "There is no such page" in answer.content.decode()
    assert len(keys_of(answer.content.decode())) == 15


def test_the_list_leads_from_page_to_page_and_to_both_ends(fleet: Maker) -> None:
    client = fleet.client()
    with system_scope():
        for number in range(40):
            make_device(fleet.product, key=f"valve-{number:02}", now=clock.now())
    first = client.get(f"{DEVICES}?per=25").content.decode()
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    second = client.get(f"{DEVICES}{following[1].replace('&amp;', '&')}").content.decode()
    last = client.get(f"{DEVICES}?per=25&page=last").content.decode()
    assert len(keys_of(first)) == len(keys_of(second)) == len(keys_of(last)) == 25
    assert not set(keys_of(first)) & set(keys_of(second))
    assert keys_of(last)[-1] == "ours-0"
    back = re.search(r'rel="prev" href="([^"]+)"', second)
    assert back
    assert keys_of(client.get(f"{DEVICES}{back[1].replace('&amp;', '&')}").content.decode()) == keys_of(first)


def test_no_list_reads_a_page_by_offset_or_counts_everything(fleet: Maker) -> None:
    client = fleet.client()
    for address in (f"{DEVICES}?page=last", f"{SERVICES}?after=1", f"{DEVICES}?q=pump&sort=ends"):
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        statements = [query["sql"] for query in queries]
        assert not any("OFFSET" in sql for sql in statements)
        assert all("LIMIT" in sql for sql in statements if "COUNT(*)" in sql and "devices_" in sql)


@pytest.mark.parametrize(
    ("path", "most"),
    [(DEVICES, 12), (SERVICES, 12), ("/admin/billing/order/", 10), ("/admin/billing/paymentattempt/", 10)],
)
def test_a_full_page_needs_as_many_queries_as_a_short_one_and_stays_small(fleet: Maker, path: str, most: int) -> None:
    """Row E: at most 12 queries and 400 KB before gzip; the test clock is read outside production alone."""
    client = fleet.client()
    with CaptureQueriesContext(connection) as few:
        client.get(path)
    with system_scope():
        for number in range(60):
            make_device(fleet.product, key=f"more-{number}", name="N" * 120, now=clock.now())
    for query in ("", "?page=last", "?q=mo", "?sort=ends" if "devices" in path else "?sort=created"):
        with CaptureQueriesContext(connection) as many:
            answer = client.get(f"{path}{query}")
        assert answer.status_code == 200
        assert len([query for query in many if "testclock" not in query["sql"]]) <= most
        assert len(answer.content) <= 400 * 1024
    assert len(few) <= most


@pytest.mark.parametrize("text", ["pump-0", "PUMP-0", "SN00", "sn00"])
def test_search_matches_the_beginning_of_a_key_or_a_serial_number(fleet: Maker, text: str) -> None:
    assert sorted(shown(fleet.client(), f"{DEVICES}?q={text}")) == [f"pump-{number:02}" for number in range(10)]
    assert shown(fleet.client(), f"{DEVICES}?q=ump") == []


@pytest.mark.parametrize("text", ["%", "_", "\\", "pump%", "'", "%2500", "=1", "'; DROP TABLE x"])
def test_signs_of_patterns_are_searched_as_they_are(fleet: Maker, text: str) -> None:
    assert fleet.client().get(DEVICES, {"q": text}).status_code == 200
    assert keys_of(fleet.client().get(DEVICES, {"q": text}).content.decode()) == []


def test_more_matches_than_are_listed_are_told(fleet: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (search, __import__("amp.foundation.lists.changelist", fromlist=["MOST"])):
        monkeypatch.setattr(module, "MOST", 5)
    page = fleet.client().get(f"{DEVICES}?q=pump").content.decode()
    assert len(keys_of(page)) == 5
    assert "More than 1,000 rows match" in page


@pytest.mark.parametrize(
    "query",
    [
        "nothing=1",
        "state=NONSENSE",
        "product=0",
        "product=99999999999999999999999",
        "enterprise=abc",
        "ends_from=yesterday",
        "ends_to=0001-01-01",
        "registered_from=9999-12-31",
        "sort=password",
        "per=1000000000",
        "columns=credential_hash",
        "plan__enterprise__name__startswith=A",
        "credential_hash__startswith=x",
        "lock=open",
        "command=all",
    ],
)
def test_a_filter_that_is_not_understood_is_named_and_shows_no_row_F72_F93(fleet: Maker, query: str) -> None:
    for path in (DEVICES, SERVICES):
        answer = fleet.client().get(f"{path}?{query}")
        page = answer.content.decode()
        assert answer.status_code == 400
        assert keys_of(page) == []
        assert "These filters can't be used" in page or escape("These filters can't be used") in page


def test_a_foreign_choice_answers_as_a_missing_one_F73(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    client = ours.client()
    for name, foreign in (("product", other.product.pk), ("enterprise", other.enterprise.pk)):
        told, missing = (
            client.get(f"{DEVICES}?{name}={pk}").content.decode().replace(str(pk), "") for pk in (foreign, 77_777_777)
        )
        error = re.compile(r'role="alert">(.*?)</div>', re.S)
        assert error.findall(told) == error.findall(missing) != []
        assert "other" not in told


def test_filters_leave_the_rows_they_name_G3(fleet: Maker) -> None:
    client, now = fleet.client(), clock.now()
    with system_scope():
        child = make_enterprise("ours south", parent=fleet.enterprise, now=now)
        below = make_device(fleet.product, key="south-1", enterprise=child, now=now).device
        DeviceService.objects.filter(device=below).update(desired_lock="LOCKED", reported_lock="UNLOCKED")
    today = f"{now:%Y-%m-%d}"
    assert shown(client, f"{SERVICES}?enterprise={child.pk}") == ["south-1"]
    assert "south-1" in shown(client, f"{SERVICES}?enterprise={fleet.enterprise.pk}")
    assert shown(client, f"{SERVICES}?lock=differs") == ["south-1"]
    assert shown(client, f"{SERVICES}?state=EXPIRED") == ["ours-0"]
    assert len(shown(client, f"{SERVICES}?presence=never")) == 16
    assert shown(client, f"{SERVICES}?presence=online") == []
    assert len(shown(client, f"{DEVICES}?product={fleet.product.pk}")) == 16
    assert shown(client, f"{DEVICES}?registered_to=2020-01-01") == []
    assert len(shown(client, f"{DEVICES}?registered_from={today[:4]}-01-01")) == 16
    soonest = shown(client, f"{DEVICES}?ends_from=2020-01-01&ends_to=2999-12-31")
    assert soonest[:1] == ["pump-01"]
    assert len(soonest) == 8


def test_filters_in_use_are_chips_that_can_be_removed(fleet: Maker) -> None:
    page = fleet.client().get(f"{DEVICES}?state=EXPIRED&q=ours").content.decode()
    chips = re.search(r'class="amp-list-chips".*?</ul>', page, re.S)
    assert chips
    assert "Expired" in chips[0]
    assert 'href="?q=ours"' in chips[0]
    assert 'href="?state=EXPIRED"' in chips[0]


def test_columns_are_those_chosen_and_the_first(fleet: Maker) -> None:
    page = fleet.client().get(f"{DEVICES}?columns=serial&columns=state").content.decode()
    header = re.search(r"<thead>.*?</thead>", page, re.S)
    assert header
    assert re.findall(r"field-(\w+)", header[0]) == ["device_key", "state", "serial"]


def test_counts_are_exact_up_to_a_bound_and_then_say_about(fleet: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    with system_scope():
        rows = Device.objects.filter(enterprise=fleet.enterprise)
        assert counts.count_rows(rows) == counts.Count(15)
        assert counts.count_rows(rows.none()) == counts.Count(0)
        monkeypatch.setattr(counts, "EXACT", 10)
        found = counts.count_rows(rows)
    assert not found.is_exact
    assert found.text.startswith(("about ", "more than 10 rows")), "PostgreSQL may know nothing of a new table"
    assert counts.Count(10_000, is_exact=False, is_least=True).text == "more than 10,000 rows"
    assert counts.Count(1_204_000, is_exact=False).text == "about 1,204,000 rows"


@pytest.mark.parametrize(("estimate", "said"), [(1_203_961, 1_204_000), (99_999, 100_000), (123_456_789, 123_500_000)])
def test_estimates_carry_four_digits(estimate: int, said: int) -> None:
    assert counts._rounded(estimate) == said


@pytest.mark.parametrize("column", ["key", "serial", "iccid", "name"])
def test_search_is_served_by_an_index(fleet: Maker, column: str) -> None:
    """Row E: without an index of its own the search of a column would read the table, or sort what it found.

    The planner is left no other way than the index, so that its taste for a small table decides nothing.
    """
    with system_scope(), connection.cursor() as cursor:
        for way in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        plan = search._branch(Device.objects.all(), column, "pump").explain()
    assert f"devices_device_{column}_prefix" in plan
    assert "Sort" not in plan
