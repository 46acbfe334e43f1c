"""The tour's page: what the camera of the tour has been through, and how the other simulated devices are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from amp.demo.stage import Stage
from devices.delivery import CommandKind, CommandStatus
from devices.lifecycle import Lock, State
from devices.models import Command, Device

TONES = {
    State.PENDING.value: "grey",
    State.TRIAL.value: "blue",
    State.ACTIVE.value: "green",
    State.FREE.value: "green",
    State.EXPIRED.value: "red",
    State.TERMINATED.value: "grey",
}
SOON = timedelta(days=30)
MICROSECONDS = 1_000_000


class Action(NamedTuple):
    """A button: posts `step` to the clock or switches a device; a link where `url` is a page to open."""

    label: str
    url: str
    step: str = ""
    is_link: bool = False


class Step(NamedTuple):
    """One step of the tour; `state` is done, now or wait."""

    title: str
    detail: str
    state: str
    action: Action | None


@dataclass(frozen=True)
class Row:
    """One simulated device, as the product knows it."""

    device_id: int
    key: str
    product: str
    owner: str
    state: str
    tone: str
    until: datetime | None
    is_online: bool
    was_seen: bool
    online_for: str
    lock: str
    lock_tone: str
    has_state: State
    was_paid: bool
    reported: Lock
    is_locking: bool
    admin_url: str
    renewal_url: str


@dataclass(frozen=True)
class Tour:
    """Everything on the page that changes by itself; `version` changes with it."""

    star: Row
    steps: tuple[Step, ...]
    rows: tuple[Row, ...]
    online: int
    is_running: bool
    version: str


def tour_of(notes: dict[str, Any], stage: Stage | None, *, now: datetime) -> Tour:
    """The page's content at `now`. `stage` is None where the simulated devices run in no thread of this process."""
    known = {each["device_id"]: each for each in notes["devices"] if each["is_simulated"]}
    devices = _devices(list(known))
    waiting = _newest_commands(list(known))
    rows = [_row(device, known[device.pk]["renewal_token"], waiting.get(device.pk), now) for device in devices]
    star = next(row for row in rows if row.device_id == notes["star"]["device_id"])
    others = tuple(row for row in rows if row is not star)
    steps = _steps(star)
    told = repr((rows, [step.state for step in steps], stage is not None))
    return Tour(
        star=star,
        steps=steps,
        rows=others,
        online=sum(row.is_online for row in rows),
        is_running=stage is not None,
        version=hashlib.sha256(told.encode()).hexdigest()[:16],
    )


def _devices(ids: list[int]) -> QuerySet[Device]:
    devices: QuerySet[Device] = Device.objects.filter(pk__in=ids).order_by("pk")
    return devices.select_related("product", "enterprise", "service", "presence")


def _newest_commands(ids: list[int]) -> dict[int, Command]:
    """The last command of each device."""
    return {
        command.device_id: command for command in Command.objects.filter(device_id__in=ids, slot="LOCK").order_by("id")
    }


def _row(device: Device, token: str, command: Command | None, now: datetime) -> Row:
    service, presence = device.service, device.presence
    lock, lock_tone = _lock(service.desired_lock, service.reported_lock, command)
    soon = service.state == State.ACTIVE.value and service.ends_at and service.ends_at <= now + SOON
    counted = presence.counted
    if presence.open_since and presence.open_since < now:
        counted += (now - presence.open_since) // timedelta(microseconds=1)
    return Row(
        device_id=device.pk,
        key=device.key,
        product=device.product.name,
        owner=device.enterprise.name,
        state=service.get_state_display(),
        tone="amber" if soon else TONES[service.state],
        until=service.ends_at,
        is_online=presence.is_online,
        was_seen=presence.last_seen_at is not None,
        online_for=_duration(counted // MICROSECONDS),
        lock=lock,
        lock_tone=lock_tone,
        has_state=State(service.state),
        was_paid=service.periods_made > 0,
        reported=Lock(service.reported_lock),
        is_locking=service.desired_lock == Lock.LOCKED.value,
        admin_url=reverse("admin:device_details", args=[device.pk]),
        renewal_url=reverse("public:device", args=[token]),
    )


def _lock(desired: str, reported: str, command: Command | None) -> tuple[str, str]:
    """The reported lock, or what is on its way to the device."""
    if command and desired != reported and desired != Lock.UNKNOWN.value:
        locks = command.kind == CommandKind.LOCK.value
        if command.status == CommandStatus.STALE.value:
            return (_("Lock not delivered") if locks else _("Unlock waits")), "amber"
        return (_("Lock waits") if locks else _("Unlock waits")), "amber"
    if reported == Lock.LOCKED.value:
        return _("Locked"), "red"
    return (_("Unlocked"), "green") if reported == Lock.UNLOCKED.value else (_("Unknown"), "grey")


def _steps(star: Row) -> tuple[Step, ...]:
    """The first step that isn't done is the one to do now."""
    clock, on = reverse("demo:clock"), reverse("demo:switch", args=[star.device_id])
    five = Action(_("Let 5 minutes pass"), clock, "5m")
    switch_on = Action(_("Bring it online"), on, "on")
    tried = star.has_state not in {State.PENDING, State.TRIAL}
    started = star.has_state is not State.PENDING
    locked = star.was_paid or (tried and star.reported is Lock.LOCKED)
    unlocked = star.was_paid and star.reported is Lock.UNLOCKED
    over = star.was_paid and star.has_state is State.EXPIRED
    keep = five if star.is_online else switch_on
    plan = [
        (
            star.was_seen,
            _("Bring the camera online"),
            _("It has never been used. It connects over MQTT and reports that it is unlocked."),
            switch_on,
        ),
        (
            started,
            _("Use it for 5 minutes"),
            _("Only time online counts. After 5 minutes its trial starts."),
            keep,
        ),
        (
            locked,
            _("Use up the trial"),
            _("After 10 minutes online the trial is over. The camera is told to lock, and confirms it."),
            None if tried else keep,
        ),
        (
            star.was_paid,
            _("Pay on the phone"),
            _("Scanning the code on the camera opens this page. Choose a plan and pay with the sandbox."),
            Action(_("Open the renewal page"), star.renewal_url, is_link=True),
        ),
        (
            unlocked or over,
            _("Watch it unlock"),
            _("The payment extends the service, and the camera is unlocked."),
            None if star.is_online else switch_on,
        ),
        (
            over,
            _("Let the service end"),
            _("When the paid time is over, the camera locks again, and may be paid for again."),
            Action(_("Let 1 year pass"), clock, "365d"),
        ),
    ]
    first = next((number for number, (done, *_rest) in enumerate(plan) if not done), len(plan))
    return tuple(
        Step(title, detail, "done" if number < first else "now" if number == first else "wait", action)
        for number, (_done, title, detail, action) in enumerate(plan)
    )


def _duration(seconds: int) -> str:
    """Whole minutes, so that the page doesn't change every second."""
    minutes = seconds // 60
    if minutes < 60:
        return _("%(minutes)s min") % {"minutes": minutes}
    return _("%(hours)s h %(minutes)s min") % {"hours": minutes // 60, "minutes": minutes % 60}
