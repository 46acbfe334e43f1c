"""Work that gave up is counted in one place, shown, and tried again by one click (F15)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from alerts.models import DigestMail, WebhookDelivery
from amp import health
from amp.dead import KINDS, dead_numbers, dead_work, retry_dead
from amp.foundation.models import Enterprise, Event, Role
from amp.foundation.scoping import system_scope
from billing.models import BillFetch, Order, Refund
from billing.services.accounts import account_that_sells
from billing.services.settlement import settle
from devices.models import DeviceService, Disconnect, Import, StuckService
from devices.services.credentials import revoke_credential
from devices.services.disconnects import REFUSALS, end_connections
from devices.transports.base import BrokerRefused
from tests.factories import NOW, make_device, make_enterprise, make_member, make_product
from tests.made_once import within_one_transaction
from tests.services.receivers import happen, hook, spread
from tests.services.refunding import paid_order, refund_of
from tests.services.shop import MINUTE, Shop, open_shop, paid
from tests.services.test_credentials import Broker

pytestmark = pytest.mark.django_db
PAGE, RETRY = "/admin/operations/", "/admin/operations/retry/"
EACH = dict.fromkeys(KINDS, 1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def below(name: str) -> Enterprise:
    """An enterprise within what the platform's administrator sees."""
    return make_enterprise(name, parent=Enterprise.objects.filter(parent=None).order_by("id").first())


def stuck_order(shop: Shop) -> int:
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=NOW + MINUTE)
    Order.objects.filter(pk=attempt.order_id).update(due_at=None, attempts_made=5)
    return attempt.order_id


def dead_service() -> int:
    pk = make_device(make_product(below("Boilers"))).device.pk
    StuckService.objects.create(pk=pk, attempts=5, attempted_at=NOW, problem="ZeroDivisionError: 1", dead_at=NOW)
    DeviceService.objects.filter(pk=pk).update(due_at=None)
    return pk


def failed_import(enterprise: Enterprise) -> int:
    fields = {"file_digest": "0" * 64, "rows_new": 3, "created_by": "ann", "problem": "OSError"}
    return Import.objects.create(
        enterprise=enterprise, kind="DEVICES", file_name="a.csv", state="FAILED", created_at=NOW, **fields
    ).pk


def dead_disconnect() -> int:
    device = make_device(make_product(below("Pumps"))).device
    revoke_credential(device=device, actor="ann", now=NOW)
    for number in range(REFUSALS):
        end_connections(now=NOW + number * 30 * MINUTE, broker=Broker(BrokerRefused("EMQX answered 401")))
    return Disconnect.objects.get(device=device).pk


def dead_delivery(enterprise: Enterprise) -> int:
    hook(enterprise, "https://93.184.216.34/")
    happen(enterprise)
    spread()
    WebhookDelivery.objects.filter(status="PENDING").update(status="DEAD", next_attempt_at=None, ended_at=NOW)
    return WebhookDelivery.objects.get().pk


def failed_mail(enterprise: Enterprise) -> int:
    reader = make_member(enterprise, Role.READ_ONLY)
    fields = {"counts": [], "attempts": 5, "created_at": NOW, "problem": "SMTPServerDisconnected"}
    return DigestMail.objects.create(enterprise=enterprise, user=reader, status="FAILED", **fields).pk


def stuck_refund(shop: Shop) -> int:
    """Its money is back, its device was given up."""
    refund = refund_of(paid_order(shop))
    Refund.objects.filter(pk=refund.pk).update(status="SUCCEEDED", due_at=None, attempts_made=5)
    return refund.pk


def failed_bill(shop: Shop) -> int:
    account = account_that_sells(shop.merchant, now=NOW)
    return BillFetch.objects.create(
        enterprise=shop.enterprise, account=account, day=NOW.date(), status="FAILED", problem="silent"
    ).pk


@pytest.fixture(scope="module")
def made_dead(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, int]]:
    """One row of each kind, for this file."""
    with within_one_transaction(django_db_blocker), system_scope():
        shop = open_shop()
        refund = stuck_refund(shop)
        yield {
            "services": dead_service(),
            "orders": stuck_order(shop),
            "refunds": refund,
            "bills": failed_bill(shop),
            "imports": failed_import(Enterprise.objects.earliest("id")),
            "mails": failed_mail(Enterprise.objects.earliest("id")),
            "disconnects": dead_disconnect(),
            "webhooks": dead_delivery(Enterprise.objects.earliest("id")),
        }


@pytest.fixture
def dead(made_dead: dict[str, int], db: None) -> dict[str, int]:
    """Their ids."""
    return made_dead


@pytest.fixture
def administrator() -> Client:
    client = Client()
    root = Enterprise.objects.filter(parent=None).earliest("id")
    client.force_login(make_member(root, Role.PLATFORM_ADMINISTRATOR))
    return client


def test_readiness_counts_what_gave_up_by_kind_X10(dead: dict[str, int]) -> None:
    told = health._figures(NOW)
    assert {kind: told[f"dead_{kind}"] for kind in dead} == dict.fromkeys(dead, 1)
    assert dead_numbers() == EACH


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_tried_again_by_one_click_and_on_the_record_F15(
    kind: str, dead: dict[str, int], administrator: Client
) -> None:
    page = administrator.get(PAGE).content.decode()
    assert str(KINDS[kind].word) in page
    assert f'name="pk" value="{dead[kind]}"' in page
    before = Event.objects.count()
    told = administrator.post(RETRY, {"kind": kind, "pk": dead[kind]}, follow=True).content.decode()
    assert "1 row is tried again" in told
    assert dead_numbers() == EACH | {kind: 0}
    [event] = Event.objects.order_by("id")[before:]
    assert "@" in event.actor
    assert str(KINDS[kind].word) not in administrator.get(PAGE).content.decode()
    assert (
        "Nothing is left" in administrator.post(RETRY, {"kind": kind, "pk": dead[kind]}, follow=True).content.decode()
    )


def test_all_of_a_kind_are_tried_again_together(dead: dict[str, int], administrator: Client) -> None:
    StuckService.objects.create(
        pk=make_device(make_product(below("Fans"))).device.pk, attempts=5, attempted_at=NOW, dead_at=NOW
    )
    assert "Try all again" in administrator.get(PAGE).content.decode()
    assert "2 rows are tried again" in administrator.post(RETRY, {"kind": "services"}, follow=True).content.decode()
    assert dead_numbers()["services"] == 0
    assert dead_numbers()["orders"] == 1


@pytest.mark.parametrize(
    "form", [{}, {"kind": "secrets"}, {"kind": "orders", "pk": "x"}, {"kind": "orders", "pk": "²"}]
)
def test_anything_else_retries_nothing(dead: dict[str, int], administrator: Client, form: Any) -> None:
    assert "Nothing is left" in administrator.post(RETRY, form, follow=True).content.decode()
    assert dead_numbers() == EACH
    assert administrator.get(RETRY).status_code == 405


def test_retrying_is_for_the_platform_alone(dead: dict[str, int]) -> None:
    client = Client()
    shop = Enterprise.objects.latest("id")
    client.force_login(make_member(shop, Role.ENTERPRISE_ADMINISTRATOR))
    assert client.post(RETRY, {"kind": "orders"}).status_code == 403
    assert dead_numbers() == EACH


def test_what_waits_or_was_ordered_anew_is_not_dead(dead: dict[str, int]) -> None:
    """The controls: the same rows while they are still tried, beside one of each kind that is dead."""
    before = dead_work()
    pk = dead_service()
    StuckService.objects.filter(pk=pk).update(dead_at=None, attempts=4)
    row = dead_disconnect()
    device = Disconnect.objects.get(pk=row).device
    assert dead_numbers() == EACH | {"disconnects": 2}
    assert retry_dead("disconnects", pk=row, actor="ann@example.com", now=NOW, wall=NOW) == 1
    assert Disconnect.objects.filter(device=device).count() == 2
    assert (dead_numbers(), dead_work()) == (EACH, before)
    assert DeviceService.objects.get(pk=pk).due_at is None
