"""Alerts > Webhooks: for those who manage them alone, secrets shown once, tests answered at once (F88, X2)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache

from alerts.models import Webhook, WebhookDelivery
from amp.dead import dead_work, retry_dead
from amp.foundation import clock
from amp.foundation.models import Event, Role
from amp.foundation.scoping import system_scope
from tests.services.admin_world import Maker, made_makers, makers
from tests.services.receivers import Receiver, answers, free_port, happen, hook, receiver, send, spread

__all__ = ["made_makers", "makers"]
pytestmark = pytest.mark.django_db
LIST, DELIVERIES = "/admin/alerts/webhook/", "/admin/alerts/webhookdelivery/"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")


@pytest.fixture(autouse=True)
def plain_sign_in(settings: Any) -> None:
    settings.REQUIRE_TOTP = False
    cache.clear()


@pytest.fixture
def ours(makers: tuple[Maker, Maker]) -> Maker:
    return makers[0]


def filled(maker: Maker, **changes: Any) -> dict[str, Any]:
    """The form."""
    url = "https://93.184.216.34/amp"
    return {"name": "ERP", "enterprise": maker.enterprise.pk, "url": url, "includes_descendants": "on", **changes}


def page(maker: Maker, path: str) -> str:
    answer = maker.client().get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def endpoint(maker: Maker, url: str, **terms: Any) -> Webhook:
    with system_scope():
        return hook(maker.enterprise, url, now=clock.now(), **terms)


def test_a_webhook_is_added_and_its_secret_shown_once(ours: Maker) -> None:
    client = ours.client()
    shown = client.post(f"{LIST}add/", filled(ours, types=["order.paid"]))
    (secret,) = set(SECRET.findall(shown.content.decode()))
    assert "no-store" in shown["Cache-Control"]
    with system_scope():
        webhook = Webhook.objects.get()
    assert (webhook.types, webhook.created_by) == (["order.paid"], ours.person(Role.ENTERPRISE_ADMINISTRATOR).email)
    for path in (LIST, f"{LIST}{webhook.pk}/change/", f"{LIST}{webhook.pk}/edit/"):
        told = client.get(path).content.decode()
        assert "ERP" in told
        assert secret not in told
    rotated = client.post(f"{LIST}{webhook.pk}/rotate/", {"overlap": "24"})
    assert set(SECRET.findall(rotated.content.decode())) not in ({secret}, set())
    assert "The old secret signs until" in page(ours, f"{LIST}{webhook.pk}/change/")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("url", "http://erp.example/", "Use https"),
        ("url", "https://10.0.0.1/", "not on the public internet"),
        ("url", "https://93.184.216.34:25/", "Use port 443 or 8443"),
        ("url", "https://ann:x@93.184.216.34/", "Leave out user name"),
        ("url", "", "required"),
        ("name", "", "required"),
        ("types", ["order.created"], "not one of the available"),
    ],
)
def test_f87_a_form_that_is_wrong_says_what_to_do_and_makes_nothing(
    ours: Maker, field: str, value: Any, sentence: str
) -> None:
    shown = ours.client().post(f"{LIST}add/", filled(ours, **{field: value})).content.decode()
    assert "amp-error" in shown
    assert sentence in shown
    with system_scope():
        assert not Webhook.objects.exists()


def test_another_enterprise_can_t_be_chosen(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    assert "amp-error" in ours.client().post(f"{LIST}add/", filled(other)).content.decode()
    with system_scope():
        assert not Webhook.objects.exists()


def test_it_is_edited_switched_and_removed_by_buttons_and_each_is_on_record(ours: Maker) -> None:
    webhook = endpoint(ours, "https://93.184.216.34/")
    client, path = ours.client(), f"{LIST}{webhook.pk}/"
    for verb in ("rotate", "switch", "test", "again", "remove"):
        assert client.get(f"{path}{verb}/").status_code == 405
    client.post(f"{path}edit/", {"name": "Shop", "url": f"{webhook.url}hook?token=private"})
    client.post(f"{path}switch/", {"to": "DISABLED"})
    assert "No event is sent." in page(ours, f"{path}change/")
    assert "Enable it first" in client.post(f"{path}again/", follow=True).content.decode()
    client.post(f"{path}switch/", {"to": "ENABLED"})
    client.post(f"{path}remove/")
    assert client.get(f"{path}change/").status_code == 404
    assert "Shop" not in page(ours, LIST)
    with system_scope():
        told = str(list(Event.objects.filter(subject=f"webhook:{webhook.pk}").values_list("before", "after")))
        assert "93.184.216.34" in told
        assert "private" not in told  # the audit is read by people who don't manage webhooks
        kinds = Event.objects.filter(subject=f"webhook:{webhook.pk}").order_by("pk").values_list("kind", flat=True)
        assert list(kinds) == [
            *("webhook.added", "webhook.edited", "webhook.disabled", "webhook.enabled", "webhook.removed")
        ]


@pytest.fixture
def erp() -> Any:
    with receiver(answers(200, b"thank you")) as running:
        yield running


def test_the_test_button_sends_at_once_and_shows_the_answer(ours: Maker, erp: Receiver) -> None:
    webhook = endpoint(ours, erp.url)
    shown = ours.client().post(f"{LIST}{webhook.pk}/test/", follow=True).content.decode()
    assert "The receiver answered 200." in shown
    assert "thank you" in shown
    assert erp.got[0].told["type"] == "webhook.test"
    erp.behave = answers(500, b"<script>alert(1)</script>")
    shown = ours.client().post(f"{LIST}{webhook.pk}/test/", follow=True).content.decode()
    assert "The test failed." in shown
    assert "<script>alert(1)" not in shown
    down = endpoint(ours, f"http://127.0.0.1:{free_port()}/")
    shown = ours.client().post(f"{LIST}{down.pk}/test/", follow=True).content.decode()
    assert "Connection refused" in shown


def test_deliveries_are_filtered_looked_at_and_sent_again(ours: Maker, erp: Receiver) -> None:
    webhook = endpoint(ours, erp.url)
    erp.behave = answers(404)
    with system_scope():
        happen(ours.enterprise, 2, now=clock.now())
        happen(ours.enterprise, kind="order.expired", now=clock.now())
        spread(clock.now())
        send(clock.now())
        waits, dead, *_rest = WebhookDelivery.objects.filter(webhook=webhook, type="order.paid").order_by("pk")
        ended = {"status": "DEAD", "next_attempt_at": None, "ended_at": clock.now()}
        WebhookDelivery.objects.filter(pk=dead.pk).update(**ended)
    assert page(ours, f"{DELIVERIES}?type=order.expired").count("order.expired</span>") == 1
    assert page(ours, f"{DELIVERIES}?status=DEAD&webhook={webhook.pk}").count('amp-when">order.paid') == 1
    assert "Next attempt" in page(ours, f"{DELIVERIES}{waits.pk}/change/")
    shown = page(ours, f"{DELIVERIES}{dead.pk}/change/")
    assert "It was given up." in shown
    assert "404" in shown
    assert "&quot;type&quot;: &quot;order.paid&quot;" in shown
    erp.behave = answers(200)
    assert "Send again the one that failed" in page(ours, f"{LIST}{webhook.pk}/change/")
    assert "1 delivery is sent again." in (
        ours.client().post(f"{LIST}{webhook.pk}/again/", follow=True).content.decode()
    )
    with system_scope():
        send(clock.now())
    sent = ours.client().post(f"{DELIVERIES}{dead.pk}/again/", follow=True).content.decode()
    assert "It is sent again now." in sent
    exported = ours.client().post(f"{DELIVERIES}export/", {"format": "csv"})
    assert b"order.expired" in b"".join(exported.streaming_content)


def test_f15_what_was_given_up_is_among_the_dead_rows_and_tried_again_there(ours: Maker, erp: Receiver) -> None:
    webhook = endpoint(ours, erp.url)
    now = clock.now()
    with system_scope():
        happen(ours.enterprise, now=now)
        spread(now)
        WebhookDelivery.objects.filter(webhook=webhook).update(status="DEAD", next_attempt_at=None, ended_at=now)
        (work,) = [each for each in dead_work() if each.kind == "webhooks"]
        assert (work.number, work.rows[0].name) == (1, "order.paid → ERP")
        assert retry_dead("webhooks", pk=work.rows[0].pk, actor="ann", now=now, wall=now) == 1
        send(now)
    assert len(erp.got) == 1


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.FINANCE, Role.READ_ONLY, Role.ACCOUNT_MANAGER])
def test_x2_other_roles_do_not_learn_where_events_go(ours: Maker, role: Role) -> None:
    webhook = endpoint(ours, "https://93.184.216.34/")
    with system_scope():
        happen(ours.enterprise, now=clock.now() + timedelta(minutes=1))
        spread(clock.now())
        delivery = WebhookDelivery.objects.filter(webhook=webhook).latest("pk")
    client = ours.client(role)
    assert LIST not in client.get("/admin/").content.decode()
    looked = (LIST, f"{LIST}add/", f"{LIST}{webhook.pk}/change/", f"{LIST}{webhook.pk}/edit/", DELIVERIES)
    for path in (*looked, f"{DELIVERIES}{delivery.pk}/change/"):
        assert client.get(path).status_code == 403, path
    changed = [f"{LIST}{webhook.pk}/{verb}/" for verb in ("edit", "rotate", "switch", "test", "again", "remove")]
    for path in (*changed, f"{DELIVERIES}{delivery.pk}/again/", f"{LIST}add/"):
        assert client.post(path, {"to": "DISABLED", "overlap": "0"}).status_code == 403, path
    with system_scope():
        assert Webhook.objects.get(pk=webhook.pk).state == "ENABLED"


def test_pages_cost_the_same_for_many_rows(ours: Maker, django_assert_max_num_queries: Any) -> None:
    webhook = endpoint(ours, "https://93.184.216.34/")
    client = ours.client()
    for number in (1, 30):
        with system_scope():
            happen(ours.enterprise, number, now=clock.now())
            spread(clock.now())
        for path in (LIST, DELIVERIES, f"{LIST}{webhook.pk}/change/"):
            with django_assert_max_num_queries(22):
                assert client.get(path).status_code == 200
