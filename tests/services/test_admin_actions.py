"""What people do in the admin, page by page: each POST is one service call, and bad input loses nothing."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from amp.foundation import clock
from amp.foundation.models import Merchant, MerchantStatus, Role
from amp.foundation.scoping import system_scope
from billing.models import Order
from catalog.models import Plan, PlanStatus, ThingModel
from catalog.services.rules import current_rule
from devices.models import Device, DeviceService
from devices.services.tokens import device_for_token
from tests.factories import make_member, make_plan
from tests.services.admin_world import Maker, expire, made_makers, makers

__all__ = ["made_makers", "makers"]


def text_of(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def rule_form(ours: Maker, **changes: Any) -> dict[str, Any]:
    with system_scope():
        rule = current_rule(ours.product.pk)
    form = {
        "based_on": rule.version,
        "paid_mode": "on",
        "trial_start_seconds_hours": "1",
        "trial_start_seconds_minutes": "0",
        "trial_end_seconds_hours": "2",
        "trial_end_seconds_minutes": "30",
        "lock_action_code": ["service_lock"],
        "lock_action_value": ["true"],
        "unlock_action_code": ["service_lock"],
        "unlock_action_value": ["false"],
        "cache_seconds_days": "3",
        "cache_seconds_hours": "12",
    }
    return {**form, **changes}


def test_a_rule_is_previewed_and_only_then_saved_A4_A5(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client, address = ours.client(), f"/admin/catalog/product/{ours.product.pk}/device-service/"
    preview = client.post(address, rule_form(ours))
    assert "What saving does" in text_of(preview)
    assert version(ours) == rule_form(ours)["based_on"]
    seen = preview.context["fingerprint"]
    edited = client.post(address, rule_form(ours, confirm="1", previewed=seen, cache_seconds_days="9"))
    assert "What saving does" in text_of(edited), "what was edited after the preview is previewed anew"
    assert client.post(address, rule_form(ours, confirm="1", previewed=seen)).status_code == 302
    with system_scope():
        rule = current_rule(ours.product.pk)
    assert (rule.trial_end_seconds, rule.cache_seconds) == (2 * 3600 + 30 * 60, 3 * 86_400 + 12 * 3600)


def test_a_bad_rule_is_refused_beside_its_field_and_keeps_what_was_typed_A3(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    address = f"/admin/catalog/product/{ours.product.pk}/device-service/"
    before = version(ours)
    answer = ours.client().post(address, rule_form(ours, trial_end_seconds_hours="0", trial_end_seconds_minutes="30"))
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["trial_end_seconds"]
    assert 'name="cache_seconds_days" id="id_cache_seconds_days" value="3"' in text_of(answer)
    broken = ours.client().post(address, rule_form(ours, trial_end_seconds_hours="ten"))
    assert list(broken.context["form"].errors) == ["trial_end_seconds"]
    assert version(ours) == before


def test_a_rule_that_somebody_else_changed_meanwhile_is_not_overwritten(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client, address = ours.client(), f"/admin/catalog/product/{ours.product.pk}/device-service/"
    stale = rule_form(ours, cache_seconds_days="5")
    stale["previewed"] = client.post(address, stale).context["fingerprint"]
    first = rule_form(ours)
    client.post(address, {**first, "confirm": "1", "previewed": client.post(address, first).context["fingerprint"]})
    answer = client.post(address, {**stale, "confirm": "1"})
    assert "changed this rule meanwhile: version" in text_of(answer)


def test_a_device_is_registered_and_its_secrets_are_shown_once_X4(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client(Role.OPERATOR)
    form = {"product": ours.product.pk, "enterprise": ours.enterprise.pk, "key": "NEW-1", "serial": "S1"}
    answer = client.post("/admin/devices/device/add/", form)
    assert "no-store" in answer.headers["Cache-Control"]
    token = re.search(r"/r/([\w-]{43})", text_of(answer))
    assert token is not None
    found = device_for_token(token[1])
    assert found is not None
    assert found.key == "NEW-1"
    page = text_of(client.get(f"/admin/devices/device/{found.pk}/change/?tab=access"))
    assert token[1] not in page
    again = client.post("/admin/devices/device/add/", form)
    assert "already has a device with the key NEW-1" in text_of(again)


@pytest.mark.parametrize("typed", ["", "someone-else"])
def test_a_device_is_terminated_only_by_typing_its_key(makers: tuple[Maker, Maker], typed: str) -> None:
    ours, _ = makers
    device = ours.devices[1]
    client, address = ours.client(), f"/admin/devices/device/{device.pk}/terminate/"
    client.post(address, {"key": typed})
    assert state(device) == "PENDING"
    client.post(address, {"key": device.key})
    assert state(device) == "TERMINATED"


def test_a_renewal_is_ordered_once_however_often_the_button_is_pressed_F33(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    with system_scope():
        expire(ours.devices[1])
    page = client.get(f"/admin/billing/order/renew/?device={ours.devices[1].pk}")
    form = {"device": ours.devices[1].pk, "plan": ours.plan.pk, "once_key": page.context["once_key"]}
    first, second = (client.post("/admin/billing/order/renew/", form) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    order = client.get(first.headers["Location"])
    assert order.context["screen"].qr
    assert "at payment + 12" in text_of(order).replace("\xa0", " ")


def test_a_device_in_its_trial_is_refused_with_the_reason_A12(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    form = {"device": ours.devices[2].pk, "plan": ours.plan.pk, "once_key": "k"}
    answer = ours.client().post("/admin/billing/order/renew/", form)
    assert answer.status_code == 200
    assert "Renewal opens when it ends." in text_of(answer)


def test_a_free_renewal_is_confirmed_by_finance_and_not_by_an_operator_Q5(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    with system_scope():
        free = make_plan(ours.product, amount=0, name="Free", now=clock.now())
    form = {"device": ours.devices[0].pk, "plan": free.pk, "once_key": "free"}
    operator, finance = ours.client(Role.OPERATOR), ours.client(Role.FINANCE)
    address = operator.post("/admin/billing/order/renew/", form).headers["Location"]
    confirm = address.replace("change", "confirm")
    assert "Confirm the renewal" not in text_of(operator.get(address))
    assert operator.post(confirm).status_code == 403
    assert "Confirm the renewal" in text_of(finance.get(address))
    assert finance.post(confirm).status_code == 302
    with system_scope():
        assert Order.objects.get(plan=free).status == "PAID"


def test_the_waiting_page_learns_of_every_step_Q6(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client, address = ours.client(), f"/admin/billing/order/{ours.order.pk}/status/"
    before = client.get(address).json()
    assert before["moving"] is True
    client.post(f"/admin/billing/order/{ours.order.pk}/cancel/")
    after = client.get(address).json()
    assert (after["status"], after["moving"]) == ("CANCELLED", False)
    assert after["version"] != before["version"]


def test_a_plan_goes_from_draft_to_sale_and_away_E3(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    form = {
        "enterprise": ours.enterprise.pk,
        "plan_type": "MANUFACTURER",
        "level": ours.plan.level_id,
        "name": "Two years",
        "merchant": ours.merchant.pk,
        "price": "349,5",
        "currency": "cny",
        "months": "24",
    }
    refused = client.post("/admin/catalog/plan/add/", form)
    assert list(refused.context["form"].errors) == ["price"]
    address = client.post("/admin/catalog/plan/add/", {**form, "price": "349.5"}).headers["Location"]
    client.post(address.replace("change", "publish"))
    with system_scope():
        plan = Plan.objects.get(name="Two years")
        assert (plan.amount, plan.currency, plan.status) == (34_950, "CNY", PlanStatus.PUBLISHED.value)
    client.post(address.replace("change", "withdraw"))
    with system_scope():
        plan.refresh_from_db()
        assert plan.status == PlanStatus.WITHDRAWN.value


def test_a_changed_merchant_waits_for_a_second_administrator_E2(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    base = f"/admin/foundation/enterprise/{ours.enterprise.pk}/"
    first = ours.client()
    proposed = {"name": "New Ltd", "merchant_id": "NEW0001"}
    assert "Money of 1 product would go to New Ltd" in text_of(first.post(f"{base}merchant/", proposed))
    with system_scope():
        assert not Merchant.objects.filter(merchant_id="NEW0001").exists(), "the consequences come before the button"
    first.post(f"{base}merchant/", {**proposed, "confirm": "1"})
    with system_scope():
        draft = Merchant.objects.get(enterprise=ours.enterprise, status=MerchantStatus.DRAFT.value)
        second = make_member(ours.enterprise)
    shown = {"merchant": draft.pk, "name": "New Ltd", "merchant_id": "NEW0001"}
    assert "Look at it and verify" not in text_of(first.get(f"{base}change/"))
    assert "You proposed it, so you can't verify it too." in text_of(first.get(f"{base}change/"))
    first.post(f"{base}merchant/verify/", {**shown, "confirm": "1"})
    assert merchant_status(draft) == MerchantStatus.DRAFT.value
    client = ours.client()
    client.force_login(second)
    assert "Look at it and verify" in text_of(client.get(f"{base}change/"))
    assert "1 plan on sale names the merchant before" in text_of(client.post(f"{base}merchant/verify/", shown))
    assert merchant_status(draft) == MerchantStatus.DRAFT.value
    client.post(f"{base}merchant/verify/", {**shown, "confirm": "1"})
    assert merchant_status(draft) == MerchantStatus.VERIFIED.value


def test_a_broken_tsl_is_listed_problem_by_problem_and_stays_in_the_form_F69(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    address = f"/admin/catalog/product/{ours.product.pk}/tsl/"
    answer = ours.client().post(address, {"text": '{"properties": [{"id": "x", "code": "1"}]}'})
    assert answer.status_code == 422
    assert "properties[0].id" in text_of(answer)
    assert '{"properties": [{"id": "x"' in text_of(answer)
    with system_scope():
        assert ThingModel.objects.filter(product=ours.product).count() == 1


def version(ours: Maker) -> int:
    with system_scope():
        return int(current_rule(ours.product.pk).version)


def state(device: Device) -> str:
    with system_scope():
        return str(DeviceService.objects.get(device=device).state)


def merchant_status(merchant: Merchant) -> str:
    with system_scope():
        return str(Merchant.objects.get(pk=merchant.pk).status)


def registered(key: str) -> bool:
    with system_scope():
        return bool(Device.objects.filter(key=key).exists())
