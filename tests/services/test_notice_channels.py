"""Channels beside the device's own: e-mail, inbox, webhook events; opt-in, the same thresholds and more, once (N8)."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client

from alerts.models import Channel, DigestMail, InboxEntry, Notice
from alerts.services import digests
from alerts.services.digests import MOST_ATTEMPTS, make_digests, retry_mails, send_mails
from alerts.services.settings import ThresholdsRefused, extra_days, set_channels, set_extra_days
from amp.foundation.models import Event, Role
from amp.foundation.scoping import system_scope
from tests import factories
from tests.services.announcing import DAY, NOW, Fleet, make_fleet, rows, sweep, switch
from tests.services.fleet import scope

__all__ = ["scope"]
pytestmark = pytest.mark.django_db

EVERYTHING = (Channel.EMAIL, Channel.IN_APP, Channel.WEBHOOK)


def ask(fleet: Fleet, *channels: Channel, now: datetime = NOW) -> None:
    set_channels(enterprise=fleet.enterprise, channels=channels, actor="ann@example.com", now=now)


def morning(fleet: Fleet, after: datetime) -> datetime:
    """The next 8:00 or 20:00 in the enterprise's zone."""
    local = after.astimezone(ZoneInfo(fleet.enterprise.time_zone))
    at = local.replace(hour=8, minute=0, second=0, microsecond=0)
    while at <= local:
        at += timedelta(hours=12)
    return at


def test_n8_nothing_but_the_device_is_told_until_an_enterprise_asks() -> None:
    switch()
    fleet = make_fleet()
    sweep(fleet.end() - 30 * DAY)
    assert set(Notice.objects.values_list("channel", flat=True)) == {"TSL"}


def test_n8_a_webhook_event_for_each_notice_once() -> None:
    switch()
    fleet = make_fleet(3)
    ask(fleet, Channel.WEBHOOK)
    for _ in range(3):
        sweep(fleet.end() - 30 * DAY)
    events = Event.objects.filter(kind="device_service.expiring")
    assert sorted(events.values_list("subject", flat=True)) == sorted(f"device:{pk}" for pk in fleet.ids)
    told = events.first()
    assert told is not None
    assert told.enterprise_id == fleet.enterprise.pk
    assert (told.after["service"], told.after["days"], told.after["ends_at"]) == ("DEVICE", 30, fleet.end().isoformat())
    assert {status for _, status, _ in rows(channel="WEBHOOK")} == {"SENT"}


def test_n8_the_inbox_counts_devices_of_a_day_and_is_read_by_each_member() -> None:
    switch()
    fleet = make_fleet(4)
    ask(fleet, Channel.IN_APP)
    sweep(fleet.end() - 30 * DAY, limit=3)
    entry = InboxEntry.objects.get()
    assert (entry.service, entry.days, entry.devices) == ("DEVICE", 30, 4)
    ann, bob = (signed_in(fleet, Role.OPERATOR) for _ in range(2))
    assert unread(ann) == unread(bob) == 1
    page = ann.get("/admin/alerts/inbox/").content.decode()
    assert "4 devices: their device service expires within 30 days." in page
    assert ann.post("/admin/alerts/inbox/read/").status_code == 302
    assert (unread(ann), unread(bob)) == (0, 1)
    assert unread(signed_in(make_fleet(), Role.OPERATOR)) == 0, "another tenant's"


def test_n8_one_mail_for_all_devices_with_a_link_to_them() -> None:
    switch()
    fleet = make_fleet(5)
    reader = factories.make_member(fleet.enterprise, Role.OPERATOR, email="ops@example.com")
    factories.make_member(fleet.enterprise, Role.READ_ONLY)
    reader.language = "zh-hans"
    reader.save()
    ask(fleet, Channel.EMAIL, now=fleet.end() - 30 * DAY - timedelta(minutes=1))
    now = fleet.end() - 30 * DAY
    assert make_digests(now=now - timedelta(seconds=1), wall=NOW) == 0, "not before its hour"
    sweep(now)
    at = morning(fleet, now)
    assert make_digests(now=at, wall=NOW) == 1
    assert make_digests(now=at, wall=NOW) == 0
    assert send_mails(wall=NOW, now=at) == 1
    [sent] = mail.outbox
    assert sent.to == ["ops@example.com"]
    assert "5" in sent.subject
    link = f"/admin/devices/deviceservice/?ends=30&enterprise={fleet.enterprise.pk}"
    [(html, kind)] = sent.alternatives
    assert kind == "text/html"
    assert link in sent.body
    assert link.replace("&", "&amp;") in html
    assert {status for _, status, _ in rows(channel="EMAIL")} == {"HANDED_OVER"}
    later = at + timedelta(hours=12)
    assert make_digests(now=later, wall=NOW) == 1, "its next hour"
    assert send_mails(wall=NOW, now=later) == 0, "no news, no mail"


def test_n4_a_mail_tells_nothing_of_an_end_that_was_moved() -> None:
    switch()
    fleet = make_fleet(2)
    factories.make_member(fleet.enterprise, Role.OPERATOR)
    now = fleet.end() - 30 * DAY
    ask(fleet, Channel.EMAIL, now=now - timedelta(minutes=1))
    sweep(now)
    fleet.renew("second", now=now, ids=fleet.ids[:1])
    make_digests(now=morning(fleet, now), wall=NOW)
    assert DigestMail.objects.get().counts == [{"service": "DEVICE", "days": 30, "devices": 1}]
    assert rows(channel="EMAIL", device_id=fleet.ids[0]) == [(30, "CANCELLED", "END_MOVED")]


def test_n8_without_a_reader_the_notice_says_so() -> None:
    switch()
    fleet = make_fleet()
    now = fleet.end() - 30 * DAY
    ask(fleet, Channel.EMAIL, now=now - timedelta(minutes=1))
    sweep(now)
    make_digests(now=morning(fleet, now), wall=NOW)
    assert rows(channel="EMAIL") == [(30, "FAILED", "NO_RECIPIENT")]


def test_f15_a_mail_that_never_goes_is_given_up_visibly_and_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = make_fleet()
    user = factories.make_member(fleet.enterprise, Role.OPERATOR)
    row = DigestMail.objects.create(
        enterprise=fleet.enterprise,
        user=user,
        counts=[{"service": "SIM", "days": 1, "devices": 1}],
        due_at=NOW,
        created_at=NOW,
    )
    monkeypatch.setattr(digests, "send_mail", lambda **_mail: "SMTPServerDisconnected")
    wall = NOW
    for _ in range(MOST_ATTEMPTS + 2):
        send_mails(wall=wall, now=NOW)
        wall += timedelta(hours=1)
    row.refresh_from_db()
    assert (row.status, row.attempts, row.problem) == ("FAILED", MOST_ATTEMPTS, "SMTPServerDisconnected")
    monkeypatch.undo()
    assert retry_mails(mails=[row], actor="root@example.com", now=NOW, wall=wall) == 1
    assert send_mails(wall=wall, now=NOW) == 1
    assert len(mail.outbox) == 1


def test_f15_a_worker_that_dies_while_sending_leaves_the_mail_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = make_fleet()
    user = factories.make_member(fleet.enterprise, Role.OPERATOR)
    DigestMail.objects.create(enterprise=fleet.enterprise, user=user, counts=[], due_at=NOW, created_at=NOW)

    def die(**_mail: object) -> str:
        raise SystemExit

    monkeypatch.setattr(digests, "send_mail", die)
    with pytest.raises(SystemExit):
        send_mails(wall=NOW, now=NOW)
    assert DigestMail.objects.get().attempts == 1, "counted before the work"
    monkeypatch.undo()
    assert send_mails(wall=NOW + timedelta(minutes=1), now=NOW) == 0, "its lease holds"
    assert send_mails(wall=NOW + timedelta(minutes=3), now=NOW) == 1


def test_n8_further_thresholds_are_for_people_and_never_for_devices() -> None:
    switch()
    fleet = make_fleet()
    ask(fleet, *EVERYTHING)
    set_extra_days(days=[60, 30], actor="root@example.com", now=NOW)
    assert extra_days() == [60]
    assert sweep(fleet.end() - 60 * DAY) == []
    assert sorted(Notice.objects.values_list("channel", "days")) == [("EMAIL", 60), ("IN_APP", 60), ("WEBHOOK", 60)]
    row = Notice.objects.first()
    assert row is not None
    row.pk, row.channel = None, "TSL"
    with pytest.raises(IntegrityError, match="tsl_has_three_values"), transaction.atomic():
        row.save(force_insert=True)


def test_n5_a_threshold_or_a_channel_that_came_later_makes_nothing_up() -> None:
    switch()
    fleet = make_fleet()
    set_extra_days(days=[60], actor="root@example.com", now=fleet.end() - 59 * DAY)
    ask(fleet, Channel.WEBHOOK, now=fleet.end() - 29 * DAY)
    sweep(fleet.end() - 20 * DAY)
    assert rows(channel="WEBHOOK") == []
    sweep(fleet.end() - 7 * DAY)
    assert rows(channel="WEBHOOK") == [(7, "SENT", "")]


@pytest.mark.parametrize("days", [[0], [366], [-1], list(range(40, 52))])
def test_n8_impossible_thresholds_are_refused(days: list[int]) -> None:
    with pytest.raises(ThresholdsRefused):
        set_extra_days(days=days, actor="root@example.com", now=NOW)
    assert extra_days() == []


def test_channels_are_chosen_by_those_who_edit_the_enterprise_X2() -> None:
    fleet = make_fleet()
    address = f"/admin/alerts/channels/{fleet.enterprise.pk}/"
    assert signed_in(fleet, Role.OPERATOR).post(address, {"channels": ["EMAIL"]}).status_code == 403
    boss = signed_in(fleet, Role.ENTERPRISE_ADMINISTRATOR)
    assert boss.post(address, {"channels": ["TSL"]}).status_code == 403
    assert boss.post(address, {"channels": ["EMAIL", "WEBHOOK"]}).status_code == 302
    assert Event.objects.filter(kind="enterprise.channels_set").get().after == {"channels": ["EMAIL", "WEBHOOK"]}
    page = boss.get("/admin/alerts/channels/").content.decode()
    assert page.count(" checked") == 2


def signed_in(fleet: Fleet, role: Role) -> Client:
    client = Client()
    with system_scope():
        client.force_login(factories.make_member(fleet.enterprise, role))
    return client


def unread(client: Client) -> int:
    return int(client.get("/admin/alerts/inbox/unread/").json()["unread"])
