"""What a changed rule does to devices (A1, A4, A5, A25)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from amp.foundation.models import Event
from amp.foundation.scoping import enterprise_scope, system_scope
from catalog.models import Product
from catalog.services.rules import RuleDraft, RuleRefused, current_rule
from devices.delivery import CommandKind, CommandStatus
from devices.lifecycle import SECOND, Lock, State
from devices.models import Command, DeviceService, Presence
from devices.services.commands import CommandOrder, order_commands
from devices.services.lifecycle import advance_due_services
from devices.services.registration import terminate_device
from devices.services.replanning import change_rule
from devices.services.rule_previews import rule_preview
from tests.factories import HOUR, NOW, make_device, make_enterprise, make_plan, make_product, make_rule_change

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def _device(product: Product, *, counted: int = 0, open_since: Any = None, **service: Any) -> DeviceService:
    """A device with `counted` seconds online, online since `open_since`, and a service as given."""
    pk = make_device(product).device.pk
    Presence.objects.filter(pk=pk).update(
        counted=counted * SECOND, open_since=open_since, is_online=open_since is not None
    )
    DeviceService.objects.filter(pk=pk).update(**service)
    return DeviceService.objects.get(pk=pk)


def _active(product: Product, *, ends_at: Any) -> DeviceService:
    return _device(product, state=State.ACTIVE.value, ends_at=ends_at, anchor=NOW, anchor_months=1, due_at=ends_at)


def _fresh(service: DeviceService) -> DeviceService:
    return DeviceService.objects.get(pk=service.pk)


def _locked(product: Product) -> DeviceService:
    """An expired device with a waiting LOCK."""
    service = _device(product, state=State.EXPIRED.value, desired_lock=Lock.LOCKED.value, generation=1)
    order_commands([CommandOrder(service.pk, service.enterprise_id, product.pk, CommandKind.LOCK, 1)], now=NOW)
    return service


def test_counting_starts_when_paid_mode_is_switched_on() -> None:
    """A4: online time before it is nobody's trial."""
    product = make_product(paid=False)
    offline = _device(product, counted=5_000)
    online = _device(product, counted=100, open_since=NOW)
    at = NOW + timedelta(seconds=50)
    make_rule_change(product, paid_mode=True, now=at)
    assert _fresh(offline).counts_from == 5_000 * SECOND
    assert _fresh(online).counts_from == 150 * SECOND
    assert {_fresh(offline).due_at, _fresh(online).due_at} == {at}


def test_a_device_online_at_switching_on_starts_its_trial_an_hour_later() -> None:
    """A2 with A4, through the sweep."""
    product = make_product(paid=False, trial_start=HOUR, trial_end=2 * HOUR)
    service = _device(product, counted=10 * HOUR, open_since=NOW - DAY)
    make_rule_change(product, paid_mode=True, now=NOW)
    advance_due_services(now=NOW)
    assert (_fresh(service).state, _fresh(service).due_at) == (State.PENDING.value, NOW + timedelta(hours=1))
    advance_due_services(now=NOW + timedelta(minutes=90))
    assert _fresh(service).state == State.TRIAL.value
    assert _fresh(service).trial_started_at == NOW + timedelta(hours=1)


def test_a_pause_keeps_what_a_trial_had_used() -> None:
    """A25: states freeze; nobody gets a second trial by a switch, and nobody is charged for the pause."""
    product = make_product(trial_start=0, trial_end=HOUR)
    service = _device(
        product, counted=600, state=State.TRIAL.value, trial_end_seconds=HOUR, counts_from=100 * SECOND, due_at=NOW
    )
    make_rule_change(product, paid_mode=False, now=NOW)
    paused = _fresh(service)
    assert (paused.state, paused.counts_from, paused.due_at) == (State.TRIAL.value, None, None)
    assert paused.counted_at_pause == 500 * SECOND
    Presence.objects.filter(pk=service.pk).update(counted=9_000 * SECOND)
    make_rule_change(product, paid_mode=True, now=NOW + DAY)
    resumed = _fresh(service)
    assert (resumed.counts_from, resumed.counted_at_pause) == ((9_000 - 500) * SECOND, None)
    assert advance_due_services(now=NOW + DAY).moved == 0
    assert _fresh(service).state == State.TRIAL.value


def test_switching_off_freezes_states_takes_waiting_locks_back_and_unlocks() -> None:
    """A25."""
    product = make_product()
    active = _active(product, ends_at=NOW + DAY)
    locked = _locked(product)
    changed = make_rule_change(product, paid_mode=False, now=NOW + DAY / 2)
    assert (changed.locks_cancelled, changed.unlocks_ordered) == (1, 1)
    assert advance_due_services(now=NOW + 2 * DAY).found == 0
    assert _fresh(active).state == State.ACTIVE.value
    service = _fresh(locked)
    assert (service.state, service.desired_lock, service.generation) == (
        State.EXPIRED.value,
        Lock.UNLOCKED.value,
        2,
    )
    kinds = dict(Command.objects.filter(device_id=locked.pk).values_list("kind", "status"))
    assert kinds == {"LOCK": CommandStatus.CANCELLED.value, "UNLOCK": CommandStatus.PENDING.value}
    cancelled = Event.objects.get(kind="command.cancelled", subject=f"device:{locked.pk}")
    assert (cancelled.why, cancelled.actor) == ("paid_mode_off", "test")


def test_switching_off_without_unlocking_leaves_devices_locked() -> None:
    product = make_product()
    locked = _locked(product)
    changed = make_rule_change(product, paid_mode=False, unlock=False)
    assert changed.unlocks_ordered == 0
    assert _fresh(locked).desired_lock == Lock.LOCKED.value
    assert list(Command.objects.values_list("kind", "status")) == [("LOCK", CommandStatus.CANCELLED.value)]


def test_an_unlock_that_waits_survives_switching_off() -> None:
    """The customer paid (A23)."""
    product = make_product()
    service = _device(product, desired_lock=Lock.UNLOCKED.value, generation=1)
    order_commands([CommandOrder(service.pk, service.enterprise_id, product.pk, CommandKind.UNLOCK, 1)], now=NOW)
    make_rule_change(product, paid_mode=False)
    assert Command.objects.get().status == CommandStatus.PENDING.value


def test_switching_on_again_expires_what_ended_meanwhile_and_locks_what_was_opened() -> None:
    """A25, A17: dated by when it fell due; an expired device doesn't stay open for ever."""
    product = make_product()
    active = _active(product, ends_at=NOW + DAY)
    locked = _locked(product)
    make_rule_change(product, paid_mode=False, now=NOW)
    changed = make_rule_change(product, paid_mode=True, now=NOW + 3 * DAY)
    assert changed.locks_ordered == 1
    assert (_fresh(locked).desired_lock, _fresh(locked).generation) == (Lock.LOCKED.value, 3)
    advance_due_services(now=NOW + 3 * DAY)
    assert (_fresh(active).state, _fresh(active).state_since) == (State.EXPIRED.value, NOW + DAY)


def test_new_thresholds_make_the_sweep_look_and_move_nobody_in_the_past() -> None:
    """A5: the trial starts when the threshold was lowered, not when the device passed it."""
    product = make_product(trial_start=2 * HOUR, trial_end=3 * HOUR)
    waiting = _device(product, counted=HOUR)
    on_trial = _device(product, state=State.TRIAL.value, trial_end_seconds=3 * HOUR, counted=HOUR)
    active = _active(product, ends_at=NOW + 9 * DAY)
    at = NOW + DAY
    changed = make_rule_change(product, trial_start_seconds=HOUR // 2, trial_end_seconds=HOUR, now=at)
    assert changed.replanned == 2
    advance_due_services(now=at)
    assert (_fresh(waiting).trial_started_at, _fresh(waiting).state) == (at, State.EXPIRED.value)
    assert _fresh(on_trial).state == State.TRIAL.value, "the end of a running trial is frozen"
    assert _fresh(active).due_at == NOW + 9 * DAY


def test_a_change_that_moves_nobody_touches_no_device() -> None:
    product = make_product()
    service = _device(product)
    assert make_rule_change(product, cache_seconds=60).replanned == 0
    assert _fresh(service).due_at is None


def test_terminated_devices_are_left_alone() -> None:
    product = make_product(paid=False)
    made = make_device(product)
    terminate_device(device=made.device, actor="ann", now=NOW)
    assert make_rule_change(product, paid_mode=True, now=NOW + DAY).replanned == 0
    service = DeviceService.objects.get(device=made.device)
    assert (service.counts_from, service.due_at) == (None, None)


def test_a_refused_rule_changes_no_device() -> None:
    product = make_product(paid=False)
    service = _device(product)
    with pytest.raises(RuleRefused):
        make_rule_change(product, paid_mode=True, lock_action=[])
    assert (current_rule(product.pk).version, _fresh(service).counts_from) == (2, None)


def test_a_rule_moves_the_devices_of_enterprises_below_too() -> None:
    product = make_product(paid=False)
    child = make_enterprise(parent=product.enterprise)
    service = DeviceService.objects.get(device=make_device(product, enterprise=child).device)
    with enterprise_scope([product.enterprise_id]):
        make_rule_change(product, paid_mode=True)
    assert _fresh(service).counts_from == 0


@pytest.mark.parametrize("included", [False, True])
def test_the_preview_says_what_then_happens(included: bool) -> None:
    """A4, A5, A25: consequences before the button."""
    product = make_product(paid=False, trial_start=0, trial_end=HOUR)
    auto = {"auto_subscribe": True, "auto_plan": make_plan(product, amount=0)} if included else {}
    _device(product)
    _device(product, open_since=NOW - DAY)
    _device(product, counted=2 * HOUR, state=State.TRIAL.value, trial_end_seconds=HOUR, counted_at_pause=HOUR * SECOND)
    _active(product, ends_at=NOW - DAY)
    _active(product, ends_at=NOW + DAY)
    _device(product, state=State.EXPIRED.value)
    terminate_device(device=make_device(product).device, actor="ann", now=NOW)
    draft = RuleDraft.of(current_rule(product.pk), paid_mode=True, **auto)
    before = dict(DeviceService.objects.values_list("device_id", "state"))
    preview = rule_preview(product=product, draft=draft, now=NOW)
    assert before == dict(DeviceService.objects.values_list("device_id", "state"))

    change_rule(product=product, draft=draft, actor="ann", now=NOW)
    advance_due_services(now=NOW)
    moves: dict[tuple[str, str], int] = {}
    for pk, state in DeviceService.objects.values_list("device_id", "state"):
        if state != before[pk]:
            moves[before[pk], state] = moves.get((before[pk], state), 0) + 1
    assert preview.moves == moves
    assert preview.moved == 3
    assert preview.moves["TRIAL", "ACTIVE" if included else "EXPIRED"] == 1
    assert preview.locks_ordered == Command.objects.filter(kind="LOCK").count() == (2 if included else 3)
    assert preview.by_state == {"PENDING": 2, "TRIAL": 1, "ACTIVE": 2, "EXPIRED": 1}


def test_the_preview_of_switching_off_counts_locks_and_unlocks() -> None:
    product = make_product()
    _locked(product)
    _active(product, ends_at=NOW - DAY)
    draft = RuleDraft.of(current_rule(product.pk), paid_mode=False)
    preview = rule_preview(product=product, draft=draft, now=NOW)
    assert (preview.moved, preview.locks_cancelled, preview.unlocks_ordered) == (0, 1, 1)
    assert rule_preview(product=product, draft=draft, unlock=False, now=NOW).unlocks_ordered == 0
