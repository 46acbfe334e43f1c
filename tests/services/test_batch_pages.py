"""Pages of a batch: everybody's own, in a fixed number of queries, with everything to download (Q1, Q5, Q6, F32)."""

from __future__ import annotations

import csv
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from amp.foundation import clock
from amp.foundation.models import Event, Role
from amp.foundation.scoping import system_scope
from billing.models import Order, OrderLine, RenewalSelection, SelectedDevice
from billing.services.selecting import select_devices
from devices.models import DeviceService
from tests.factories import make_device
from tests.services.admin_world import Maker, makers

__all__ = ["makers"]
pytestmark = pytest.mark.django_db
UPLOAD = "/admin/billing/order/renew/upload/"
SERVICES = "/admin/devices/deviceservice/"


def fleet(maker: Maker, count: int, *, bad: int = 2) -> list[int]:
    """Devices of which the last ones are in a state that can't be renewed yet (A12)."""
    with system_scope():
        ids = [make_device(maker.product, key=f"f{number:03d}").device.pk for number in range(count)]
        DeviceService.objects.filter(pk__in=ids[: count - bad]).update(state="EXPIRED")
    return ids


def selection_of(maker: Maker, ids: list[int], role: Role = Role.OPERATOR) -> str:
    """Address of a selection that a member of that role has made."""
    now = clock.now()
    with system_scope():
        made = select_devices(device_ids=ids, owner=maker.person(role), now=now, wall=now)
    return f"/admin/billing/order/renew/{made.pk}/"


def table(answer: Any) -> list[dict[str, str]]:
    """Rows of a CSV file that was sent."""
    return list(csv.DictReader(b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()))


def order_of(client: Client, address: str, maker: Maker, expected: int) -> Order:
    """Press the button of the preview."""
    answer = client.post(address, {"plan": maker.plan.pk, "expected": expected})
    with system_scope():
        order: Order = Order.objects.latest("pk")
    assert answer.headers.get("Location") == f"/admin/billing/order/{order.pk}/change/", answer.content
    return order


@pytest.mark.parametrize("count", [10, 120])
def test_the_pages_of_a_batch_cost_as_many_queries_for_10_devices_as_for_120(
    makers: tuple[Maker, Maker], count: int, django_assert_max_num_queries: Any
) -> None:
    ours, _other = makers
    address, client = selection_of(ours, fleet(ours, count)), ours.client(Role.OPERATOR)
    client.get(address)  # the session's own
    for path, queries in ((address, 24), (f"{address}?plan={ours.plan.pk}", 26)):
        with django_assert_max_num_queries(queries):
            assert client.get(path).status_code == 200


def test_a_preview_shows_every_end_by_pages_and_who_is_left_out_by_reason_Q5(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    ids = fleet(ours, 62)
    address, client = selection_of(ours, ids), ours.client(Role.OPERATOR)
    first = client.get(f"{address}?plan={ours.plan.pk}")
    assert [each.line.device_id for each in first.context["rows"]] == ids[:50]
    second = client.get(f"{address}?plan={ours.plan.pk}&after={first.context['window'].following}")
    assert [each.line.device_id for each in second.context["rows"]] == ids[50:60]
    refused = client.get(f"{address}?plan={ours.plan.pk}&show=refused&reason=trial_not_over")
    assert [each.line.device_id for each in refused.context["rows"]] == ids[60:]
    rows = table(client.post(f"{address}file/", {"plan": ours.plan.pk, "format": "csv"}))
    assert [row["device key"] for row in rows] == [f"f{number:03d}" for number in range(62)]
    assert [bool(row["reason"]) for row in rows] == [not row["new end"] for row in rows] == [False] * 60 + [True] * 2
    with system_scope():
        assert Event.objects.filter(kind="list.exported", after__rows=62).exists()


def test_a_selection_is_its_owners_alone_F32(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    address = selection_of(ours, fleet(ours, 3))
    for client in (ours.client(Role.FINANCE), other.client(Role.OPERATOR)):
        for path in (address, f"{address}unknown/"):
            assert client.get(path).status_code == 404
        for path in (address, f"{address}file/"):
            assert client.post(path, {"plan": ours.plan.pk, "expected": 1}).status_code == 404


def test_a_second_click_leads_to_the_order_of_the_first_F33(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    address, client = selection_of(ours, fleet(ours, 5)), ours.client(Role.OPERATOR)
    assert order_of(client, address, ours, 3) == order_of(client, address, ours, 3)
    page = client.get(address).content.decode()
    assert "These devices were ordered before" in page


def test_what_changed_meanwhile_is_shown_and_nothing_is_ordered_Q5(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    ids = fleet(ours, 5)
    address, client = selection_of(ours, ids), ours.client(Role.OPERATOR)
    with system_scope():
        before = Order.objects.count()
        DeviceService.objects.filter(pk=ids[0]).update(state="TERMINATED")
    answer = client.post(address, {"plan": ours.plan.pk, "expected": 3})
    assert (answer.status_code, answer.context["accepted"]) == (409, 2)
    with system_scope():
        assert Order.objects.count() == before


def test_a_file_of_keys_leads_to_its_selection_and_tells_lost_lines_by_number(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    fleet(ours, 3)
    client = ours.client(Role.OPERATOR)
    file = SimpleUploadedFile("keys.csv", b"key\nf000\nother-0\nf001\nf000\n")
    answer = client.post(UPLOAD, {"file": file}, follow=True)
    assert answer.context["selection"].devices == 2
    assert [line for line, _sentence in answer.context["unknown"]] == [3]
    rows = table(client.get(f"{answer.redirect_chain[-1][0]}unknown/"))
    assert [(row["key"], row["line"]) for row in rows] == [("other-0", "3")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "The file is empty"),
        (b"serial\n1\n", "must name a column"),
        (b"key\nnobody\n", "is no device of yours"),
        (b"\xff\xfek\x00", "UTF-16"),
    ],
)
def test_a_file_that_names_nothing_is_refused_with_what_to_do_F92(
    makers: tuple[Maker, Maker], content: bytes, told: str
) -> None:
    ours, _other = makers
    answer = ours.client(Role.OPERATOR).post(UPLOAD, {"file": SimpleUploadedFile("keys.csv", content)})
    assert answer.status_code in {200, 422}
    assert told in answer.content.decode()
    with system_scope():
        assert not RenewalSelection.objects.exists()


def test_results_are_read_by_pages_and_by_reason_and_downloaded_Q4_Q6(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    ids = fleet(ours, 60, bad=0)
    client = ours.client(Role.OPERATOR)
    order = order_of(client, selection_of(ours, ids), ours, 60)
    now = clock.now()
    with system_scope():
        Order.objects.filter(pk=order.pk).update(status="PARTIALLY_FULFILLED", paid_at=now, fulfilled_at=now)
        OrderLine.objects.filter(order=order).update(status="APPLIED", ends_at=now)
        for pk, reason in ((ids[3], "terminated"), (ids[4], "too_far_ahead")):
            OrderLine.objects.filter(order=order, device=pk).update(status="UNAPPLIED", reason=reason, ends_at=None)
    address = f"/admin/billing/order/{order.pk}/change/"
    lines = client.get(address).context["lines"]
    assert (len(lines.rows), [tab.number for tab in lines.tabs]) == (50, [60, 58, 2, 1, 1])
    following = client.get(f"{address}?{lines.following}").context["lines"]
    assert [each.line.device_id for each in following.rows] == ids[50:]
    unapplied = client.get(f"{address}?status=UNAPPLIED").context["lines"]
    assert [each.line.device_id for each in unapplied.rows] == ids[3:5]
    assert client.get(f"{address}?status=NONSENSE&after=x").status_code == 200
    rows = table(client.post(f"/admin/billing/order/{order.pk}/lines/?reason=terminated", {"format": "csv"}))
    assert [(row["device key"], row["status"], row["reason"]) for row in rows] == [
        ("f003", "Not applied", "The device is terminated.")
    ]
    assert len(table(client.post(f"/admin/billing/order/{order.pk}/lines/", {"format": "csv"}))) == 60


def test_an_order_that_got_stuck_says_so_and_is_tried_again_by_a_click_F15(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    order = order_of(ours.client(Role.OPERATOR), selection_of(ours, fleet(ours, 3, bad=0)), ours, 3)
    with system_scope():
        Order.objects.filter(pk=order.pk).update(status="PAID", paid_at=clock.now(), due_at=None, attempts_made=5)
    address = f"/admin/billing/order/{order.pk}/change/"
    retry = f"/admin/billing/order/{order.pk}/retry/"
    assert retry in ours.client(Role.OPERATOR).get(address).content.decode()
    reader = ours.client(Role.READ_ONLY)
    assert retry not in reader.get(address).content.decode()
    assert reader.post(retry).status_code == 403
    assert other.client(Role.OPERATOR).post(retry).status_code == 404
    assert ours.client(Role.OPERATOR).post(retry).status_code == 302
    with system_scope():
        order.refresh_from_db()
    assert order.due_at is not None
    assert order.attempts_made == 0


def test_rows_can_be_chosen_for_a_renewal_by_those_who_may(makers: tuple[Maker, Maker]) -> None:
    maker, _other = makers
    with system_scope():
        chosen = [device.pk for device in maker.devices[:2]]
    form: dict[str, Any] = {"action": "renew_selected", "_selected_action": chosen, "index": "0", "select_across": "0"}
    assert selected(maker.client().post(SERVICES, form, follow=True)) == set(chosen)
    page = maker.client(Role.READ_ONLY).get(SERVICES).content.decode()
    assert "action-select" not in page
    assert maker.client(Role.READ_ONLY).post(SERVICES, form).status_code == 200


def test_all_rows_that_match_can_be_chosen_and_no_foreign_one(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    with system_scope():
        own, foreign = [device.pk for device in ours.devices], other.devices[0].pk
    form = {"action": "renew_selected", "_selected_action": [own[0]], "index": "0", "select_across": "1"}
    assert selected(ours.client().post(f"{SERVICES}?state=PENDING", form, follow=True)) == set(own[1:])
    form = {"action": "renew_selected", "_selected_action": [foreign], "index": "0", "select_across": "0"}
    answer = ours.client().post(SERVICES, form, follow=True)
    assert "not there any more" in answer.content.decode()
    assert selected(answer) == set()


def selected(answer: Any) -> set[int]:
    """Devices of the selection to which the list's form has led."""
    page = re.search(r"/billing/order/renew/(\d+)/$", answer.redirect_chain[-1][0])
    with system_scope():
        rows = SelectedDevice.objects.filter(selection=int(page[1]) if page else 0)
        return {pk for pk in rows.values_list("device_id", flat=True) if pk}
