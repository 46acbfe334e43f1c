"""A person is found, given what is held of them, and forgotten; ledgers stay whole (X6; GDPR Art. 15, 17, 20)."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test import Client

from alerts import invariants as alerts
from amp.foundation.models import ApiKey, Erasure, Event, Invitation, Membership, Role, User
from amp.personal import erasing
from amp.personal.columns import BESIDE, NOT_PERSONAL, OWN, PERSONAL
from amp.personal.erasing import erase_person
from amp.personal.exporting import export_person
from amp.personal.persons import PersonRefused, find_person
from amp.personal.rows import stays
from billing import invariants as billing
from billing.fapiao import Buyer
from billing.models import FapiaoRequest, Order, PaymentAttempt
from billing.services.fapiao import issue_fapiao, request_fapiao
from devices import invariants as devices
from tests.factories import PASSWORD, make_enterprise, make_member
from tests.services.left_behind import EMAIL, IP, NAME, PAYER, PHONE, ROOT, TAX, TITLE, World, scope, world
from tests.services.shop import NOW, WALL

__all__ = ["scope", "world"]
TEXTS = (models.CharField, models.TextField, models.JSONField, models.GenericIPAddressField)


def erase(asked: str, *also: str, actor: str = ROOT) -> erasing.Erased:
    return erase_person(person=find_person(asked, also), actor=actor, now=NOW, wall=WALL)


def everything() -> Iterator[tuple[str, str]]:
    """Each column of text of each table of the database, with all that it holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND data_type IN ('character varying', 'text', 'jsonb', 'inet', 'character')"
        )
        for table, column in cursor.fetchall():
            cursor.execute(f"SELECT coalesce(string_agg(\"{column}\"::text, E'\\n'), '') FROM \"{table}\"")
            yield f"{table}.{column}", cursor.fetchone()[0]


def where(*texts: str) -> list[str]:
    return sorted(place for place, held in everything() if any(text.lower() in held.lower() for text in texts))


def audited() -> list[Any]:
    return [*devices.violations(now=NOW), *billing.violations(), *alerts.violations(now=NOW)]


def ledgers() -> dict[str, Any]:
    """Rows and sums of everything that must not change, and the number of events."""
    found: dict[str, Any] = {}
    for label in ("billing.MoneyEntry", "billing.Order", "billing.OrderLine", "billing.PaymentAttempt",
                  "billing.FapiaoRequest", "devices.Period", "foundation.Event", "foundation.User"):  # fmt: skip
        rows = apps.get_model(label)._base_manager.all()
        has_amount = any(field.name == "amount" for field in rows.model._meta.get_fields())
        found[label] = (rows.count(), rows.aggregate(models.Sum("amount")) if has_amount else None)
    return found


def text_columns() -> dict[str, set[str]]:
    return {
        model._meta.label: names
        for model in apps.get_models(include_auto_created=True)
        if not model._meta.proxy
        and model._meta.managed
        and (names := {f.name for f in model._meta.local_fields if isinstance(f, TEXTS) and not f.is_relation})
    }


def test_every_column_of_text_is_declared_personal_or_not() -> None:
    declared = {
        label: {*PERSONAL.get(label, "").split(), *NOT_PERSONAL.get(label, "").split()}
        for label in PERSONAL.keys() | NOT_PERSONAL.keys()
    }
    assert declared == text_columns()
    assert [label for label in PERSONAL if {*PERSONAL[label].split()} & {*NOT_PERSONAL.get(label, "").split()}] == []
    assert all({*columns.split()} <= {*PERSONAL[label].split()} for label, columns in OWN.items())
    for label, columns in BESIDE.items():
        assert all(apps.get_model(label)._meta.get_field(name) for name in columns.split())


def test_a_person_is_forgotten_and_the_ledgers_stay_whole(world: World) -> None:
    User.objects.filter(pk=world.namesake.pk).update(full_name="Somebody Else")
    before = ledgers()
    assert audited() == []
    done = erase(EMAIL, PHONE)
    erase(PAYER)
    assert where(f"\n{EMAIL}", f'"{EMAIL}', NAME, PHONE, PAYER, TAX) == []
    held = dict(everything())
    assert world.namesake.email in held["foundation_user.email"]
    assert not any(EMAIL in text.replace(world.namesake.email, "") for text in held.values())
    assert IP not in held["billing_paymentattempt.payer_ip"]
    assert audited() == []
    after = ledgers()
    assert after.pop("foundation.Event")[0] == before.pop("foundation.Event")[0] + 2, "what is on record of it"
    assert after == before
    assert Order.objects.get(pk=world.order.pk).created_by == f"{done.pseudonym}@erased.invalid"
    record = Event.objects.filter(kind="platform.person_erased").earliest("id")
    assert record.actor == ROOT
    assert set(record.after) == {"pseudonym", "rows"}


def test_somebody_else_of_the_same_name_keeps_it(world: World) -> None:
    erase(EMAIL)
    world.namesake.refresh_from_db()
    assert (world.namesake.full_name, world.namesake.is_active) == (NAME, True)


def test_nobody_signs_in_as_the_person_any_more_nor_acts_for_them(world: World) -> None:
    browser = Client()
    browser.force_login(world.user)
    assert browser.get("/admin/").status_code != 403
    done = erase(EMAIL)
    assert browser.get("/admin/").status_code == 302
    user = User.objects.get(pk=world.user.pk)
    assert (user.is_active, user.email, user.full_name) == (
        False,
        f"{done.pseudonym}@erased.invalid",
        done.pseudonym,
    )
    assert not user.check_password(PASSWORD)
    assert not Membership.objects.filter(user=user).exists()
    assert ApiKey.objects.get().revoked_at == WALL
    assert Invitation.objects.get().voided_at == NOW
    assert not AccessAttempt.objects.exists()


def test_a_killed_erasure_goes_on_under_the_same_pseudonym_and_a_second_finds_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = erasing._rewrite

    def dies(model: Any, *rest: Any) -> int:
        if model is User:
            raise RuntimeError
        return whole(model, *rest)

    monkeypatch.setattr(erasing, "_rewrite", dies)
    with pytest.raises(RuntimeError):
        erase(EMAIL, PHONE)
    begun = Erasure.objects.get()
    assert EMAIL not in begun.sealed_traces
    monkeypatch.setattr(erasing, "_rewrite", whole)
    assert erase(EMAIL).pseudonym == begun.pseudonym
    begun.refresh_from_db()
    assert (begun.sealed_traces, begun.finished_at) == ("", NOW)
    with pytest.raises(PersonRefused):
        erase(EMAIL)
    with pytest.raises(PersonRefused):
        erase(f"{begun.pseudonym}@erased.invalid")
    assert Erasure.objects.count() == 1


def test_nobody_erases_themselves_or_the_last_platform_administrator(world: World) -> None:
    with pytest.raises(PersonRefused, match="themselves"):
        erase(EMAIL, actor=EMAIL)
    with pytest.raises(PersonRefused, match="last platform administrator"):
        erase(ROOT, actor="erase_personal_data")
    assert User.objects.filter(is_active=True, email__in=[EMAIL, ROOT]).count() == 2
    make_member(make_enterprise("Platform 2"), Role.PLATFORM_ADMINISTRATOR, email="second@example.com")
    erase(ROOT, actor="second@example.com")


@pytest.mark.parametrize("by", ["order", "payer"])
def test_a_payer_without_an_account_is_forgotten_too(world: World, by: str) -> None:
    FapiaoRequest.objects.update(email="buyer@example.com")
    asked = PAYER if by == "payer" else world.order.number
    person = find_person(asked)
    assert {trace.text for trace in person.traces} == {PAYER, "buyer@example.com"}
    erase(asked)
    assert where(PAYER, "buyer@example.com", TAX, TITLE) == []
    assert PaymentAttempt.objects.get().payer_ip == ""
    assert where(EMAIL) != [], "whoever made the order is somebody else"
    with pytest.raises(PersonRefused):
        erase(world.order.number)


def test_an_issued_fapiao_keeps_what_tax_law_asks_for_and_says_so(world: World) -> None:
    issued = request_fapiao(order=world.order, buyer=Buyer(TITLE, TAX, EMAIL), actor=EMAIL, now=NOW)
    assert [each.number for each in stays(find_person(EMAIL))] == [1], "one is still to be issued"
    issue_fapiao(request=issued, number="12345678", actor=ROOT, now=NOW)
    told = stays(find_person(EMAIL))
    assert "Tax law" in str(told[0].why)
    done = erase(EMAIL)
    issued.refresh_from_db()
    assert (issued.title, issued.tax_number, issued.email) == (TITLE, TAX, f"{done.pseudonym}@erased.invalid")


def test_a_payment_under_way_keeps_its_payer_until_it_has_ended(world: World) -> None:
    PaymentAttempt.objects.update(status="PENDING")
    assert [each.number for each in stays(find_person(PAYER))] == [1]
    PaymentAttempt.objects.update(status="CLOSED")
    assert stays(find_person(PAYER)) == []


def test_an_export_holds_everything_of_one_person_and_nobody_elses_address(world: World) -> None:
    file = io.BytesIO()
    told = export_person(person=find_person(EMAIL), to=file, actor=ROOT, now=NOW)
    package = zipfile.ZipFile(file)
    held = {name: json.loads(package.read(name)) for name in package.namelist()}
    assert held["foundation.user.json"][0]["email"] == EMAIL
    assert held["roles.json"] == [{"enterprise": world.shop.enterprise.name, "role": "FINANCE"}]
    assert held["billing.fapiaorequest.json"][0]["tax_number"] == TAX
    assert held["billing.order.json"][0]["number"] == world.order.number
    whole = json.dumps(held)
    assert "other@example.com" not in whole
    assert world.user.password not in whole
    assert "key_hash" not in whole
    assert told == held["about.json"]["rows"]
    record = Event.objects.get(kind="platform.person_exported")
    assert (record.actor, record.after, record.before) == (ROOT, {"rows": sum(told.values())}, None)


def test_the_commands_tell_first_and_erase_when_told_to(world: World, tmp_path: Path) -> None:
    out, target = io.StringIO(), tmp_path / "his.zip"
    call_command("export_personal_data", EMAIL, to=str(target), stdout=out)
    assert zipfile.ZipFile(target).namelist()
    call_command("erase_personal_data", EMAIL, stdout=out)
    assert "Nothing was changed" in out.getvalue()
    assert User.objects.filter(email=EMAIL).exists()
    call_command("erase_personal_data", EMAIL, "--yes", stdout=out)
    assert "Erased: person-" in out.getvalue()
    assert not User.objects.filter(email=EMAIL).exists()
    with pytest.raises(CommandError):
        call_command("erase_personal_data", EMAIL, "--yes", stdout=out)
