"""Nothing is reachable that the matrix doesn't know (R6)."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import path

from tests.isolation.doors import (
    BY_MODEL,
    LISTS,
    OPEN,
    PLATFORM,
    ROWS,
    TOKENS,
    Door,
    doors,
    homeless,
    registered_models,
)


def test_every_address_is_listed_with_what_it_is_to_a_stranger() -> None:
    assert homeless(doors()) == []


def test_a_new_address_fails_the_build_until_it_is_listed() -> None:
    new = path("gossip/<int:pk>/", lambda request, pk: HttpResponse(), name="gossip")
    assert homeless([Door("gossip", "gossip/<int:pk>/", new)]) == ["gossip"]


def test_nothing_is_listed_that_is_gone() -> None:
    there = {door.name for door in doors()}
    assert {*ROWS, *LISTS, *TOKENS, *OPEN, *PLATFORM} - there == set()


def test_every_model_of_the_admin_has_a_row_to_try() -> None:
    assert set(registered_models()) <= set(BY_MODEL.values())
