"""What is left of a service moves to a replacement device (A26, A14, R2, R9)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from amp.foundation.models import Event
from amp.foundation.scoping import enterprise_scope, system_scope
from catalog.models import Product, ServiceLevel
from devices.invariants import violations
from devices.lifecycle import SECOND, Lock, State
from devices.models import Command, DeviceService, EarlyEnd, Period, Presence
from devices.periods import TransferRefusal
from devices.services.lifecycle import advance_due_services
from devices.services.registration import terminate_device
from devices.services.renewal import RenewalRequest, renew_services
from devices.services.replacements import TransferRefused, replacement
from devices.services.transfer import transfer_preview, transfer_service
from tests.factories import HOUR, NOW, make_device, make_enterprise, make_plan, make_product, make_rule_change

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
LATER = NOW + 10 * DAY


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def product() -> Product:
    return make_product(trial_start=0, trial_end=HOUR, renewal_before_trial_end=True)


def renew(pk: int, product: Product, *, months: int = 12, paid_at: datetime = NOW, now: datetime = NOW) -> None:
    """A paid period, as fulfilment makes it."""
    level = ServiceLevel.objects.get(standard_of=product)
    request = RenewalRequest(pk, months, level.pk, f"{months} months", f"line:{uuid.uuid4()}", paid_at)
    renew_services([request], actor="gateway", now=now)


def pair(product: Product, *, months: int = 12) -> tuple[int, int]:
    """Ids of a device that runs for `months` from NOW, and of a new one."""
    source, target = make_device(product).device.pk, make_device(product).device.pk
    renew(source, product, months=months)
    return source, target


def move(source: int, target: int, *, now: datetime = LATER, **more: Any) -> Any:
    return transfer_service(
        source_id=source, target_id=target, reason="broken", actor="ann@example.com", now=now, **more
    )


def service(pk: int) -> DeviceService:
    return DeviceService.objects.get(pk=pk)


def newest_command(pk: int) -> tuple[str, str]:
    command = Command.objects.filter(device_id=pk).latest("generation")
    return command.kind, command.status


def test_the_source_expires_and_the_target_runs_to_the_same_end_A26(product: Product) -> None:
    source, target = pair(product)
    end = service(source).ends_at
    done = move(source, target).done
    emptied, filled = service(source), service(target)
    assert (emptied.state, emptied.ends_at, emptied.due_at, emptied.desired_lock) == (
        State.EXPIRED.value,
        LATER,
        None,
        Lock.LOCKED.value,
    )
    assert (filled.state, filled.ends_at, filled.due_at, filled.state_since) == (State.ACTIVE.value, end, end, LATER)
    assert (filled.trial_ended_at, filled.auto_spent) == (LATER, True), "its trial is over"
    assert newest_command(source) == ("LOCK", "PENDING")
    assert not Command.objects.filter(device_id=target).exists(), "nothing had locked it"
    assert done.ends_at == end
    assert violations(now=LATER) == []


def test_both_devices_have_the_transfer_on_their_record_A26(product: Product) -> None:
    source, target = pair(product)
    ticket = str(move(source, target).ticket)
    out = Event.objects.get(kind="device_service.transferred_out", subject=f"device:{source}")
    into = Event.objects.get(kind="device_service.transferred_in", subject=f"device:{target}")
    assert {(each.actor, each.why, each.after["transfer"]) for each in (out, into)} == {
        ("ann@example.com", "broken", ticket)
    }
    assert (out.after["other_device"], into.after["other_device"]) == (str(target), str(source))


@pytest.mark.parametrize("kind", ["trial", "expired_trial"])
def test_a_target_in_its_trial_or_locked_after_it_runs_unlocked_A26(product: Product, kind: str) -> None:
    source, target = pair(product)
    Presence.objects.filter(pk=target).update(is_online=True, open_since=NOW)
    DeviceService.objects.filter(pk=target).update(counts_from=0, due_at=NOW)
    at = NOW + timedelta(minutes=30 if kind == "trial" else 120)
    move(source, target, now=at)
    filled = service(target)
    assert filled.state == State.ACTIVE.value
    locked = kind == "expired_trial"
    assert filled.trial_ended_at == (NOW + timedelta(hours=1) if locked else at)
    assert Command.objects.filter(device_id=target, kind="UNLOCK", status="PENDING").exists() is locked
    assert not Command.objects.filter(device_id=target, kind="LOCK", status="PENDING").exists()
    assert advance_due_services(now=at).moved == 0
    assert violations(now=at) == []


def test_the_end_is_the_new_anchor_of_the_target_A14(product: Product) -> None:
    """And the next renewals count from it: no month is chained."""
    source, target = pair(product)
    end = service(source).ends_at
    move(source, target)
    assert (service(target).anchor, service(target).anchor_months) == (end, 0)
    renew(target, product, months=1, paid_at=LATER + DAY, now=LATER + DAY)
    assert end == datetime(2027, 3, 1, 12, tzinfo=NOW.tzinfo)
    assert service(target).ends_at == datetime(2027, 4, 1, 12, tzinfo=NOW.tzinfo)
    assert violations(now=LATER + DAY) == []


def test_everything_that_was_paid_ahead_moves_A15_A26(product: Product) -> None:
    source, target = pair(product)
    renew(source, product, months=12)
    end = service(source).ends_at
    move(source, target)
    assert service(target).ends_at == end == datetime(2028, 3, 1, 12, tzinfo=NOW.tzinfo)
    assert list(EarlyEnd.objects.values_list("device_id", "number", "previous_ends_at", "ends_at")) == [
        (source, 2, end, LATER)
    ]


def test_the_source_can_be_renewed_again_and_gets_only_what_is_paid_A14_A16(product: Product) -> None:
    """Also by a payment from before the transfer that is learnt of after it: moved time is not counted twice."""
    source, target = pair(product)
    move(source, target)
    renew(source, product, months=1, paid_at=LATER - DAY, now=LATER + DAY)
    assert service(source).ends_at == datetime(2026, 4, 11, 12, tzinfo=NOW.tzinfo)
    assert newest_command(source)[0] == "UNLOCK"
    assert violations(now=LATER + DAY) == []


@pytest.mark.parametrize("included", [False, True])
def test_the_preview_says_whether_an_included_plan_is_given_up_A10(product: Product, included: bool) -> None:
    if included:
        make_rule_change(product, auto_subscribe=True, auto_plan=make_plan(product, amount=0))
    source, target = pair(product)
    change = transfer_preview(source_id=source, target_id=target, now=LATER).target
    assert (change.ends_trial, change.gives_up_included) == (True, included)


def test_an_included_period_moves_as_an_included_one_A10_A26(product: Product) -> None:
    make_rule_change(product, auto_subscribe=True, auto_plan=make_plan(product, amount=0))
    source, target = make_device(product).device.pk, make_device(product).device.pk
    Presence.objects.filter(pk=source).update(counted=2 * HOUR * SECOND)
    DeviceService.objects.filter(pk=source).update(
        state="TRIAL", trial_end_seconds=HOUR, counts_from=0, due_at=NOW, trial_started_at=NOW
    )
    advance_due_services(now=NOW)
    move(source, target)
    assert Period.objects.get(device_id=target).kind == "INCLUDED"
    assert service(target).state == State.ACTIVE.value
    assert "end_is_fold_of_ledger" not in {each.name for each in violations(now=LATER)}


def refusal_of(source: int, target: int, *, now: datetime = LATER) -> TransferRefusal | None:
    """The reason, the same from the preview and from the service, which changes nothing."""
    before = (list(DeviceService.objects.order_by("pk").values()), Event.objects.count(), Period.objects.count())
    told = transfer_preview(source_id=source, target_id=target, now=now).refusal
    with pytest.raises(TransferRefused) as refused:
        move(source, target, now=now)
    assert refused.value.code is told
    after = (list(DeviceService.objects.order_by("pk").values()), Event.objects.count(), Period.objects.count())
    assert before == after
    return told


def test_a_transfer_is_refused_with_its_reason_A26(product: Product) -> None:
    source, target = pair(product)
    other = make_device(make_product(product.enterprise, paid=True)).device.pk
    paid, unpaid = pair(product)
    gone = make_device(product).device
    terminate_device(device=gone, actor="ann", now=NOW)
    assert refusal_of(source, source) is TransferRefusal.SAME_DEVICE
    assert refusal_of(source, other) is TransferRefusal.OTHER_PRODUCT
    assert refusal_of(source, paid) is TransferRefusal.TARGET_HAS_PAID
    assert refusal_of(source, gone.pk) is TransferRefusal.TARGET_TERMINATED
    assert refusal_of(unpaid, target) is TransferRefusal.NOTHING_LEFT
    assert refusal_of(source, target, now=NOW + 400 * DAY) is TransferRefusal.NOTHING_LEFT, "it expired meanwhile"
    make_rule_change(product, paid_mode=False)
    assert refusal_of(source, target) is TransferRefusal.PAID_MODE_OFF


def test_the_end_itself_is_no_time_left(product: Product) -> None:
    source, target = pair(product)
    end = service(source).ends_at
    assert end is not None
    assert refusal_of(source, target, now=end) is TransferRefusal.NOTHING_LEFT
    assert transfer_preview(source_id=source, target_id=target, now=end - timedelta(seconds=1)).refusal is None


def test_a_target_that_runs_on_its_included_period_is_refused(product: Product) -> None:
    source, target = pair(product)
    DeviceService.objects.filter(pk=target).update(state="ACTIVE", ends_at=LATER + DAY, anchor=NOW, anchor_months=1)
    assert refusal_of(source, target) is TransferRefusal.TARGET_RUNS


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 201, "a\x00b", "a\x1b[2Jb"])
def test_a_transfer_needs_a_reason(product: Product, reason: str) -> None:
    source, target = pair(product)
    with pytest.raises(TransferRefused) as refused:
        transfer_service(source_id=source, target_id=target, reason=reason, actor="ann", now=LATER)
    assert refused.value.problems[0].field == "reason"
    assert service(source).state == State.ACTIVE.value


def test_what_changed_since_the_preview_is_not_moved_F99(product: Product) -> None:
    source, target = pair(product)
    seen = transfer_preview(source_id=source, target_id=target, now=LATER).seen
    renew(source, product, months=1, paid_at=LATER, now=LATER)
    with pytest.raises(TransferRefused, match="changed meanwhile"):
        move(source, target, seen=seen)
    move(source, target, seen=transfer_preview(source_id=source, target_id=target, now=LATER).seen)


def test_the_same_ticket_moves_once_R2(product: Product) -> None:
    source, target = pair(product)
    ticket = uuid.uuid4()
    move(source, target, ticket=ticket)
    with pytest.raises(TransferRefused, match="done already"):
        move(source, target, ticket=ticket)
    assert Period.objects.filter(device_id=target).count() == 1


def test_devices_of_two_authorised_enterprises_may_swap_and_neither_record_names_the_other_R6(product: Product) -> None:
    """The row of each enterprise refers to its own device alone."""
    child = make_enterprise(parent=product.enterprise)
    source = make_device(product, enterprise=child).device.pk
    target = make_device(product).device.pk
    renew(source, product)
    with enterprise_scope([child.pk]), pytest.raises(TransferRefused, match="No such device"):
        move(source, target)
    with enterprise_scope([child.pk, product.enterprise_id]):
        move(source, target)
    for event in Event.objects.filter(kind__startswith="device_service.transferred"):
        assert "other_device" not in event.after
    assert EarlyEnd.objects.get().enterprise_id == child.pk
    assert Period.objects.get(device_id=target).enterprise_id == product.enterprise_id
    assert violations(now=LATER) == []


def test_a_preview_changes_nothing_and_needs_a_fixed_number_of_queries(
    product: Product, django_assert_max_num_queries: Any
) -> None:
    source, target = pair(product)
    before = (list(DeviceService.objects.order_by("pk").values()), Event.objects.count())
    with django_assert_max_num_queries(9):
        preview = transfer_preview(source_id=source, target_id=target, now=LATER)
    assert (preview.source.after.state, preview.target.after.state) == (State.EXPIRED, State.ACTIVE)
    assert (preview.source.told, preview.target.told, preview.target.ends_trial) == (Lock.LOCKED, None, True)
    assert (list(DeviceService.objects.order_by("pk").values()), Event.objects.count()) == before


def test_the_replacement_is_found_by_its_key_within_the_product(product: Product) -> None:
    source = make_device(product, key="old").device
    new = make_device(product, key="new").device
    make_device(make_product(product.enterprise), key="else")
    assert replacement(source=source, key=" new ") == new
    for key, words in (("old", "same device"), ("else", "another product"), ("nope", "No live device")):
        with pytest.raises(TransferRefused, match=words):
            replacement(source=source, key=key)


def test_audit_finds_time_that_a_transfer_made_or_lost(product: Product) -> None:
    """The control: without one side of its ledger a transfer is a violation."""
    source, target = pair(product)
    move(source, target)
    row = EarlyEnd.objects.get()
    row.pk, row.device_id, row.source, row.number = None, target, "transfer:nobody", 7
    row.save(force_insert=True)
    assert {each.name for each in violations(now=LATER)} == {"transfer_moves_the_same_time"}
