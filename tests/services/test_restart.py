"""A factory return begins a new life; nothing else touches the counter (A6, A10)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from amp.foundation.models import Event
from amp.foundation.scoping import system_scope
from catalog.models import Product
from devices.invariants import violations
from devices.lifecycle import SECOND, Lock, State
from devices.models import Command, Device, DeviceService, Period, Presence
from devices.periods import RestartRefusal
from devices.services.credentials import rotate_credential
from devices.services.lifecycle import advance_due_services
from devices.services.registration import terminate_device
from devices.services.restart import RestartRefused, restart_preview, restart_service
from devices.services.transfer import transfer_service
from tests.factories import HOUR, NOW, make_device, make_plan, make_product, make_rule_change
from tests.services.test_transfer import renew

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
HOURS = timedelta(hours=1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def product() -> Product:
    return make_product(trial_start=0, trial_end=HOUR, renewal_before_trial_end=True)


def used_up(product: Product) -> int:
    """A device whose trial is over: online for two hours from NOW, then off; expired and told to lock."""
    pk = make_device(product).device.pk
    online(pk, since=NOW)
    advance_due_services(now=NOW + 2 * HOURS)
    Presence.objects.filter(pk=pk).update(is_online=False, open_since=None, counted=2 * HOUR * SECOND)
    assert service(pk).state == State.EXPIRED.value
    return pk


def online(pk: int, *, since: Any) -> None:
    Presence.objects.filter(pk=pk).update(is_online=True, open_since=since)
    DeviceService.objects.filter(pk=pk).update(due_at=since)


def service(pk: int) -> DeviceService:
    return DeviceService.objects.get(pk=pk)


def restart(pk: int, *, now: Any = NOW + DAY, reason: str = "came back from the shop") -> Any:
    return restart_service(device_id=pk, reason=reason, actor="ann@example.com", now=now)


def broken_promises(now: Any) -> set[str]:
    """Presence was written without its sessions here, which is another check's business."""
    return {each.name for each in violations(now=now)} - {"online_time_is_union_of_intervals"}


def test_a_restart_begins_a_new_life_pending_with_counter_0_A6(product: Product) -> None:
    pk = used_up(product)
    restart(pk)
    fresh = service(pk)
    assert (fresh.state, fresh.life, fresh.counts_from, fresh.ends_at) == (
        State.PENDING.value,
        2,
        2 * HOUR * SECOND,
        None,
    )
    assert (fresh.trial_started_at, fresh.trial_ended_at, fresh.trial_end_seconds) == (None, None, None)
    assert (fresh.state_since, fresh.life_began_at, fresh.due_at) == (NOW + DAY, NOW + DAY, None)
    assert broken_promises(NOW + DAY) == set()


def test_a_new_life_has_a_trial_of_its_own_A6(product: Product) -> None:
    pk = used_up(product)
    restart(pk)
    online(pk, since=NOW + 2 * DAY)
    advance_due_services(now=NOW + 2 * DAY + HOURS / 2)
    assert (service(pk).state, service(pk).trial_started_at) == (State.TRIAL.value, NOW + 2 * DAY)
    advance_due_services(now=NOW + 2 * DAY + 2 * HOURS)
    assert (service(pk).state, service(pk).state_since) == (State.EXPIRED.value, NOW + 2 * DAY + HOURS)
    assert broken_promises(NOW + 2 * DAY + 2 * HOURS) == set()


def test_a_device_that_is_online_counts_from_the_moment_of_its_restart_A6(product: Product) -> None:
    make_rule_change(product, trial_start_seconds=HOUR // 2)
    pk = used_up(product)
    Presence.objects.filter(pk=pk).update(is_online=True, open_since=NOW + DAY - HOURS)
    restart(pk)
    assert service(pk).counts_from == 3 * HOUR * SECOND
    assert service(pk).due_at == NOW + DAY + HOURS / 2


def test_a_locked_device_is_unlocked_by_its_restart_A22(product: Product) -> None:
    pk = used_up(product)
    assert restart_preview(device_id=pk, now=NOW + DAY).unlocks
    restart(pk)
    assert service(pk).desired_lock == Lock.UNLOCKED.value
    statuses = list(Command.objects.filter(device_id=pk).order_by("generation").values_list("kind", "status"))
    assert statuses == [("LOCK", "SUPERSEDED"), ("UNLOCK", "PENDING")]


def test_the_included_period_is_given_once_in_each_life_A10(product: Product) -> None:
    make_rule_change(product, auto_subscribe=True, auto_plan=make_plan(product, amount=0, months=1))
    pk = make_device(product).device.pk
    online(pk, since=NOW)
    advance_due_services(now=NOW + 60 * DAY)
    assert service(pk).state == State.EXPIRED.value
    restart(pk, now=NOW + 60 * DAY)
    advance_due_services(now=NOW + 62 * DAY)
    assert service(pk).state == State.ACTIVE.value
    assert list(Period.objects.order_by("number").values_list("life", "source")) == [
        (1, f"auto:{pk}:1"),
        (2, f"auto:{pk}:2"),
    ]
    assert broken_promises(NOW + 62 * DAY) == set()


def test_a_restart_is_on_the_record_with_its_reason_A6(product: Product) -> None:
    pk = used_up(product)
    restart(pk)
    event = Event.objects.get(kind="device_service.restarted", subject=f"device:{pk}")
    assert (event.actor, event.why, event.before["state"], event.after["state"], event.after["life"]) == (
        "ann@example.com",
        "came back from the shop",
        "EXPIRED",
        "PENDING",
        2,
    )


def refusal_of(pk: int, *, now: Any = NOW + DAY) -> RestartRefusal | None:
    """The reason, the same from the preview and from the service, which changes nothing."""
    before = (DeviceService.objects.filter(pk=pk).values().get(), Event.objects.count())
    told = restart_preview(device_id=pk, now=now).refusal
    with pytest.raises(RestartRefused) as refused:
        restart(pk, now=now)
    assert refused.value.code is told
    assert before == (DeviceService.objects.filter(pk=pk).values().get(), Event.objects.count())
    return told


def test_a_restart_is_refused_while_paid_time_remains_A6(product: Product) -> None:
    pk = make_device(product).device.pk
    renew(pk, product)
    assert refusal_of(pk) is RestartRefusal.TIME_REMAINS
    assert restart(pk, now=NOW + 400 * DAY).refusal is None, "it has ended meanwhile"
    assert service(pk).state == State.PENDING.value
    assert broken_promises(NOW + 400 * DAY) == set()


def test_a_restart_is_refused_with_its_reason(product: Product) -> None:
    gone = make_device(product).device
    terminate_device(device=gone, actor="ann", now=NOW)
    assert refusal_of(gone.pk) is RestartRefusal.TERMINATED
    assert refusal_of(make_device(product).device.pk) is RestartRefusal.NOTHING_TO_RESTART
    pk = used_up(product)
    make_rule_change(product, paid_mode=False, now=NOW + DAY)
    assert refusal_of(pk) is RestartRefusal.PAID_MODE_OFF


@pytest.mark.parametrize("reason", ["", " \t", "x" * 201, "a\x00b"])
def test_a_restart_needs_a_reason(product: Product, reason: str) -> None:
    pk = used_up(product)
    with pytest.raises(RestartRefused) as refused:
        restart(pk, reason=reason)
    assert refused.value.problems[0].field == "reason"


def test_a_source_of_a_transfer_may_restart_and_a_restarted_device_may_take_over_A6_A26(product: Product) -> None:
    """The way back of a device that was repaired: its paid past is a life that is over."""
    old, new = make_device(product).device.pk, make_device(product).device.pk
    renew(old, product)
    transfer_service(source_id=old, target_id=new, reason="broken", actor="ann", now=NOW + DAY)
    restart(old, now=NOW + 2 * DAY)
    transfer_service(source_id=new, target_id=old, reason="repaired", actor="ann", now=NOW + 3 * DAY)
    assert (service(old).state, service(new).state) == (State.ACTIVE.value, State.EXPIRED.value)
    assert service(old).ends_at == NOW + 365 * DAY
    assert Command.objects.filter(device_id=old).latest("generation").kind == "UNLOCK"
    assert broken_promises(NOW + 3 * DAY) == set()


def test_a_new_name_another_SIM_or_credential_never_touch_the_counter_A6(product: Product) -> None:
    """Reset and unbind are the device's own affair: nothing of them reaches the platform but presence."""
    pk = used_up(product)
    before = DeviceService.objects.filter(pk=pk).values().get()
    device = Device.objects.get(pk=pk)
    Device.objects.filter(pk=pk).update(name="Renamed", serial="S2", iccid="89860000000000000001")
    rotate_credential(device=device, actor="ann", now=NOW + DAY)
    advance_due_services(now=NOW + DAY)
    assert DeviceService.objects.filter(pk=pk).values().get() == before
    assert Presence.objects.get(pk=pk).counted == 2 * HOUR * SECOND


def test_audit_finds_a_way_back_to_pending_that_was_no_restart(product: Product) -> None:
    """The control: only the restart's own event may lead there."""
    pk = used_up(product)
    restart(pk)
    event = Event.objects.get(kind="device_service.restarted")
    event.pk, event.public_id, event.kind = None, uuid.uuid4(), "device_service.expired"
    event.save(force_insert=True)
    assert "state_follows_allowed_transitions" in broken_promises(NOW + DAY)
