"""Tests that commit leave the database as migrating left it, whatever they made, changed or deleted."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from tests.stack.emptying import first_rows, leave_only

pytestmark = pytest.mark.django_db(transaction=True)


def test_rows_that_were_made_changed_or_deleted_are_as_before() -> None:
    first = first_rows()
    assert {"auth_permission", "django_content_type"} <= first.keys()
    Group.objects.create(name="made").permissions.add(Permission.objects.earliest("pk"))
    ContentType.objects.filter(app_label="auth", model="group").update(model="changed")
    Permission.objects.filter(content_type__app_label="sessions").delete()
    assert first_rows() != first
    leave_only(first)
    assert first_rows() == first


def test_foreign_keys_hold_again_afterwards() -> None:
    leave_only(first_rows())
    with connection.cursor() as cursor:
        cursor.execute("SHOW session_replication_role")
        assert cursor.fetchone() == ("origin",)


@pytest.mark.parametrize("number", range(2))
def test_one_test_does_not_see_the_rows_of_the_one_before(number: int) -> None:
    assert not Group.objects.exists()
    Group.objects.create(name="left behind")
