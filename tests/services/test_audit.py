"""The audit: everything that happened, in words, for those who may see it; nobody changes it (X3)."""

from __future__ import annotations

import ast
import csv
import io
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from openpyxl import load_workbook

from amp.audit.entries import changes_of
from amp.audit.words import GROUPS, WORDS, kind_word
from amp.foundation import clock
from amp.foundation.crashing import POINTS
from amp.foundation.models import Event, Role
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import EventDraft, record_event, record_events
from amp.foundation.templatetags.amp_display import actor_name
from devices.admin_views.words import event_word
from devices.models.imports import ImportState
from tests.services.admin_world import Maker, made_makers, makers

__all__ = ["made_makers", "makers"]

AUDIT = "/admin/foundation/event/"
REPOSITORY = Path(__file__).parents[2]
APPS = ("amp", "catalog", "devices", "billing", "alerts")


def recorded_kinds() -> set[str]:
    """Every text like "order.paid" in a service of the product."""
    found: set[str] = set()
    paths = [path for app in APPS for path in (REPOSITORY / app).rglob("services/**/*.py")]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"^[a-z][a-z_]*\.[a-z_]+$", node.value))
    ends = {
        f"order.{status.lower()}" for status in ("FULFILLED", "PARTIALLY_FULFILLED")
    }  # put together when they happen
    ends |= {f"import.{state.value.lower()}" for state in ImportState} - {"import.ready", "import.running"}
    # "wanted.": columns of a query; crash points are names of steps, told to nobody.
    return {kind for kind in found - POINTS if not kind.startswith("wanted.")} | ends


def listed(client: Client, query: str = "") -> list[Any]:
    answer = client.get(f"{AUDIT}{query}")
    assert answer.status_code == 200
    return list(answer.context["entries"])


def record(maker: Maker, kind: str = "order.created", subject: str = "order:1", **facts: Any) -> Event:
    with system_scope():
        draft = EventDraft(kind, subject, maker.enterprise.pk, facts.pop("at", clock.now()), **facts)
        record_event(draft, now=clock.now())
        return Event.objects.latest("id")


def test_every_kind_of_event_that_the_code_records_has_its_words_X3() -> None:
    kinds = recorded_kinds()
    assert len(kinds) > 40
    assert sorted(kind for kind in kinds if kind_word(kind) == kind) == []
    prefixes = tuple(prefix for _word, prefixes in GROUPS.values() for prefix in prefixes)
    assert sorted(kind for kind in kinds if not kind.startswith(prefixes)) == []


def test_a_kind_without_words_would_be_noticed() -> None:
    """Negative control of the test above."""
    assert kind_word("order.teleported") == "order.teleported"
    assert event_word("order.created") == "order.created", "the timeline of devices doesn't know it, the audit does"
    assert kind_word("order.created") == str(WORDS["order.created"])


def test_a_row_says_who_what_before_after_why_and_both_moments_X3(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    device = ours.devices[0]
    at = clock.now() - timedelta(minutes=5)
    event = record(
        ours,
        "device_service.expired",
        f"device:{device.pk}",
        at=at,
        actor="sweep",
        why="period_ended",
        before={"state": "ACTIVE", "ends_at": at.isoformat()},
        after={"state": "EXPIRED", "ends_at": at.isoformat()},
    )
    client = ours.client()
    (row,) = (row for row in listed(client) if row.pk == event.pk)
    assert (row.what, row.subject.name, row.actor) == ("Service expired", device.key, "AMP, on time")
    assert row.why == "the period ended, no later one"
    assert (row.happened_at, row.noticed_at) == (at, event.noticed_at)
    assert [(change.before, change.after) for change in row.shown] == [("Active", "Expired")]
    page = client.get(f"{AUDIT}{event.pk}/change/").content.decode()
    for text in ("Service expired", device.key, "Fell due", "Noticed", "Active", "Expired", "device_service.expired"):
        assert text in page, text


def test_a_device_key_and_an_order_number_lead_to_their_events(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client, device = ours.client(), ours.devices[1]
    rows = listed(client, f"?q={device.key}")
    assert rows
    assert {row.subject.name for row in rows} == {device.key}
    assert {row.subject.name for row in listed(client, f"?q={ours.order.number}")} == {ours.order.number}
    assert listed(client, f"?q=device:{device.pk}") == rows
    assert listed(client, "?q=nothing-like-it") == []


def test_filters_by_what_who_when_and_enterprise(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    old = record(ours, "plan.published", "plan:1", at=clock.now() - timedelta(days=40), actor="ann@example.com")
    kinds = {row.kind.partition(".")[0] for row in listed(client, "?group=catalog")}
    assert kinds == {"product", "tsl", "rule", "plan"}
    assert [row.pk for row in listed(client, "?actor=ann@example.com")] == [old.pk]
    assert {row.actor for row in listed(client, "?actor=test")} == {"test"}
    day = (clock.now() - timedelta(days=38)).date()  # days are those of the reader, in Shanghai
    assert old.pk not in {row.pk for row in listed(client, f"?happened_from={day}")}, (old.happened_at, day)
    before = listed(client, f"?happened_to={day}")
    assert old.pk in {row.pk for row in before}
    assert all(row.happened_at < clock.now() - timedelta(days=37) for row in before)
    assert listed(client, f"?enterprise={ours.enterprise.pk}") == listed(client)


@pytest.mark.parametrize(
    "query", ["?group=nothing", "?happened_from=tomorrow", "?enterprise=999999", "?colour=red", "?q=" + "x" * 200]
)
def test_filters_that_cannot_be_say_so_and_show_no_rows(makers: tuple[Maker, Maker], query: str) -> None:
    ours, _ = makers
    answer = ours.client().get(f"{AUDIT}{query}")
    assert answer.status_code == 400
    assert answer.context["entries"] == []
    assert answer.context["problems"]


def test_the_other_makers_events_are_not_there_R6(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    client = ours.client()
    assert {row.enterprise for row in listed(client)} == {"ours"}
    assert listed(client, f"?q={other.devices[0].key}") == []
    assert listed(client, f"?q=device:{other.devices[0].pk}") == []
    assert client.get(f"{AUDIT}?enterprise={other.enterprise.pk}").status_code == 400
    with system_scope():
        foreign = Event.objects.filter(enterprise=other.enterprise).latest("id")
    assert client.get(f"{AUDIT}{foreign.pk}/change/").status_code == 404


def test_nobody_edits_or_deletes_the_record_by_any_address_X3(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client(Role.PLATFORM_ADMINISTRATOR)
    with system_scope():
        event = Event.objects.filter(enterprise=ours.enterprise).latest("id")
        number = Event.objects.count()
    for address in (AUDIT, f"{AUDIT}{event.pk}/change/"):
        for method in (client.post, client.put, client.patch, client.delete):
            assert method(address).status_code == 405, address
    for address in (f"{AUDIT}add/", f"{AUDIT}{event.pk}/delete/"):
        assert client.get(address).status_code in {403, 404, 405}, address
        assert client.post(address, {"post": "yes"}).status_code in {403, 404, 405}, address
    with system_scope():
        assert Event.objects.count() == number
        with pytest.raises(DatabaseError), transaction.atomic():
            Event.objects.filter(pk=event.pk).update(why="rewritten")


def test_pages_follow_each_other_without_a_gap_and_without_a_count(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    drafts = [EventDraft("order.created", f"order:{n}", ours.enterprise.pk, clock.now()) for n in range(120)]
    with system_scope():
        record_events(drafts, now=clock.now())
        expected = list(Event.objects.filter(enterprise=ours.enterprise).order_by("-pk").values_list("pk", flat=True))
    seen, address = [], AUDIT
    while address:
        answer = client.get(address)
        seen += [row.pk for row in answer.context["entries"]]
        address = answer.context["older"]
    assert seen == expected
    back = client.get(answer.context["newer"])
    assert back.context["entries"][-1].pk == expected[len(expected) - len(expected) % 50 - 1]


def test_the_list_needs_as_many_queries_for_many_events_as_for_few(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    with CaptureQueriesContext(connection) as few:
        listed(client)
    drafts = [
        EventDraft("order.paid", f"{kind}:{n}", ours.enterprise.pk, clock.now())
        for n in range(80)
        for kind in ("order", "device", "product", "plan", "enterprise", "user")
    ]
    with system_scope():
        record_events(drafts, now=clock.now())
    with CaptureQueriesContext(connection) as many:
        listed(client)
    assert len(many) <= len(few) <= 10
    assert not any("COUNT(" in query["sql"] and "foundation_event" in query["sql"] for query in many)


def test_the_export_holds_what_the_filters_leave_with_formulas_disarmed_F90(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    record(ours, "plan.withdrawn", "plan:1", actor="ann@example.com", why="=HYPERLINK(1)", after={"status": "gone"})
    answer = client.post(f"{AUDIT}export/?actor=ann@example.com", {"format": "csv"})
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    titles, row = list(csv.reader(io.StringIO(text)))
    assert len(titles) == len(row) == 11
    assert row[2:4] == ["plan.withdrawn", "Plan withdrawn"]
    assert row[8] == "'=HYPERLINK(1)"
    assert row[10] == '{"status": "gone"}'
    book = client.post(f"{AUDIT}export/?actor=ann@example.com", {"format": "xlsx"})
    sheet = load_workbook(io.BytesIO(b"".join(book.streaming_content))).active
    assert sheet.max_row == 2
    assert client.get(f"{AUDIT}export/").status_code == 405
    exports = [row for row in listed(client, "?group=platform") if row.kind == "list.exported"]
    assert len(exports) == 2, "taking rows out is part of the audit"


def test_recorded_facts_of_any_shape_can_be_read() -> None:
    changes = changes_of(
        {"state": "ACTIVE", "ends_at": "2027-02-01T00:00:00+00:00", "gone": 1},
        {"state": "EXPIRED", "ends_at": None, "on": True, "values": {"a": 1}, "odd": "2027-99-99T00:00:00+00:00"},
    )
    told = {change.name: (change.before, change.after) for change in changes}
    assert told["Service"] == ("Active", "Expired")
    assert told["Ends"] == ("1 Feb 2027, 00:00:00", "")
    assert told["gone"] == ("1", "")
    assert told["on"] == ("", "yes")
    assert told["odd"] == ("", "2027-99-99T00:00:00+00:00")
    assert changes_of(None, ["a"])[0].after
    assert changes_of(None, None) == []


def test_actors_that_are_no_people_are_named_in_the_readers_language() -> None:
    assert actor_name("sweep") != "sweep"
    assert actor_name("ann@example.com") == "ann@example.com"
    with translation.override("zh-hans"):
        assert actor_name("device") != "device"


def test_devices_orders_products_and_enterprises_lead_to_their_events(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    with system_scope():
        pages = ours.addresses()
    subjects = {
        "device timeline": f"device:{ours.devices[0].pk}",
        "order": f"order:{ours.order.pk}",
        "product": f"product:{ours.product.pk}",
        "enterprise": f"enterprise:{ours.enterprise.pk}",
    }
    for page, subject in subjects.items():
        assert f'href="{AUDIT}?q={subject}"' in client.get(pages[page]).content.decode(), page
        assert listed(client, f"?q={subject}"), page
