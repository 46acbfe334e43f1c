"""Credentials of devices: shown once, issued anew, taken away; and the connections behind them (X4, F68)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from amp.foundation.models import Event, Role
from amp.foundation.scoping import system_scope
from devices.models import Device, Disconnect, DisconnectStatus
from devices.services import disconnects
from devices.services.broker_files import rendered_files
from devices.services.credentials import DeviceTerminated, revoke_credential, rotate_credential
from devices.services.disconnects import REFUSALS, ask_again, end_connections, order_disconnect, shared_control
from devices.services.registration import terminate_device
from devices.transports.base import BrokerRefused, BrokerUnavailable, Ended
from devices.transports.emqx import EmqxConnections
from devices.transports.mosquitto import MosquittoConnections, password_matches
from tests.factories import make_device, make_enterprise, make_member, make_product

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


class Broker:
    """A ConnectionControl that answers what it is told to, and remembers whom it was asked about."""

    def __init__(self, *answers: Ended | BaseException) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def disconnect(self, client_id: str, *, timeout: float = 3.0) -> Ended:
        self.asked.append(client_id)
        answer = self.answers.pop(0) if self.answers else Ended.ENDED
        if isinstance(answer, BaseException):
            raise answer
        return answer


def kinds(device: Device) -> list[str]:
    return list(Event.objects.filter(subject=f"device:{device.pk}").order_by("id").values_list("kind", flat=True))


def exported() -> str:
    return rendered_files(platform_user="amp", platform_password="secret").passwords


def test_a_revoked_device_has_no_credential_until_a_new_one_is_issued_X4():
    made = make_device()
    name = f"{made.device.product.key}/{made.device.key}"
    assert name in exported()
    revoke_credential(device=made.device, actor="ann", now=LATER)
    device = Device.objects.get(pk=made.device.pk)
    assert (device.credential_hash, device.credential_revoked_at) == ("", LATER)
    assert name not in exported()
    password = rotate_credential(device=device, actor="ann", now=LATER)
    device.refresh_from_db()
    assert device.credential_revoked_at is None
    assert password_matches(password, device.credential_hash)
    assert not password_matches(made.password, device.credential_hash)
    assert name in exported()
    assert kinds(device) == ["device.registered", "device.credential_revoked", "device.credential_rotated"]


def test_revoking_twice_records_once_and_a_terminated_device_is_refused():
    made = make_device()
    revoke_credential(device=made.device, actor="ann", now=NOW)
    revoke_credential(device=made.device, actor="bob", now=LATER)
    assert kinds(made.device).count("device.credential_revoked") == 1
    terminate_device(device=made.device, actor="ann", now=LATER)
    for change in (rotate_credential, revoke_credential):
        with pytest.raises(DeviceTerminated):
            change(device=made.device, actor="ann", now=LATER)


@pytest.mark.parametrize("change", [rotate_credential, revoke_credential, terminate_device])
def test_whoever_is_connected_with_the_old_credential_is_thrown_out_X4(change):
    made = make_device()
    change(device=made.device, actor="ann", now=NOW)
    broker = Broker()
    assert end_connections(now=NOW, broker=broker) == 1
    assert broker.asked == [f"{made.device.product.key}/{made.device.key}"]
    row = Disconnect.objects.get()
    assert (row.status, row.due_at, row.closed_at) == (DisconnectStatus.DONE.value, None, NOW)
    assert end_connections(now=LATER, broker=broker) == 0


def test_a_refused_change_asks_for_nothing():
    """One transaction: what isn't committed leaves no row behind."""
    made = make_device()
    with transaction.atomic():
        revoke_credential(device=made.device, actor="ann", now=NOW)
        transaction.set_rollback(True)
    assert not Disconnect.objects.exists()
    assert Device.objects.get(pk=made.device.pk).credential_revoked_at is None


def test_a_dead_broker_loses_nothing_and_holds_nobody_up():
    """It is asked once a slice; every row waits, longer each time, and never for good."""
    product = make_product()
    devices = [make_device(product).device for _ in range(3)]
    for device in devices:
        revoke_credential(device=device, actor="ann", now=NOW)
    dead = BrokerUnavailable("EMQX did not answer")
    moment = NOW
    for _ in range(8):
        broker = Broker(dead)
        end_connections(now=moment, broker=broker)
        assert len(broker.asked) == 1
        assert end_connections(now=moment, broker=Broker()) == 0
        waiting = Disconnect.objects.filter(status=DisconnectStatus.PENDING.value, problem="EMQX did not answer")
        assert waiting.count() == 3
        assert all(timedelta(0) < row.due_at - moment <= timedelta(minutes=10) for row in waiting)
        moment = max(row.due_at for row in waiting)
    assert end_connections(now=moment, broker=Broker()) == 3
    assert set(Disconnect.objects.values_list("status", "problem")) == {("DONE", "")}


def test_a_broker_that_says_no_is_asked_five_times_then_a_person_asks_again():
    made = make_device()
    revoke_credential(device=made.device, actor="ann", now=NOW)
    moment = NOW
    for _ in range(REFUSALS):
        end_connections(now=moment, broker=Broker(BrokerRefused("EMQX answered 401")))
        moment += timedelta(minutes=30)
    row = Disconnect.objects.get()
    assert (row.status, row.problem, row.attempts) == ("DEAD", "EMQX answered 401", REFUSALS)
    assert end_connections(now=moment, broker=Broker()) == 0
    ask_again(device=made.device, actor="ann", now=moment)
    assert end_connections(now=moment, broker=Broker(Ended.NOT_CONNECTED)) == 1
    assert Disconnect.objects.latest("id").status == "DONE"
    assert kinds(made.device)[-1] == "device.disconnect_ordered"


class BusyBroker(Broker):
    """Something happens while it is asked."""

    def __init__(self, meanwhile, *answers):
        super().__init__(*answers)
        self.meanwhile = meanwhile

    def disconnect(self, client_id: str, *, timeout: float = 3.0) -> Ended:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return super().disconnect(client_id, timeout=timeout)


@pytest.mark.parametrize("answer", [Ended.ENDED, BrokerUnavailable("late"), BrokerRefused("late")])
@pytest.mark.parametrize("has_token", [True, False])
def test_an_answer_to_a_claim_that_ended_changes_nothing_X4(has_token, answer, monkeypatch):
    """While one worker asks, the password is voided anew and another worker takes the row up: the connection that came
    in between is ended, whatever the first one hears. Without the claim's token its answer counts: the control."""
    made = make_device()
    revoke_credential(device=made.device, actor="ann", now=NOW)

    def voided_again() -> None:
        order_disconnect(made.device, now=LATER)
        second = BusyBroker(lambda: None, BrokerRefused("EMQX answered 503"))
        second.meanwhile = lambda: rows.append(Disconnect.objects.get())
        assert end_connections(now=LATER, broker=second) == 1

    def known_by_attempts_alone(row):
        return Disconnect.objects.filter(pk=row.id, status="PENDING", attempts=row.attempts)

    rows: list[Disconnect] = []
    if not has_token:
        monkeypatch.setattr(disconnects, "_ours", known_by_attempts_alone)
    end_connections(now=NOW, broker=BusyBroker(voided_again, answer))
    [claimed] = rows
    assert claimed.attempts == 1, "the same count as the first claim had"
    row = Disconnect.objects.get()
    as_the_second_left_it = (row.status, row.attempts, row.problem) == ("PENDING", 1, "EMQX answered 503")
    assert as_the_second_left_it is has_token


def test_one_refusal_does_not_stand_in_the_way_of_others():
    product = make_product()
    for _ in range(3):
        revoke_credential(device=make_device(product).device, actor="ann", now=NOW)
    end_connections(now=NOW, broker=Broker(Ended.ENDED, BrokerRefused("no"), Ended.ENDED))
    assert sorted(Disconnect.objects.values_list("status", flat=True)) == ["DONE", "DONE", "PENDING"]


def test_a_worker_that_dies_while_it_asks_leaves_the_row_to_the_next_one():
    """The attempt is counted and a lease taken before the call (F15)."""
    made = make_device()
    revoke_credential(device=made.device, actor="ann", now=NOW)
    with pytest.raises(KeyboardInterrupt):
        end_connections(now=NOW, broker=Broker(KeyboardInterrupt()))
    assert end_connections(now=NOW, broker=Broker()) == 0, "another worker may still be asking"
    assert Disconnect.objects.get().attempts == 1
    assert end_connections(now=NOW + timedelta(minutes=2), broker=Broker()) == 1


def test_ordered_again_while_it_waits_there_is_one_row_and_it_is_due_now():
    made = make_device()
    order_disconnect(made.device, now=NOW)
    end_connections(now=NOW, broker=Broker(BrokerUnavailable("away")))
    order_disconnect(made.device, now=LATER)
    assert Disconnect.objects.get().due_at == LATER


def test_mosquitto_has_no_such_call_and_the_row_says_so(settings):
    made = make_device()
    revoke_credential(device=made.device, actor="ann", now=NOW)
    settings.EMQX_API_URL = ""
    control = shared_control()
    assert isinstance(control, MosquittoConnections)
    end_connections(now=NOW, broker=control)
    assert Disconnect.objects.get().status == DisconnectStatus.UNSUPPORTED.value
    settings.EMQX_API_URL = "http://emqx.example/api/v5"
    assert isinstance(shared_control(), EmqxConnections)


def test_an_idle_look_costs_one_query():
    with CaptureQueriesContext(connection) as queries:
        end_connections(now=NOW, broker=Broker())
    assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == 1


# --- the pages -------------------------------------------------------------------------------------------------------


@pytest.fixture
def maker():
    return make_enterprise("Page maker")


def sign_in(enterprise, role: Role = Role.OPERATOR) -> Client:
    client = Client()
    client.force_login(make_member(enterprise, role))
    return client


def test_the_page_of_a_revoked_device_says_so_and_offers_a_new_credential_X4(maker):
    device = make_device(make_product(maker)).device
    client = sign_in(maker)
    answer = client.post(reverse("admin:device_revoke_credential", args=[device.pk]), follow=True)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "can’t connect until" in page
    assert reverse("admin:device_new_credential", args=[device.pk]) in page
    assert reverse("admin:device_revoke_credential", args=[device.pk]) not in page
    access = client.get(reverse("admin:device_details", args=[device.pk]), {"tab": "access"}).content.decode()
    assert "Waiting for the broker" in access


def test_only_a_post_by_who_may_operate_devices_revokes(maker):
    device = make_device(make_product(maker)).device
    address = reverse("admin:device_revoke_credential", args=[device.pk])
    assert sign_in(maker).get(address).status_code == 405
    assert sign_in(maker, Role.READ_ONLY).post(address).status_code == 403
    assert sign_in(make_enterprise("Other maker")).post(address).status_code == 404
    device.refresh_from_db()
    assert device.credential_revoked_at is None


def test_a_given_up_disconnection_is_asked_for_again_by_one_click(maker):
    device = make_device(make_product(maker)).device
    revoke_credential(device=device, actor="ann", now=NOW)
    Disconnect.objects.update(status="DEAD", due_at=None, problem="EMQX answered 401")
    client = sign_in(maker)
    access = client.get(reverse("admin:device_details", args=[device.pk]), {"tab": "access"}).content.decode()
    assert "EMQX answered 401" in access
    client.post(reverse("admin:device_disconnect", args=[device.pk]))
    assert Disconnect.objects.filter(status="PENDING").count() == 1
