"""What set-based writes store is what was handed in, whatever the text holds; on COPY, unnest and UPDATE."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from amp.foundation.bulk import differing, insert_rows, read_rows, update_rows
from amp.foundation.models import Enterprise, Event
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import COLUMNS
from tests.factories import NOW, make_enterprise

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
NASTY = "tab\t line\n return\r back\\slash \\N \"quotes\" {braces}, NULL, 'single' ünï 中文"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _everywhere():
    with system_scope():
        yield


@pytest.mark.parametrize("ignore_conflicts", [False, True], ids=["copy", "unnest"])
def test_inserted_text_json_and_moments_come_back_as_they_were(ignore_conflicts: bool) -> None:
    rows = [
        (uuid.uuid4(), None, "NULL", "\\N", NASTY, {NASTY: [1, 2.5, True, None, NASTY]}, None, NASTY, AT, NOW),
        (uuid.uuid4(), None, "", "{}", "x", None, ["a", {}], "", NOW, AT),
    ]
    insert_rows(Event, COLUMNS, rows, ignore_conflicts=ignore_conflicts)
    stored = Event.objects.filter(public_id__in=[row[0] for row in rows]).order_by("id")
    assert list(stored.values_list(*COLUMNS)) == rows


PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
FIRST, LAST = datetime(1800, 1, 1), datetime(9999, 12, 30)  # noqa: DTZ001 (hypothesis adds the zone)
MOMENTS = st.datetimes(FIRST, LAST, timezones=st.timezones() | st.just(UTC))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(PLAIN_TEXT, MOMENTS), min_size=1, max_size=5), st.booleans())
@example([("seconds in the offset", datetime(1900, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai"))), ("", NOW)], True)
@example([("never", datetime(1999, 10, 31, 2, 30, tzinfo=ZoneInfo("Australia/Sydney"))), ("", NOW)], True)
@example([("\x1f \\u001f", NOW)], False)
def test_any_text_and_any_moment_come_back_as_they_were(
    drawn: list[tuple[str, datetime]], ignore_conflicts: bool
) -> None:
    maker = make_enterprise("Maker").pk
    rows = [(uuid.uuid4(), maker, "k", "s", "a", None, {text: text}, text, at, at) for text, at in drawn]
    insert_rows(Event, COLUMNS, rows, ignore_conflicts=ignore_conflicts)
    stored = Event.objects.filter(subject="s", enterprise=maker).values_list("public_id", "why", "after", "happened_at")
    # Told in UTC: Python takes a local time that comes twice or never for unequal to the same moment elsewhere.
    moments = [at.astimezone(UTC) for _text, at in drawn]
    assert sorted(stored) == sorted(
        (row[0], text, {text: text}, at) for row, (text, _at), at in zip(rows, drawn, moments, strict=True)
    )
    changes = [(maker, drawn[0][0], drawn[0][1]), (0, *drawn[-1][:2])]
    update_rows(Enterprise, ("name", "created_at"), changes)
    assert Enterprise.objects.values_list("name", "created_at").get(pk=maker) == (drawn[0][0], moments[0])


def test_updated_text_comes_back_as_it_was_and_other_rows_stay() -> None:
    changed, other = make_enterprise("One"), make_enterprise("Two")
    assert update_rows(Enterprise, ("name", "created_at"), [(changed.pk, NASTY, AT), (10**9, "nobody", NOW)]) == 1
    assert Enterprise.objects.values_list("name", "created_at").get(pk=changed.pk) == (NASTY, AT)
    assert Enterprise.objects.get(pk=other.pk).name == other.name


def test_a_row_of_the_wrong_width_is_refused() -> None:
    with pytest.raises(ValueError, match="1 values for 2 columns"):
        update_rows(Enterprise, ("name",), [(1,)])


def test_columns_that_no_row_changed_are_told_apart() -> None:
    before = [(1, "a", AT, None), (2, "b", AT, None)]
    assert differing(before, [(1, "a", AT, None), (2, "c", AT, None)]) == {1}
    assert differing(before, [(1, "a", AT, None), (2, "b", AT, {"x": 1})]) == {3}
    assert differing(before, before) == set()


def test_rows_read_at_once_are_what_django_reads() -> None:
    """JSON, moments and durations alike."""
    maker = make_enterprise("Maker")
    Event.objects.create(
        enterprise=maker, kind="k", subject="s", actor="a", before=None, after={"a": [1, {"b": "ü"}]}, why="",
        happened_at=AT, noticed_at=NOW,
    )  # fmt: skip
    columns = ("id", "after", "before", "happened_at", "public_id", "enterprise_id")
    rows = Event.objects.order_by("id").values_list(*columns)
    assert read_rows(rows) == list(rows)
    assert read_rows(Event.objects.none().values_list("id")) == []


@pytest.mark.parametrize("number", [1, 3])
def test_columns_that_are_the_same_in_all_rows_are_stored_in_all_rows(number: int) -> None:
    """They are handed over once; documents aren't, for {"a": 1} and {"a": True} count as equal."""
    maker = make_enterprise("Maker")
    after = [{"a": 1}, {"a": True}, {"a": 1.0}][:number]
    rows = [(uuid.uuid4(), maker.pk, "k", "s", "a", None, each, NASTY, AT, NOW) for each in after]
    insert_rows(Event, COLUMNS, rows, ignore_conflicts=True)
    stored = list(Event.objects.filter(why=NASTY).order_by("id").values_list("after", "before", "happened_at", "kind"))
    assert stored == [(each, None, AT, "k") for each in after]
    assert [type(row[0]["a"]) for row in stored] == [type(each["a"]) for each in after]


def test_updates_set_every_row_to_what_all_of_them_get() -> None:
    makers = [make_enterprise(f"Maker {number}") for number in range(3)]
    update_rows(Enterprise, ("name", "time_zone"), [(maker.pk, f"New {maker.pk}", "Asia/Tokyo") for maker in makers])
    update_rows(Enterprise, ("time_zone",), [(makers[0].pk, "Europe/Berlin")])
    found = dict(Enterprise.objects.filter(pk__in=[each.pk for each in makers]).values_list("name", "time_zone"))
    assert found == {
        f"New {maker.pk}": zone
        for maker, zone in zip(makers, ["Europe/Berlin", "Asia/Tokyo", "Asia/Tokyo"], strict=True)
    }
