"""Every table says whose it is: guarded by the scope, or named here with the reason why not (R6, F76, F77)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import models
from django.test import Client
from django_scopes.exceptions import ScopeError

from amp.foundation.access import ALLOWED, Action
from amp.foundation.models import Role, User
from amp.foundation.scoping import READ_UPWARD, enterprise_scope, system_scope
from billing.models import Order
from tests.services.shop import open_shop

OWN, ABOVE = 111_111, 999_999
UNSCOPED = {
    "foundation.User": "one person may be a member of several enterprises; no page lists users",
    "foundation.User_groups": "Django's permissions are not used: the roles table decides",
    "foundation.User_user_permissions": "Django's permissions are not used: the roles table decides",
    "foundation.Membership": "the guard reads it before there is a scope; pages filter by an enterprise in scope",
    "foundation.AlarmRow": "alarms of the whole platform, shown to platform administrators",
    "foundation.Erasure": "persons of any enterprise, and payers of none; no page lists it",
    "foundation.Retention": "how long the platform keeps rows of each kind, decided by its administrators",
    "foundation.SweepRun": "the platform's own work, shown to platform administrators",
    "foundation.PlatformConfiguration": "one row: settings of the platform, changed by platform administrators",
    "foundation.TestClock": "one row, of demo and test mode",
    "devices.Bridge": "the platform's own processes, shown to platform administrators",
    "alerts.ExtraThreshold": "decided for the whole platform by its administrators",
    "alerts.Watch": "how far sweeps have looked; no page lists it",
    "catalog.ServiceLevel_products": "reached only through levels and products, which are guarded",
    "billing.SandboxTrade": "the books of a company outside: read by the sandbox gateway alone, by account",
    "billing.SandboxRefund": "the books of a company outside: read by the sandbox gateway alone, by account",
    "admin.LogEntry": "Django's own; the audit is `foundation.Event`",
    "auth.Permission": "Django's own, not used",
    "auth.Group": "Django's own, not used",
    "auth.Group_permissions": "Django's own, not used",
    "contenttypes.ContentType": "Django's own",
    "sessions.Session": "Django's own, by an unguessable key",
    "foundation.Authenticator": "read for one user, the one who signs in; no page lists it",
    "otp_totp.TOTPDevice": "read for one user, the one who signs in; no page lists it",
    "otp_static.StaticDevice": "read for one user, the one who signs in; no page lists it",
    "otp_static.StaticToken": "read through the user's own device; hashed",
    "axes.AccessAttempt": "read before anybody is signed in; no page lists it",
    "axes.AccessAttemptExpiration": "switched off",
    "axes.AccessFailureLog": "switched off",
    "axes.AccessLog": "switched off",
    "django_celery_beat.SolarSchedule": "when sweeps run",
    "django_celery_beat.IntervalSchedule": "when sweeps run",
    "django_celery_beat.ClockedSchedule": "when sweeps run",
    "django_celery_beat.CrontabSchedule": "when sweeps run",
    "django_celery_beat.PeriodicTasks": "when sweeps run",
    "django_celery_beat.PeriodicTask": "when sweeps run",
}
MODELS = {model._meta.label: model for model in apps.get_models(include_auto_created=True)}
SCOPED = sorted(MODELS.keys() - UNSCOPED.keys())


def _is_guarded(model: type[models.Model]) -> bool:
    """Whether every manager of the model is an error without a scope."""
    try:
        for manager in model._meta.managers:
            manager.all()
    except ScopeError:
        return True
    return False


def test_every_model_is_guarded_or_named_with_its_reason_F76() -> None:
    open_ones = {label for label, model in MODELS.items() if not _is_guarded(model)}
    assert open_ones == UNSCOPED.keys()
    assert all(UNSCOPED.values())
    assert len(SCOPED) >= 19


def test_the_walk_sees_a_model_that_nobody_guarded() -> None:
    """Negative control: with Django's plain manager the model would be found."""

    class Plain(models.Model):
        class Meta:
            app_label = "billing"
            managed = False

    try:
        assert not _is_guarded(Plain)
    finally:
        del apps.all_models["billing"]["plain"]
        apps.clear_cache()


@pytest.mark.parametrize("label", SCOPED)
def test_a_scope_shows_the_own_rows_and_those_above_only_of_named_tables_E1(label: str) -> None:
    with enterprise_scope([OWN], [ABOVE]):
        asked = str(MODELS[label]._default_manager.all().query)
    assert str(OWN) in asked
    assert (str(ABOVE) in asked) == (label in READ_UPWARD)


READS: dict[str, Callable[[Any], object]] = {
    "all": lambda rows: list(rows.all()),
    "exists": lambda rows: rows.exists(),
    "contains": lambda rows: rows.contains(Order(pk=1)),
    "exclude": lambda rows: rows.exclude(pk=1).exists(),
    "in_bulk": lambda rows: rows.in_bulk([1]),
    "explain": lambda rows: rows.explain(),
    "bulk_update": lambda rows: rows.bulk_update([Order(pk=1)], ["status"]),
    "select_related": lambda rows: rows.select_related("plan").exists(),
    "alias": lambda rows: rows.alias(one=models.Value(1)).exists(),
    "distinct": lambda rows: rows.distinct().exists(),
    "defer": lambda rows: rows.defer("plan_name").exists(),
    "update": lambda rows: rows.update(status="PAID"),
    "delete": lambda rows: rows.get_queryset().delete(),
}


@pytest.mark.django_db
@pytest.mark.parametrize("verb", READS)
def test_without_a_scope_every_question_is_an_error_never_all_rows_F77(verb: str) -> None:
    with pytest.raises(ScopeError):
        READS[verb](Order.objects)


def test_the_roles_table_gives_nobody_but_the_platform_its_operations() -> None:
    assert ALLOWED.keys() == set(Role)
    assert {role for role in Role if Action.OPERATE_PLATFORM in ALLOWED[role]} == {Role.PLATFORM_ADMINISTRATOR}
    assert {role for role in Role if Action.VERIFY_MERCHANT in ALLOWED[role]} == {
        Role.PLATFORM_ADMINISTRATOR,
        Role.ENTERPRISE_ADMINISTRATOR,
    }
    assert all(Action.VIEW in actions for actions in ALLOWED.values())
    assert ALLOWED[Role.READ_ONLY] == ALLOWED[Role.ACCOUNT_MANAGER] == {Action.VIEW}


@pytest.mark.django_db
@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_a_session_ends_with_its_user_at_the_next_request_F79(change: dict[str, bool]) -> None:
    with system_scope():
        user = open_shop().user
    browser = Client()
    browser.force_login(user)
    assert browser.get("/admin/billing/order/").status_code == 200
    User.objects.filter(pk=user.pk).update(**change)
    assert browser.get("/admin/billing/order/").status_code == 302


@pytest.mark.django_db
def test_who_loses_the_last_role_sees_nothing_with_the_next_request_F79() -> None:
    with system_scope():
        user = open_shop().user
    browser = Client()
    browser.force_login(user)
    assert browser.get("/admin/billing/order/").status_code == 200
    user.memberships.all().delete()
    assert browser.get("/admin/billing/order/").status_code == 302
