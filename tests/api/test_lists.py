"""Pages, filters and throttles of lists (F72, F93, R5, R6)."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import signing
from django.core.cache import cache

from amp.foundation import clock
from amp.foundation.api.paging import SALT
from amp.foundation.scoping import system_scope
from tests.api.calling import Tenant, code, make_tenant, wrong_fields
from tests.api.furniture import grow
from tests.api.test_costs import COSTS
from tests.factories import make_enterprise, make_plan, make_product


def names(tenant: Tenant, query: str = "") -> list[str]:
    """Names of all products, page by page."""
    found, path = [], f"/products?page_size=2{query}"
    while path:
        told = tenant.api.get(path).json()
        found += [row["name"] for row in told["results"]]
        path = told["next"].partition("/api/v1")[2] if told["next"] else ""
    return found


@pytest.fixture
def five(ours: Tenant) -> Tenant:
    """Ours with five products, one of them with the name of none."""
    with system_scope():
        for name in ("b", "d", "a", "c"):
            make_product(ours.enterprise, name=name)
    return ours


def test_pages_hold_each_row_once_in_either_direction_F93(five: Tenant) -> None:
    up = ["a", "b", "c", "d", "ours product"]
    assert names(five, "&ordering=name") == up
    assert names(five, "&ordering=-name") == up[::-1]
    assert names(five) == ["ours product", "b", "d", "a", "c"]
    assert names(five, "&ordering=-id") == ["c", "a", "d", "b", "ours product"]


def test_rows_with_equal_values_are_told_apart_F93(ours: Tenant) -> None:
    with system_scope():
        plans = {make_plan(ours.product, amount=500, name=f"p{number}").pk for number in range(5)}
    found: list[int] = []
    path = "/plans?ordering=amount&page_size=2"
    while path:
        told = ours.api.get(path).json()
        found += [row["id"] for row in told["results"]]
        path = told["next"].partition("/api/v1")[2] if told["next"] else ""
    assert len(found) == 6
    assert set(found) == {*plans, ours.plan.pk}


def test_row_that_comes_and_goes_meanwhile_moves_no_other_F93(five: Tenant) -> None:
    first = five.api.get("/products?ordering=name&page_size=2").json()
    with system_scope():
        make_product(five.enterprise, name="aa")
    second = five.api.get(f"/products?ordering=name&page_size=2&cursor={first['next_cursor']}").json()
    assert [row["name"] for row in second["results"]] == ["c", "d"]


@pytest.mark.parametrize("cursor", ["x", "'", "1:2:3", "a" * 200, "eyJ", "../..", "\N{SNOWMAN}"])
def test_garbage_for_a_cursor_is_refused(ours: Tenant, cursor: str) -> None:
    response = ours.api.get(f"/products?cursor={cursor}")
    assert code(response) == (400, "invalid_parameters")
    assert wrong_fields(response) == {"cursor"}


@pytest.mark.parametrize("told", [["id", "x"], ["id"], 7, ["name", None], ["-id", "5"], ["id", "1~2"], ["id", -5]])
def test_cursor_of_another_ordering_is_refused(ours: Tenant, told: Any) -> None:
    assert code(ours.api.get(f"/products?cursor={signing.dumps(told, salt=SALT)}"))[0] == 400


@pytest.mark.parametrize("size", ["0", "101", "-1", "1e2", "x", "", "9" * 30, "\u0661"])
def test_size_of_a_page_has_bounds_F93(ours: Tenant, size: str) -> None:
    assert wrong_fields(ours.api.get(f"/products?page_size={size}")) == {"page_size"}


@pytest.mark.parametrize("ordering", ["key", "enterprise__name", "-created_at", "?", "name,id", ""])
def test_ordering_is_one_of_a_closed_list_F72(ours: Tenant, ordering: str) -> None:
    assert wrong_fields(ours.api.get(f"/products?ordering={ordering}")) == {"ordering"}


def test_lists_hold_own_rows_alone_R6(ours: Tenant, other: Tenant) -> None:
    assert [row["name"] for row in ours.api.get("/enterprises").json()["results"]] == ["ours"]
    assert [row["name"] for row in ours.api.get("/products").json()["results"]] == ["ours product"]
    assert [row["name"] for row in ours.api.get("/plans").json()["results"]] == ["ours plan"]


def test_filters_find_nothing_of_another_tenant_R6(ours: Tenant, other: Tenant) -> None:
    for query in (
        f"/products?enterprise={other.enterprise.pk}",
        f"/products?key={other.product.key}",
        "/products?name=other",
        f"/plans?product={other.product.pk}",
        f"/plans?family={other.plan.family}",
        f"/enterprises?parent={other.enterprise.pk}",
    ):
        assert ours.api.get(query).json() == {"results": [], "next": None, "next_cursor": None}
    assert len(other.api.get(f"/plans?product={other.product.pk}").json()["results"]) == 1


def test_key_reaches_its_subtree_and_shows_nothing_above_it_E1_R6(ours: Tenant) -> None:
    below = make_tenant("below", parent=ours.enterprise)
    rows = {row["name"]: row["parent"] for row in ours.api.get("/enterprises").json()["results"]}
    assert rows == {"ours": None, "below": ours.enterprise.pk}
    assert [row["parent"] for row in below.api.get("/enterprises").json()["results"]] == [None]
    assert code(below.api.get(f"/enterprises/{ours.enterprise.pk}")) == (404, "not_found")
    # What an enterprise above offers is readable (E1).
    assert {row["name"] for row in below.api.get("/products").json()["results"]} == {"ours product", "below product"}
    assert ours.api.get(f"/enterprises?parent={ours.enterprise.pk}").json()["results"][0]["name"] == "below"


def test_moved_enterprise_is_out_of_reach_with_the_next_request_F79(ours: Tenant, other: Tenant) -> None:
    with system_scope():
        child = make_enterprise("child", parent=ours.enterprise)
    assert ours.api.get(f"/enterprises/{child.pk}").status_code == 200
    child.parent, child.path = other.enterprise, f"{other.enterprise.path}{child.pk}/"
    with system_scope():
        child.save()
    assert code(ours.api.get(f"/enterprises/{child.pk}")) == (404, "not_found")
    assert other.api.get(f"/enterprises/{child.pk}").json()["parent"] == other.enterprise.pk


def test_key_that_asks_too_often_is_told_when_to_go_on(
    ours: Tenant, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 3
    second = ours.keyed("products:read")
    minute = clock.wall()
    monkeypatch.setattr(clock, "wall", lambda: minute)  # no minute turns between the requests
    answers = [ours.api.get("/me") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refused = answers[-1]
    assert code(refused) == (429, "too_many_requests")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused["RateLimit-Remaining"] == "0"
    assert second.get("/me").status_code == 200  # each key has its own minute
    assert answers[0]["RateLimit-Limit"] == "3"


def test_limit_that_is_not_reached_refuses_nobody(ours: Tenant, settings: Any) -> None:
    """Negative control of the test above."""
    settings.API_REQUESTS_PER_MINUTE = 100
    assert {ours.api.get("/me").status_code for _ in range(4)} == {200}


def test_dead_cache_refuses_nobody_R5(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise ConnectionError("Redis is away")

    monkeypatch.setattr(cache, "incr", fail)
    assert ours.api.get("/me").status_code == 200


def test_a_row_of_a_list_tells_what_its_own_address_tells(ours: Tenant) -> None:
    """A page is read as columns, one resource as an instance: both say the same, to the letter."""
    grow(ours, 2)
    compared = set()
    for path in COSTS:
        head, _, rest = path.rpartition("/")
        if head.count("/") != 1 or not rest.startswith("{"):
            continue
        for row in ours.api.get(head).json()["results"]:
            single = ours.api.get(f"{head}/{row['id']}").json()
            assert {name: single[name] for name in row} == row, path
            compared.add(head)
    names = "enterprises products plans devices device-services commands orders refunds payment-exceptions"
    names += " fapiao-requests notices webhooks webhook-deliveries"
    assert compared == {f"/{name}" for name in names.split()}
