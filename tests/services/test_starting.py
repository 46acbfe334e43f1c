"""What production looks at in its database before it serves; each refusal is named (X9)."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from amp import starting, tuning
from amp.demo.organisation import PASSWORD as DEMO_PASSWORD
from amp.foundation import clock
from amp.foundation.models import TestClock as ClockRow
from amp.foundation.models import User
from amp.foundation.scoping import system_scope
from amp.starting import refuse_weak_database, weak_rows
from billing.models import MerchantAccount
from tests.factories import NOW, make_enterprise, make_merchant

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_production(settings: Any) -> Iterator[None]:
    settings.IS_PRODUCTION = True
    settings.SANDBOX_ENABLED = False
    with system_scope():
        yield


def demo_login(password: str = DEMO_PASSWORD, **fields: Any) -> User:
    return User.objects.create_user("root@amp.example", password, created_at=NOW, **fields)


def live_account() -> MerchantAccount:
    merchant = make_merchant(make_enterprise(merchant=False))
    return MerchantAccount.objects.create(
        enterprise=merchant.enterprise, merchant=merchant, provider="wechat", sealed_secret="x", created_at=NOW
    )


def test_a_strong_database_starts_X9() -> None:
    demo_login("something of their own")
    assert weak_rows() == []
    refuse_weak_database()


def test_a_login_with_the_demos_password_is_refused_by_name_X9() -> None:
    user = demo_login()
    with pytest.raises(ImproperlyConfigured, match=r"root@amp\.example has the demo's password"):
        refuse_weak_database()
    User.objects.filter(pk=user.pk).update(is_active=False)
    refuse_weak_database()


def test_a_database_of_test_mode_is_refused_X9() -> None:
    ClockRow.objects.create(pk=1, shift=timedelta(days=1), moved_at=clock.wall())
    with pytest.raises(ImproperlyConfigured, match="test mode"):
        refuse_weak_database()


def test_the_sandbox_beside_a_live_merchant_is_refused_X9(settings: Any) -> None:
    account = live_account()
    refuse_weak_database()
    settings.SANDBOX_ENABLED = True
    with pytest.raises(ImproperlyConfigured, match="AMP_SANDBOX"):
        refuse_weak_database()
    MerchantAccount.objects.filter(pk=account.pk).update(provider="sandbox")
    refuse_weak_database()


def test_all_reasons_are_named_at_once_X9(settings: Any) -> None:
    demo_login()
    live_account()
    ClockRow.objects.create(pk=1, shift=timedelta(days=1), moved_at=clock.wall())
    settings.SANDBOX_ENABLED = True
    assert len(weak_rows()) == 3


def test_elsewhere_nothing_is_refused(settings: Any) -> None:
    settings.IS_PRODUCTION = False
    demo_login()
    refuse_weak_database()


@pytest.mark.django_db(transaction=True)
def test_web_forks_its_workers_without_an_open_connection_X9(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look at the database opens one before gunicorn forks; shared by two processes it would mix up answers."""
    looked: list[bool] = []

    def look() -> None:
        connection.ensure_connection()
        looked.append(connection.connection is not None)

    monkeypatch.setattr(starting, "refuse_weak_database", look)
    monkeypatch.setattr(tuning, "settle", lambda: None)
    runpy.run_path(str(Path(starting.__file__).with_name("wsgi.py")))
    assert looked == [True]
    assert connection.connection is None
