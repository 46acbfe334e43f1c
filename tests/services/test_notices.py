"""Expiry notices to devices, from the end of a service to the property write (N1–N7, N9; F64–F67)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from alerts.models import Notice
from alerts.services.looking import notice_due_ends
from amp.foundation.models import Event
from devices.models import Command, DeviceService, ServiceKind
from devices.services.dispatch import close_stale, close_unanswered
from devices.services.registration import terminate_device
from devices.services.staff_commands import CommandRefused, resend_command
from devices.services.waking import wake_commands
from devices.transports.recorded import RecordedTransport
from tests import factories
from tests.services.announcing import DAY, NOW, SECOND, answer, give, hear, make_fleet, notice, rows, sweep, switch
from tests.services.dispatching import transport
from tests.services.fleet import scope

__all__ = ["scope", "transport"]
pytestmark = pytest.mark.django_db


def test_n1_nothing_is_announced_by_default() -> None:
    fleet = make_fleet()
    for before in (30, 7, 1):
        assert sweep(fleet.end() - before * DAY) == []
    assert not Notice.objects.exists()


def test_n2_n7_a_year_of_one_device_as_golden_payloads(transport: RecordedTransport) -> None:
    """Three notices, each when its moment has come and not a second sooner; the bytes are the seed's."""
    switch()
    fleet = make_fleet()
    heard = []
    for before in (30, 7, 1):
        assert sweep(fleet.end() - before * DAY - SECOND, transport) == []
        heard += sweep(fleet.end() - before * DAY, transport)
        answer(transport, fleet.end() - before * DAY)
        assert sweep(fleet.end() - before * DAY + SECOND, transport) == [], "once"
    assert heard == [notice(3, 1), notice(3, 2), notice(3, 3)]
    assert b'{"q_retain_device_sevice_notice":{"serviceName":3,"serviceStatus":1}}' in transport.published[0].payload
    assert rows() == [(30, "HANDED_OVER", ""), (7, "HANDED_OVER", ""), (1, "HANDED_OVER", "")]
    assert {row.command.status for row in Notice.objects.select_related("command")} == {"CONFIRMED"}


@pytest.mark.parametrize("kind", ServiceKind)
def test_n3_sim_and_rtk_services_have_ends_of_their_own(kind: ServiceKind, transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet()
    ends_at, number = NOW + 100 * DAY, {"SIM": 1, "RTK": 2}[kind.value]
    give(fleet.ids[0], kind, ends_at)
    heard = []
    for before in (30, 7, 1):
        heard += sweep(ends_at - before * DAY, transport)
        answer(transport, ends_at - before * DAY)
    assert heard == [notice(number, 1), notice(number, 2), notice(number, 3)]


def test_n3_a_device_with_three_services_hears_three_notices_one_at_a_time(transport: RecordedTransport) -> None:
    """One command in flight per device, though each service has a slot of its own (A21)."""
    switch()
    fleet = make_fleet()
    for kind in ServiceKind:
        give(fleet.ids[0], kind, fleet.end())
    now, heard = fleet.end() - 30 * DAY, []
    for _ in range(3):
        heard += sweep(now, transport)
        assert Command.objects.filter(status="SENT").count() == 1
        answer(transport, now)
        now += 6 * SECOND
    assert sorted(heard, key=json.dumps) == [notice(1, 1), notice(2, 1), notice(3, 1)]


def test_n5_a_month_without_beat_then_only_the_most_urgent_goes_out(transport: RecordedTransport) -> None:
    """F66: 31 days down; the 30-day and 7-day notices of one device are skipped, the other is told on time."""
    switch()
    fleet = make_fleet(2)
    late = fleet.ids[1]
    fleet.renew("second", now=NOW + DAY, ids=[late], months=1)
    assert fleet.end(late) - fleet.end() == 31 * DAY
    assert sweep(fleet.end() - 31 * DAY, transport) == []
    assert sweep(fleet.end() - DAY / 2, transport) == [notice(3, 3)]
    assert rows(device_id=fleet.ids[0]) == [
        (1, "HANDED_OVER", ""),
        (7, "SKIPPED", "OVERTAKEN"),
        (30, "SKIPPED", "OVERTAKEN"),
    ]
    assert rows(device_id=late) == []
    assert sweep(fleet.end(late) - 30 * DAY, transport) == [notice(3, 1)]


def test_n5_past_the_end_all_are_skipped(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet()
    assert sweep(fleet.end() + DAY, transport) == []
    assert {(status, reason) for _, status, reason in rows()} == {("SKIPPED", "PAST_END")}
    assert len(rows()) == 3


def test_n5_switched_off_and_on_again_makes_nothing_up(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet()
    sweep(fleet.end() - 40 * DAY, transport)
    switch(on=False, now=fleet.end() - 35 * DAY)
    assert sweep(fleet.end() - 20 * DAY, transport) == []
    switch(now=fleet.end() - 20 * DAY)
    assert sweep(fleet.end() - 20 * DAY + SECOND, transport) == []
    assert not Notice.objects.exists()
    assert sweep(fleet.end() - 7 * DAY, transport) == [notice(3, 2)]


def test_n5_a_notice_that_waits_for_its_device_goes_with_the_alerts(transport: RecordedTransport) -> None:
    """Switched off while it waits, and on again: what was said before counts no more."""
    switch()
    fleet = make_fleet(online=False)
    sweep(fleet.end() - 30 * DAY, transport)
    switch(on=False, now=fleet.end() - 29 * DAY)
    switch(now=fleet.end() - 28 * DAY)
    assert come_back(fleet, fleet.end() - 27 * DAY, transport) == []
    assert Command.objects.get().status == "CANCELLED"


def test_n5_a_ten_day_service_never_gets_the_thirty_day_notice(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet()
    give(fleet.ids[0], ServiceKind.SIM, NOW + 10 * DAY, now=NOW)
    heard = [write for day in range(11) for write in hear(NOW + day * DAY, transport)]
    assert heard == [notice(1, 2), notice(1, 3)]


def test_n4_a_renewal_inside_the_window_begins_a_new_cycle(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet()
    old = fleet.end()
    assert hear(old - 30 * DAY, transport) == [notice(3, 1)]
    fleet.renew("second", now=old - 10 * DAY)
    assert hear(old - 7 * DAY, transport) == hear(old - DAY, transport) == []
    assert hear(fleet.end() - 30 * DAY, transport) == [notice(3, 1)]
    assert sorted(Notice.objects.values_list("ends_at", "days")) == [(old, 30), (fleet.end(), 30)]


def test_n4_a_renewal_between_the_look_and_the_claim_cancels(transport: RecordedTransport) -> None:
    """House pattern 11: nobody cancels it; it looks at its end again."""
    switch()
    fleet = make_fleet()
    now = fleet.end() - 7 * DAY
    notice_due_ends(now=now)
    fleet.renew("second", now=now)
    assert sweep(now + SECOND, transport) == []
    assert rows() == [(7, "CANCELLED", "END_MOVED"), (30, "SKIPPED", "OVERTAKEN")]


def test_n4_a_renewal_before_the_device_comes_back_cancels_its_command(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet(online=False)
    now = fleet.end() - 7 * DAY
    sweep(now, transport)
    fleet.renew("second", now=now + DAY)
    assert come_back(fleet, now + 2 * DAY, transport) == []
    command = Command.objects.get()
    assert command.status == "CANCELLED"
    assert "moved" in command.problem


def test_n6_offline_only_the_newest_notice_waits(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet(online=False)
    for before in (30, 7):
        assert sweep(fleet.end() - before * DAY, transport) == []
    assert list(Command.objects.order_by("id").values_list("status", flat=True)) == ["SUPERSEDED", "PENDING"]
    assert come_back(fleet, fleet.end() - 2 * DAY, transport) == [notice(3, 2)]


@pytest.mark.parametrize(("before", "over"), [(30, 7 * DAY), (7, DAY), (1, 0 * DAY)])
def test_n6_it_waits_until_the_next_threshold_or_the_end(before: int, over, transport: RecordedTransport) -> None:
    """The bound is exact: a microsecond sooner it is delivered."""
    switch()
    fleet = make_fleet(online=False)
    until = fleet.end() - over
    sweep(fleet.end() - before * DAY, transport)
    assert close_stale(now=until - timedelta(microseconds=1)) == 0
    assert close_stale(now=until) == 1
    assert Command.objects.get().status == "STALE"


def test_n9_a_terminated_device_hears_nothing(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet(online=False)
    give(fleet.ids[0], ServiceKind.SIM, fleet.end())
    sweep(fleet.end() - 30 * DAY, transport)
    service = DeviceService.objects.select_related("device").get()
    terminate_device(device=service.device, actor="test", now=fleet.end() - 20 * DAY)
    assert come_back(fleet, fleet.end() - 10 * DAY, transport) == []
    assert sweep(fleet.end() - 7 * DAY, transport) == []
    assert set(Command.objects.values_list("status", flat=True)) == {"CANCELLED"}


def test_a25_nothing_is_announced_while_paid_mode_is_off(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet()
    factories.make_rule_change(fleet.product, paid_mode=False, now=NOW + DAY)
    assert sweep(fleet.end() - 30 * DAY, transport) == []
    assert rows() == [(30, "SKIPPED", "FROZEN")]


def test_a21_a_device_that_refuses_a_notice_thrice_fails_it_and_no_lock(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet()
    now = fleet.end() - 30 * DAY
    for attempt in range(3):
        sweep(now + attempt * timedelta(hours=2), transport)
        answer(transport, now + attempt * timedelta(hours=2), ok=False)
    assert Command.objects.get().status == "FAILED"
    kinds = Event.objects.filter(subject=f"device:{fleet.ids[0]}").values_list("kind", flat=True)
    assert "command.failed" in kinds
    assert "device_service.lock_failed" not in kinds


def test_a_notice_is_not_sent_again_by_hand_and_never_becomes_a_lock(transport: RecordedTransport) -> None:
    switch()
    fleet = make_fleet()
    hear(fleet.end() - 30 * DAY, transport)
    row = Command.objects.get()
    DeviceService.objects.filter(pk=row.device_id).update(generation=row.generation)
    with pytest.raises(CommandRefused):
        resend_command(command=row, actor="ann@example.com", now=fleet.end() - 29 * DAY)
    assert Command.objects.count() == 1


def test_r3_a_lock_goes_before_a_notice_and_never_beside_one(transport: RecordedTransport) -> None:
    """The device has one command in flight; the lock that comes second waits for the notice's five seconds at most."""
    switch()
    fleet = make_fleet()
    now = fleet.end() - DAY
    sweep(now, transport)
    lock(fleet, now + SECOND)
    assert sweep(now + SECOND, transport) == []
    close_unanswered(now=now + 6 * SECOND)
    assert sweep(now + 6 * SECOND, transport) == [{"service_lock": "true"}]


def come_back(fleet, now, transport: RecordedTransport) -> list[dict]:
    """The devices come online at `now`."""
    fleet.go(online=True)
    wake_commands(fleet.ids, now=now)
    return sweep(now, transport)


def lock(fleet, now) -> None:
    """As the expiry orders it."""
    from devices.delivery import CommandKind
    from devices.services.commands import CommandOrder, order_commands

    service = DeviceService.objects.get(pk=fleet.ids[0])
    service.generation += 1
    service.save()
    order_commands(
        [CommandOrder(service.pk, service.enterprise_id, service.product_id, CommandKind.LOCK, service.generation)],
        now=now,
    )
