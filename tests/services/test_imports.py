"""Imports of devices: staged, previewed, confirmed, done row by row whatever happens (F81, F92, X4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from unittest.mock import patch

import pytest

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from devices.models import Device, DeviceService, Import, ImportMode, ImportRow
from devices.services import import_work
from devices.services.import_secrets import SecretsGone, clear_imports, take_secrets
from devices.services.import_work import run_due_imports
from devices.services.imports import ImportNotAllowed, cancel_import, retry_import, same_file_before
from devices.services.registration import terminate_device
from devices.services.tokens import device_for_token
from devices.sheets import SheetRefused
from tests.factories import NOW, make_device, make_enterprise, make_product
from tests.services.importing import WALL, counts, device_list, make_desk, told

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.mark.django_db
def test_a_preview_tells_what_would_be_done_and_changes_nothing() -> None:
    desk = make_desk()
    make_device(desk.product, key="here", serial="S1")
    job = desk.stage("key,serial,colour\nnew,S9,red\nhere,S1,red\nhere2,S2,x\na b,S3,x\nhere2,,\n")
    assert (job.state, counts(job), job.rows_total) == ("READY", (2, 0, 1, 2), 5)
    assert job.left_out == ["colour"]
    assert told(job) == [(5, "key", "bad_key"), (6, "key", "twice")]
    assert Device.objects.count() == 1
    assert Event.objects.filter(kind="import.staged", subject=f"import:{job.pk}", actor="ann").count() == 1


@pytest.mark.django_db
def test_a_refused_file_keeps_nothing() -> None:
    with pytest.raises(SheetRefused):
        make_desk().stage(b"key\n\n")
    assert not Import.objects.exists()


@pytest.mark.django_db
def test_good_rows_go_in_and_bad_ones_are_told() -> None:
    desk = make_desk()
    job = desk.run("key,name\nk1,Lamp\na b,x\nk2,\n")
    assert (job.state, counts(job)) == ("DONE", (0, 2, 0, 1))
    assert set(Device.objects.values_list("key", "name")) == {("k1", "Lamp"), ("k2", "")}
    assert set(ImportRow.objects.filter(status="DONE").values_list("device__key", flat=True)) == {"k1", "k2"}
    assert Event.objects.filter(kind="import.done", subject=f"import:{job.pk}").count() == 1


@pytest.mark.django_db
def test_the_same_file_twice_registers_nothing_twice_and_says_so() -> None:
    desk = make_desk()
    first = desk.run(device_list(30))
    again = desk.stage(device_list(30))
    assert counts(again) == (0, 0, 30, 0)
    assert same_file_before(again) == first
    with pytest.raises(ImportNotAllowed, match="nothing to import"):
        desk.start(again)
    assert Device.objects.count() == 30


@pytest.mark.django_db
def test_two_previews_of_one_file_register_it_once() -> None:
    desk = make_desk()
    first, second = desk.stage(device_list(5)), desk.stage(device_list(5))
    assert counts(desk.start(first)) == (0, 5, 0, 0)
    assert counts(desk.start(second)) == (0, 0, 5, 0)
    assert not desk.start(second).secrets_kept
    assert Device.objects.count() == 5


@pytest.mark.django_db
def test_a_file_may_hold_devices_of_several_products() -> None:
    desk = make_desk()
    other = make_product(desk.enterprise)
    job = desk.run(f"key,product\nk1,\nk1,{other.key}\nk2,{other.key}\n")
    assert counts(job) == (0, 3, 0, 0)
    assert set(Device.objects.values_list("key", "product")) == {
        ("k1", desk.product.pk),
        ("k1", other.pk),
        ("k2", other.pk),
    }


@pytest.mark.django_db
def test_f81_another_tenants_product_answers_as_an_unknown_one() -> None:
    desk = make_desk()
    foreign = make_product(make_enterprise(parent=desk.enterprise))
    for key in (make_product().key, foreign.key, "no-such-product"):
        job = desk.stage(f"key,product\nk1,{key}\n", product=None)
        row = ImportRow.objects.get(job=job)
        assert row.problems == [["product", "unknown_product", key]]


@pytest.mark.django_db
def test_f81_a_key_that_a_sibling_holds_is_refused_without_a_word_about_it() -> None:
    """The parent's product has one device of each key, whoever owns it; who, and since when, isn't told."""
    parent = make_desk()
    child, sibling = (make_enterprise(parent=parent.enterprise) for _ in range(2))
    make_device(parent.product, key="held", serial="SECRET", enterprise=sibling)
    make_device(parent.product, key="above", enterprise=parent.enterprise)
    job = parent.stage("key,serial\nheld,SECRET\nheld2,x\nabove,\n", enterprise=child)
    problems = ImportRow.objects.filter(job=job, status="BAD").order_by("line").values_list("problems", flat=True)
    assert list(problems) == [[["key", "key_unavailable", "held"]], [["key", "key_unavailable", "above"]]]
    assert counts(job) == (1, 0, 0, 2)


@pytest.mark.django_db
def test_an_import_changes_no_device_and_a_terminated_one_frees_its_key() -> None:
    desk = make_desk()
    make_device(desk.product, key="k1", serial="S1", name="Lamp")
    terminate_device(device=make_device(desk.product, key="k2").device, actor="ann", now=NOW)
    job = desk.run("key,serial\nk1,S9\nk2,S2\n")
    assert told(job) == [(2, "serial", "other_details")]
    assert Device.objects.get(key="k1").serial == "S1"
    assert Device.objects.filter(key="k2").count() == 2
    assert counts(desk.stage("key\nk1\n")) == (0, 0, 1, 0)  # what isn't given isn't different


@pytest.mark.django_db
def test_all_or_nothing_is_refused_while_rows_are_bad_and_above_10_000_rows() -> None:
    desk = make_desk()
    with pytest.raises(ImportNotAllowed, match="Some rows are bad"):
        desk.start(desk.stage("key\nk1\na b\n"), ImportMode.ALL_OR_NOTHING)
    with pytest.raises(ImportNotAllowed, match="10,000"):
        desk.start(desk.stage(device_list(10_001)), ImportMode.ALL_OR_NOTHING)
    assert not Device.objects.exists()


@pytest.mark.django_db
def test_all_or_nothing_does_nothing_when_a_row_became_bad_since_the_preview() -> None:
    desk = make_desk()
    job = desk.stage(device_list(20))
    make_device(desk.product, key="k7", serial="another")
    job = desk.start(job, ImportMode.ALL_OR_NOTHING)
    assert (job.state, counts(job)) == ("REFUSED", (19, 0, 0, 1))
    assert told(job) == [(9, "serial", "other_details")]
    assert Device.objects.count() == 1
    assert desk.start(desk.stage(device_list(5, "x")), ImportMode.ALL_OR_NOTHING).state == "DONE"


@pytest.mark.django_db
def test_a_large_import_is_left_to_workers_who_go_slice_by_slice() -> None:
    desk = make_desk()
    with patch("devices.services.imports.wake") as wake:
        job = desk.start(desk.stage(device_list(2_500)))
    wake.assert_called_once_with("devices.tasks.run_imports")
    assert (job.state, counts(job)) == ("RUNNING", (2_500, 0, 0, 0))
    done = []
    while run_due_imports(now=NOW, wall=WALL):
        job.refresh_from_db()
        done.append(job.rows_done)
    assert done == [1_000, 2_000, 2_500]
    assert job.state == "DONE"
    assert DeviceService.objects.count() == 2_500


@pytest.mark.django_db
def test_f92_thousands_of_rows_cost_few_statements(django_assert_max_num_queries) -> None:
    desk = make_desk()
    with django_assert_max_num_queries(12):
        job = desk.stage(device_list(2_000))
    desk.start(job)
    with django_assert_max_num_queries(80):
        while run_due_imports(now=NOW, wall=WALL):
            pass
    assert Device.objects.count() == 2_000


@pytest.mark.django_db
def test_x4_credentials_are_kept_sealed_and_given_out_once() -> None:
    desk = make_desk()
    job = desk.run(device_list(3))
    stored = ImportRow.objects.values_list("secret", flat=True)
    secrets = take_secrets(job=job, actor="ann", now=NOW)
    assert [secret.key for secret in secrets] == ["k0", "k1", "k2"]
    assert not any(secret.password in sealed for secret in secrets for sealed in stored)
    device = device_for_token(secrets[1].renewal_token)
    assert device is not None
    assert device.key == "k1"
    assert set(ImportRow.objects.values_list("secret", flat=True)) == {""}
    with pytest.raises(SecretsGone):
        take_secrets(job=job, actor="bob", now=NOW)
    job.refresh_from_db()
    assert (job.secrets_kept, job.secrets_taken_by) == (False, "ann")
    assert Event.objects.filter(kind="import.credentials_taken").count() == 1


@pytest.mark.django_db
def test_x4_credentials_that_nobody_downloads_are_deleted_after_a_day_of_real_time() -> None:
    job = make_desk().run(device_list(3))
    clear_imports(now=NOW, wall=WALL + 23 * HOUR)
    assert ImportRow.objects.exclude(secret="").count() == 3
    clear_imports(now=NOW, wall=WALL + 24 * HOUR)
    assert not ImportRow.objects.exclude(secret="").exists()
    with pytest.raises(SecretsGone):
        take_secrets(job=job, actor="ann", now=NOW)
    assert Event.objects.filter(kind="import.credentials_deleted", actor="system").count() == 1


@pytest.mark.django_db
def test_rows_are_deleted_after_a_month_and_previews_after_a_day() -> None:
    desk = make_desk()
    finished, preview = desk.run(device_list(3)), desk.stage(device_list(3, "x"))
    for _ in range(3):
        clear_imports(now=NOW, wall=WALL + 24 * HOUR)
    preview.refresh_from_db()
    assert preview.state == "CANCELLED"
    assert desk.start(preview).state == "CANCELLED"
    assert ImportRow.objects.filter(job=finished).count() == 3
    for _ in range(3):
        clear_imports(now=NOW, wall=WALL + timedelta(days=60))
    assert not ImportRow.objects.exists()
    finished.refresh_from_db()
    assert (finished.rows_done, finished.clear_at) == (3, None)
    assert clear_imports(now=NOW, wall=WALL + timedelta(days=60)) == 0


@pytest.mark.django_db
def test_a_cancelled_import_stops_and_keeps_what_is_done() -> None:
    desk = make_desk()
    job = desk.start(desk.stage(device_list(1_500)))
    run_due_imports(now=NOW, wall=WALL)
    cancel_import(job=job, actor="bob", now=NOW, wall=WALL)
    assert run_due_imports(now=NOW, wall=WALL + HOUR) == 0
    job.refresh_from_db()
    assert (job.state, counts(job)) == ("CANCELLED", (500, 1_000, 0, 0))
    assert len(take_secrets(job=job, actor="ann", now=NOW)) == 1_000


@pytest.mark.django_db
def test_f15_a_row_that_cannot_be_stored_is_told_and_the_others_are_done() -> None:
    desk = make_desk()
    honest = import_work.register_many

    def explode(**given):
        if any(row.key == "k7" for row in given["rows"]):
            raise ZeroDivisionError
        return honest(**given)

    with patch("devices.services.import_work.register_many", explode):
        job = desk.run(device_list(20))
    assert (job.state, counts(job)) == ("DONE", (0, 19, 0, 1))
    assert told(job) == [(9, "", "failed")]


@pytest.mark.django_db
def test_f15_an_import_that_always_fails_stops_after_five_attempts_and_can_be_tried_again() -> None:
    desk = make_desk()
    job = desk.start(desk.stage(device_list(1_100)))
    with patch("devices.services.import_work._do_or_halve", side_effect=ZeroDivisionError):
        found = [run_due_imports(now=NOW, wall=WALL + number * HOUR) for number in range(8)]
    job.refresh_from_db()
    assert found == [1, 1, 1, 1, 1, 0, 0, 0]
    assert (job.state, counts(job)) == ("FAILED", (1_100, 0, 0, 0))
    retry_import(job=job, actor="ann", now=NOW, wall=WALL)
    while run_due_imports(now=NOW, wall=WALL):
        pass
    job.refresh_from_db()
    assert (job.state, counts(job)) == ("DONE", (0, 1_100, 0, 0))
