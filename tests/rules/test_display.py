"""How lengths of time, counts and actors read (rules of display: no database)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils.translation import override

from amp.audit.entries import changes_of
from amp.audit.pages import NEWEST_FIRST
from amp.audit.words import FIELDS
from amp.foundation.lists.changelist import BY_KEY
from amp.foundation.templatetags.amp_display import actor_name, actors_called, grouped, took

BEGAN = datetime(2027, 2, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "read"),
    [
        (timedelta(), "0.0 s"),
        (timedelta(milliseconds=3), "0.1 s"),
        (timedelta(milliseconds=430), "0.4 s"),
        (timedelta(seconds=9.94), "9.9 s"),
        (timedelta(seconds=10), "10 s"),
        (timedelta(seconds=75), "1 min 15 s"),
        (timedelta(hours=30, seconds=3), "30 h"),
        (timedelta(seconds=-1), "0.0 s"),
    ],
)
def test_a_short_run_is_told_in_tenths_and_never_as_0_minutes(length: timedelta, read: str) -> None:
    assert took(BEGAN, BEGAN + length).replace("\N{NO-BREAK SPACE}", " ") == read


def test_the_order_of_a_list_is_named_in_the_readers_language() -> None:
    """Words of a module are lazy: they were English for whoever came first."""
    for ordering in (BY_KEY, NEWEST_FIRST):
        with override("zh-hans"):
            assert not str(ordering.title).isascii()


def test_facts_of_a_rule_have_names_and_lengths_read_as_such_X3() -> None:
    named = {"trial_start_seconds", "trial_end_seconds", "cache_seconds", "heartbeat_seconds", "auto_subscribe", "user"}
    assert named <= set(FIELDS)
    (change,) = changes_of({"cache_seconds": 3_600}, {"cache_seconds": 90})
    assert (change.before, change.after) == (
        "1\N{NO-BREAK SPACE}h",
        "1\N{NO-BREAK SPACE}min\N{NO-BREAK SPACE}30\N{NO-BREAK SPACE}s",
    )


def test_what_has_not_ended_has_no_length() -> None:
    assert took(BEGAN, None) == "—"


def test_counts_are_grouped_alike_in_every_language() -> None:
    for language in ("en", "zh-hans"):
        with override(language):
            assert [grouped(number) for number in (0, 999, 20_001, None)] == ["0", "999", "20,001", "—"]


@pytest.mark.parametrize("stored", ["system", "sweep", "gateway", "device", "test clock", "demo page", "API key ab12"])
def test_actors_that_are_no_person_have_words_in_the_readers_language(stored: str) -> None:
    with override("zh-hans"):
        word = actor_name(stored)
        assert word != stored
        assert not word.isascii()


def test_the_word_for_an_actor_finds_what_is_stored() -> None:
    assert actors_called("AMP itself") == ["AMP itself", "system"]
    assert actors_called("system") == ["system"]
    assert set(actors_called("renewal page")) == {"renewal page", "public page"}
    with override("zh-hans"):
        assert "gateway" in actors_called(actor_name("gateway"))
    assert actors_called("ann@example.com") == ["ann@example.com"]
