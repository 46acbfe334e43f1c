"""Product > Device Service: what a change means before the button, and two people at once (G1, A4, A5, A25; F99)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from catalog.models import Product
from catalog.services.rules import RuleDraft, current_rule
from devices.delivery import CommandKind
from devices.lifecycle import Lock, State
from devices.models import Command, DeviceService, Presence
from devices.services.commands import CommandOrder, order_commands
from devices.services.rule_previews import Effect, rule_preview
from tests.factories import HOUR, NOW, make_device, make_plan, make_product
from tests.services.admin_world import Maker, made_makers, makers
from tests.services.test_admin_actions import rule_form, text_of, version

__all__ = ["made_makers", "makers"]
pytestmark = pytest.mark.django_db


def effects(product: Product, **changes: Any) -> dict[Effect, int]:
    draft = RuleDraft.of(current_rule(product.pk), **changes)
    return dict(rule_preview(product=product, draft=draft, now=NOW).effects)


@pytest.fixture
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def fleet(in_system_scope: None) -> Product:
    """Three pending devices, two in their trial, one of them online; one expired with a waiting LOCK."""
    product = make_product()
    ids = [make_device(product).device.pk for _number in range(6)]
    DeviceService.objects.filter(pk__in=ids[3:5]).update(state="TRIAL", trial_end_seconds=2 * HOUR, counts_from=0)
    Presence.objects.filter(pk=ids[3]).update(is_online=True, open_since=NOW)
    DeviceService.objects.filter(pk=ids[5]).update(state="EXPIRED", desired_lock="LOCKED", generation=1)
    service = DeviceService.objects.get(pk=ids[5])
    order_commands([CommandOrder(service.pk, service.enterprise_id, product.pk, CommandKind.LOCK, 1)], now=NOW)
    return product


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"trial_end_seconds": 5 * HOUR},
            {Effect.GET_NEW_TRIAL_END: 3, Effect.KEEP_THEIR_TRIAL_END: 2},
        ),
        ({"trial_start_seconds": HOUR + 60}, {Effect.WAIT_FOR_NEW_START: 3}),
        ({"renewal_before_trial_end": True}, {Effect.MAY_RENEW_IN_TRIAL: 5}),
        ({"cache_seconds": 60}, {Effect.KEEP_THEIR_CACHE_TIME: 1}),
        ({"heartbeat_seconds": 60}, {Effect.CLOSED_BY_SILENCE: 1}),
        (
            {"lock_action": [{"code": "report_interval", "value": "9"}]},
            {Effect.UNLOCK_IN_OLD_WORDS: 1, Effect.LOCK_IN_NEW_WORDS: 5},
        ),
        ({"paid_mode": False}, {Effect.FROZEN: 6}),
        ({}, {}),
    ],
)
def test_an_edit_says_what_it_means_for_how_many_devices_A5(
    fleet: Product, changes: dict[str, Any], told: dict[Effect, int]
) -> None:
    assert effects(fleet, **changes) == told


def test_auto_subscription_says_who_gets_the_plan_and_who_stops_A8_A9(fleet: Product) -> None:
    plan = make_plan(fleet, amount=0)
    assert effects(fleet, auto_subscribe=True, auto_plan=plan) == {Effect.GET_INCLUDED_PLAN: 5}


def test_a_preview_names_the_first_devices_that_move_A4(fleet: Product) -> None:
    Presence.objects.filter(device__service__state=State.PENDING.value).update(is_online=True, open_since=NOW)
    DeviceService.objects.filter(state=State.PENDING.value).update(counts_from=0)
    draft = RuleDraft.of(current_rule(fleet.pk), trial_start_seconds=0)
    preview = rule_preview(product=fleet, draft=draft, now=NOW + timedelta(seconds=1))
    assert preview.moves == {("PENDING", "TRIAL"): 3}
    assert [(each.before, each.after) for each in preview.samples] == [("PENDING", "TRIAL")] * 3
    keys = DeviceService.objects.filter(state="PENDING").order_by("pk").values_list("device__key", flat=True)
    assert [each.key for each in preview.samples] == list(keys)


def test_a_preview_needs_as_many_queries_for_many_devices_as_for_few(fleet: Product) -> None:
    """A5: counted in the database; the rule is asked in chunks of 5,000."""

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            draft = RuleDraft.of(current_rule(fleet.pk), paid_mode=True, trial_end_seconds=9 * HOUR)
            rule_preview(product=fleet, draft=draft, now=NOW)
        return len(captured)

    few = cost()
    for _number in range(40):
        make_device(fleet)
    assert cost() <= few <= 12


# --- the page ---------------------------------------------------------------------------------------------------------


def address(ours: Maker) -> str:
    return f"/admin/catalog/product/{ours.product.pk}/device-service/"


def saved(client: Client, ours: Maker, form: dict[str, Any]) -> Any:
    """Preview, then save what was previewed."""
    seen = client.post(address(ours), form).context["fingerprint"]
    return client.post(address(ours), {**form, "confirm": "1", "previewed": seen})


def test_the_preview_lists_each_changed_field_and_the_devices_A5(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    text = text_of(ours.client().post(address(ours), rule_form(ours, renewal_before_trial_end="on")))
    for words in (
        "What saving does",
        "No device changes its state at once",
        "3 days 12 h",
        "7 days",
        "Keep commands for",
    ):
        assert words in text.replace("\N{NO-BREAK SPACE}", " "), words
    assert "2 devices may be renewed before their trial ends." in text


def test_the_heartbeat_is_edited_with_the_rest_of_the_rule_G1(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    saved(client, ours, rule_form(ours, heartbeat_seconds_minutes="1", heartbeat_seconds_seconds="30"))
    with system_scope():
        assert current_rule(ours.product.pk).heartbeat_seconds == 90
    assert 'name="heartbeat_seconds_seconds" id="id_heartbeat_seconds_seconds" value="30"' in text_of(
        client.get(address(ours))
    )
    saved(client, ours, rule_form(ours))
    with system_scope():
        assert current_rule(ours.product.pk).heartbeat_seconds is None
    answer = client.post(address(ours), rule_form(ours, heartbeat_seconds_minutes="999999"))
    assert list(answer.context["form"].errors) == ["heartbeat_seconds"]


def test_switching_off_asks_whether_to_unlock_and_yes_is_the_default_A25(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    with system_scope():
        DeviceService.objects.filter(device=ours.devices[0]).update(desired_lock=Lock.LOCKED.value)
    form = {name: value for name, value in rule_form(ours).items() if name != "paid_mode"}
    answer = ours.client().post(address(ours), form)
    text = text_of(answer)
    assert "1 locked device is unlocked." in text
    assert "states, notices and commands are frozen" in text
    assert '<input type="checkbox" name="keep_locked" >' in text
    kept = ours.client().post(address(ours), {**form, "keep_locked": "on"})
    assert kept.context["preview"].unlocks_ordered == 0
    seen = answer.context["fingerprint"]
    other = ours.client().post(address(ours), {**form, "keep_locked": "on", "confirm": "1", "previewed": seen})
    assert other.status_code == 200, "another answer to the question is another preview"
    ours.client().post(address(ours), {**form, "confirm": "1", "previewed": seen})
    with system_scope():
        assert Command.objects.get(device=ours.devices[0]).kind == "UNLOCK"
        assert not current_rule(ours.product.pk).paid_mode


def test_switching_on_again_shows_who_expires_A25(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    off = {name: value for name, value in rule_form(ours).items() if name != "paid_mode"}
    saved(client, ours, off)
    with system_scope():
        DeviceService.objects.filter(device=ours.devices[1]).update(
            state="ACTIVE", ends_at=clock.now() - timedelta(days=1), anchor=NOW, anchor_months=1
        )
    answer = client.post(address(ours), rule_form(ours))
    assert answer.context["preview"].moves == {("ACTIVE", "EXPIRED"): 1}
    assert answer.context["preview"].locks_ordered == 2
    assert ours.devices[1].key in text_of(answer)
    assert f"?product={ours.product.pk}&amp;state=ACTIVE" in answer.content.decode()


def test_the_second_of_two_editors_keeps_the_entries_and_sees_what_differs_F99(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    stale = rule_form(ours, cache_seconds_days="5")
    stale["previewed"] = client.post(address(ours), stale).context["fingerprint"]
    saved(client, ours, rule_form(ours, trial_start_seconds_hours="2"))
    answer = client.post(address(ours), {**stale, "confirm": "1"})
    text = text_of(answer)
    who = ours.person(next(iter(ours.people))).email
    assert f"{who} changed this rule meanwhile: version {version(ours)} is in force. Your entries are kept" in text
    assert 'name="cache_seconds_days" id="id_cache_seconds_days" value="5"' in text
    assert set(answer.context["preview"].changed) == {"trial_start_seconds", "cache_seconds"}
    assert f'name="based_on" value="{version(ours)}"' in text
    again = {**stale, "based_on": version(ours), "confirm": "1", "previewed": answer.context["fingerprint"]}
    assert client.post(address(ours), again).status_code == 302
    with system_scope():
        assert current_rule(ours.product.pk).cache_seconds == 5 * 86_400 + 12 * 3_600


def test_a_rule_page_needs_a_fixed_number_of_queries_G1(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client, form = ours.client(), rule_form(ours)

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.post(address(ours), form).status_code == 200
        return len(captured)

    few = cost()
    with system_scope():
        for _number in range(30):
            make_device(ours.product, now=clock.now())
    assert cost() <= few <= 36
