"""Fixtures of all tests; the throwaway services come from `tests.stack.plugin`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection
from django.test import TransactionTestCase
from django.utils import translation

from amp.foundation import clock
from tests.stack.emptying import first_rows, leave_only
from tests.stack.plugin import Stack

# A million rounds for every member that a test makes is most of a test's time; the processes under test keep them.
PBKDF2PasswordHasher.iterations = 1_000
# Every client of a test would look through all static files first; so they are looked for when one is asked for.
settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    stack: Stack, django_db_modify_db_settings_parallel_suffix: None, request: pytest.FixtureRequest
) -> None:
    """Called by pytest-django before it makes the test database: the first such test starts the services."""
    if stack.starts_postgresql:
        stack.postgresql.start()
        connection.settings_dict["TEST"]["TEMPLATE"] = request.getfixturevalue("product_template")
    stack.redis.start()  # services wake workers; without Redis each wake-up would wait for its timeout


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Tests that commit leave the database as migrating left it (see `tests.stack.emptying`)."""
    with django_db_blocker.unblock():
        first = first_rows()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _case: leave_only(first))
        yield


@pytest.fixture(autouse=True)
def uncounted_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Production never reads the test clock from the database, and here that happens at any time: not counted."""
    stored = clock._stored_shift

    def unseen() -> timedelta:
        logged, connection.force_debug_cursor = connection.force_debug_cursor, False
        try:
            return stored()
        finally:
            connection.force_debug_cursor = logged

    monkeypatch.setattr(clock, "_stored_shift", unseen)


@pytest.fixture(autouse=True)
def uncounted_badge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The badge of held locks is read every few seconds, during whichever page: not counted, and fresh in each test."""
    from amp.dashboard import brakes

    stored = brakes._stored

    def unseen() -> frozenset[int]:
        logged, connection.force_debug_cursor = connection.force_debug_cursor, False
        try:
            return stored()
        finally:
            connection.force_debug_cursor = logged

    monkeypatch.setattr(brakes, "_stored", unseen)
    brakes.forget()


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Each test begins in English: a page that was shown in Chinese leaves its language to the thread."""
    with translation.override("en"):
        yield
