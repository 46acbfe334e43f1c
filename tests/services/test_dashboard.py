"""The overview: figures that agree with the lists they lead to, for a million devices as for one (R6)."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from amp.foundation import clock
from amp.foundation.models import Role, SweepRun, Tally
from amp.foundation.scoping import system_scope
from billing.models import Order
from billing.services.figures import count_sales
from catalog.models import ServiceLevel
from devices.models import Command, DeviceService, Presence
from devices.services.figures import count_devices
from tests.factories import make_device, make_enterprise, make_member
from tests.services.admin_world import Maker, made_makers, makers

__all__ = ["made_makers", "makers"]

TABLES = ("devices_deviceservice", "devices_presence", "devices_command", "billing_order")
"""Tables that grow with the devices: the page counts none of them."""


def count_everything() -> None:
    """What the sweeps do, without waiting for their pace."""
    with system_scope():
        Tally.objects.all().delete()
        count_devices(now=clock.now(), every=timedelta(0))
        count_sales(now=clock.now(), every=timedelta(0))


def a_lively(maker: Maker) -> None:
    """Every figure of this maker is more than nothing."""
    now = clock.now()
    with system_scope():
        level = ServiceLevel.objects.get(standard_of=maker.product)
        for number in range(4):
            device = make_device(maker.product, key=f"{maker.enterprise.name}-more-{number}", now=now).device
            ends_at = now + timedelta(days=2 + 20 * number)
            DeviceService.objects.filter(device=device).update(state="ACTIVE", ends_at=ends_at, level=level)
            Presence.objects.filter(device=device).update(is_online=number < 3, last_seen_at=now)
            Command.objects.create(
                enterprise=maker.enterprise,
                device=device,
                kind="LOCK",
                generation=1,
                values={},
                rule_version=1,
                status="FAILED" if number == 3 else "PENDING",
                created_at=now,
                stale_at=now + timedelta(days=7),
                closed_at=now if number == 3 else None,
            )
        Order.objects.filter(pk=maker.order.pk).update(status="FULFILLED", paid_at=now)


def rows_listed(client: Client, address: str) -> int:
    """How many rows the list behind a link has."""
    answer = client.get(address)
    assert answer.status_code == 200, address
    shown = answer.context["cl"]
    assert not getattr(shown, "problems", ()), (address, shown.problems)
    return len(shown.result_list)


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_every_figure_is_as_large_as_the_list_it_leads_to(makers: tuple[Maker, Maker]) -> None:
    for maker in makers:
        a_lively(maker)
    count_everything()
    client = makers[0].client()
    context = client.get("/admin/").context
    figures = {tile.title: (tile.number, tile.url) for tile in context["tiles"]}
    assert figures.pop("Payment exceptions")[0] == 0
    figures |= {state["word"]: (state["number"], state["url"]) for state in context["states"]}
    for chart in context["charts"][:2]:
        figures |= {f"{chart.key} {row.label}": (number(row.cells[0]), row.url) for row in chart.rows}
    assert {name: told for name, (told, url) in figures.items() if told != rows_listed(client, url)} == {}
    assert sum(told > 0 for told, _url in figures.values()) >= 9
    failed = next(tile for tile in context["tiles"] if tile.note_url)
    assert (failed.note, rows_listed(client, failed.note_url)) == ("1 failed in 7 days", 1)


def test_revenue_is_the_money_of_paid_orders_in_their_currency(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    a_lively(ours)
    count_everything()
    charts = {chart.key: chart for chart in ours.client().get("/admin/").context["charts"]}
    assert set(charts) == {"expiring", "renewals", "revenue-cny"}
    assert charts["revenue-cny"].rows[-1].cells == ["¥199.00"]
    assert charts["revenue-cny"].series[0]["data"] == [*[0] * 11, 199.0]
    assert charts["renewals"].rows[-1].cells == ["1", "1"]


def test_the_other_makers_figures_are_not_there_R6(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    count_everything()
    before = ours.client().get("/admin/").context["figures"].numbers
    a_lively(other)
    count_everything()
    assert ours.client().get("/admin/").context["figures"].numbers == before
    assert other.client().get("/admin/").context["figures"].of("online") == 3


def test_the_page_counts_no_large_table_and_asks_twelve_questions_at_most(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    a_lively(ours)
    count_everything()
    for role in (Role.ENTERPRISE_ADMINISTRATOR, Role.PLATFORM_ADMINISTRATOR):
        client = ours.client(role)
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/admin/").status_code == 200
        assert len(captured) <= 12, [query["sql"][:120] for query in captured]
        told = " ".join(query["sql"] for query in captured)
        assert [table for table in TABLES if f'"{table}"' in told] == []


def test_charts_have_their_numbers_as_tables_and_no_inline_script(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    a_lively(ours)
    count_everything()
    page = ours.client().get("/admin/").content.decode()
    drawn = json.loads(re.search(r'<script id="amp-charts" type="application/json">(.*?)</script>', page).group(1))
    for key, chart in drawn.items():
        assert f'data-chart="{key}"' in page
        assert len(chart["labels"]) == len(chart["urls"]) == len(chart["series"][0]["data"]) == 12
    assert page.count("<details><summary>Numbers</summary>") == len(drawn) == 3
    scripts = re.findall(r"<script(?![^>]*(?:src=|application/json))[^>]*>", page.partition("amp-page")[2])
    assert scripts == []


def test_figures_say_when_they_were_counted_and_when_some_are_missing(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    assert client.get("/admin/").context["figures"].counted_at is None
    count_everything()
    counted_at = client.get("/admin/").context["figures"].counted_at
    assert abs(clock.now() - counted_at) < timedelta(minutes=5)
    with system_scope():
        make_enterprise("ours below", parent=ours.enterprise, now=clock.now())
    assert client.get("/admin/").context["figures"].counted_at is None, "the newcomer isn't counted yet"


def test_a_new_enterprise_is_told_what_to_do_first(db: Any) -> None:
    with system_scope():
        member = make_member(make_enterprise("Fresh", merchant=False), Role.ENTERPRISE_ADMINISTRATOR)
    client = Client()
    client.force_login(member)
    with CaptureQueriesContext(connection) as captured:
        answer = client.get("/admin/")
    assert len(captured) <= 12
    steps = answer.context["steps"]
    assert [step.done for step in steps] == [False] * 5
    assert "Start here" in answer.content.decode()
    assert all(client.get(step.url).status_code == 200 for step in steps)


@pytest.mark.parametrize(
    ("failed", "minutes", "word"), [("", 0, "On time"), ("", 10, "Late"), ("Boom: x", 0, "Failed")]
)
def test_platform_staff_see_the_health_of_sweeps_and_others_do_not(
    makers: tuple[Maker, Maker], failed: str, minutes: int, word: str
) -> None:
    ours, _ = makers
    at = clock.wall() - timedelta(minutes=minutes)
    SweepRun.objects.create(
        name="advance_due_services",
        task="devices.tasks.advance_due_services",
        started_at=at,
        finished_at=at,
        failed_because=failed,
    )
    (sweep,) = ours.client(Role.PLATFORM_ADMINISTRATOR).get("/admin/").context["sweeps"]
    assert (sweep.name, sweep.word) == ("advance_due_services", word)
    assert ours.client().get("/admin/").context["sweeps"] == []
