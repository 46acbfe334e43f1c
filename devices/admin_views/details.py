"""What the device's page shows of its service, presence and commands; the roof adds what billing knows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.utils import timezone

from amp.foundation.models import Event
from amp.foundation.templatetags.amp_display import moment
from catalog.models import ServiceRule
from catalog.services.rules import current_rule
from devices.admin_views.words import command_event_word, event_tone, event_word, part_word, reason_word, say
from devices.delivery import CommandStatus
from devices.lifecycle import Lock, State
from devices.models import (
    Command,
    CommandSlot,
    Device,
    DeviceService,
    EarlyEnd,
    Period,
    PeriodKind,
    Presence,
    PresenceSession,
    PublicToken,
    Validity,
)
from devices.online_time import total_of
from devices.story import LastCommand, Life, Part, Situation, Story, Stretch, life_bar, tell

ROWS = 50
"""Newest rows that a tab shows."""


class TimelineEntry(NamedTuple):
    """One line of the timeline."""

    at: datetime
    noticed_at: datetime | None
    tone: str
    what: str
    why: str
    actor: str


class Overview(NamedTuple):
    """The top of the page: the sentence, the four facts, the life."""

    device: Device
    service: DeviceService
    presence: Presence
    rule: ServiceRule
    story: Story
    headline: str
    details: list[str]
    life: Life
    bar: list[dict[str, Any]]
    online_time: int
    agrees: bool
    trial_end: int


def overview(device: Device, *, now: datetime) -> Overview:
    """Read the device once: service, rule, presence, periods, last command."""
    service, presence = device.service, device.presence
    rule = current_rule(device.product_id)
    periods = list(Period.objects.filter(device=device, life=service.life).order_by("number"))
    cut_at = EarlyEnd.objects.filter(device=device).order_by("-ends_at").values_list("number", "ends_at", "source")
    cuts = {number: ends_at for number, ends_at, _source in cut_at}  # of several cuts the last, which is the earliest
    moved_at = {ends_at for _number, ends_at, source in cut_at if source.startswith("transfer:")}
    began_at = service.life_began_at or device.created_at
    online_time = total_of(presence.counted, presence.open_since, now)
    situation = _situation(service, rule, presence, online_time, periods, device)
    story = tell(situation._replace(moved_away=service.state_since in moved_at), now)
    life = life_bar(
        registered_at=min(began_at, service.trial_started_at or began_at, *(p.starts_at for p in periods)),
        trial_started_at=service.trial_started_at,
        trial_ended_at=service.trial_ended_at,
        stretches=_stretches(periods, cuts),
        terminated_at=device.terminated_at,
        now=now,
    )
    with timezone.override(device.enterprise.time_zone):
        headline = say(story.headline)
        sentences = [say(each) for each in (*story.proof, *([story.outlook] if story.outlook else []))]
    return Overview(
        device=device,
        service=service,
        presence=presence,
        rule=rule,
        story=story,
        headline=headline,
        details=sentences,
        life=life,
        bar=[_drawn(segment) for segment in life.segments],
        online_time=online_time,
        agrees=service.desired_lock == service.reported_lock,
        trial_end=service.trial_end_seconds or rule.trial_end_seconds,
    )


def timeline(device: Device) -> list[TimelineEntry]:
    """The newest events of the device, as sentences."""
    events = Event.objects.filter(subject=f"device:{device.pk}").order_by("-happened_at", "-id")[:ROWS]
    return [_entry(event) for event in events]


def periods(device: Device) -> QuerySet[Period]:
    """The ledger, newest first."""
    return Period.objects.filter(device=device).select_related("level").order_by("-number")


def commands(device: Device) -> QuerySet[Command]:
    """Newest first."""
    return Command.objects.filter(device=device).order_by("-id")[:ROWS]


def sessions(device: Device) -> QuerySet[PresenceSession]:
    """Closed online sessions, newest first."""
    return PresenceSession.objects.filter(device=device).order_by("-ended_at")[:ROWS]


def links(device: Device) -> QuerySet[PublicToken]:
    """Renewal links that work."""
    return PublicToken.objects.filter(device=device, revoked_at=None).order_by("-id")


def counts(device: Device) -> dict[str, int]:
    """Numbers on the tabs."""
    return {
        "periods": device.service.periods_made,
        "commands": Command.objects.filter(device=device).count(),
        "sessions": PresenceSession.objects.filter(device=device).count(),
        "validities": Validity.objects.filter(device=device).count(),
    }


def may_be_sent_again(command: Command, service: DeviceService) -> bool:
    """Only the newest lock or unlock, and not while it is on its way; a notice has its own time (N6)."""
    over = {CommandStatus.SENT.value, CommandStatus.SUPERSEDED.value, CommandStatus.CONFIRMED.value}
    live = service.state != State.TERMINATED.value and command.slot == CommandSlot.LOCK.value
    return live and command.generation == service.generation and command.status not in over


def _situation(
    service: DeviceService,
    rule: ServiceRule,
    presence: Presence,
    online_time: int,
    periods: list[Period],
    device: Device,
) -> Situation:
    locks = Command.objects.filter(device=device, slot=CommandSlot.LOCK.value)
    newest = locks.order_by("-generation", "-id").first()
    return Situation(
        state=State(service.state),
        since=service.state_since,
        paid_mode=rule.paid_mode,
        early_renewal=rule.renewal_before_trial_end,
        trial_held=service.state == State.TRIAL.value and service.auto_failed_at is not None,
        trial_expiry=not periods
        or (service.trial_ended_at is not None and service.trial_ended_at == service.state_since),
        online_time=online_time,
        counts_from=service.counts_from,
        trial_start=rule.trial_start_seconds,
        trial_end=service.trial_end_seconds or rule.trial_end_seconds,
        ends_at=service.ends_at,
        desired=Lock(service.desired_lock),
        reported=Lock(service.reported_lock),
        command=_last(newest) if newest else None,
    )


def _last(command: Command) -> LastCommand:
    return LastCommand(
        kind=command.kind,
        status=command.status,
        sent_at=command.sent_at,
        acked_at=command.acked_at,
        confirmed_at=command.confirmed_at,
        stale_at=command.stale_at,
        is_held=command.hold_id is not None,
    )


def _stretches(periods: list[Period], cuts: dict[int, datetime]) -> list[Stretch]:
    """Periods as far as they ran: a transfer or a refund cuts the last one, and those before it that lie ahead."""
    found = []
    for period in periods:
        part = Part.INCLUDED if period.kind == PeriodKind.INCLUDED.value else Part.PAID
        ends_at = min([period.ends_at, *(at for number, at in cuts.items() if number >= period.number)])
        found.append(Stretch(part, period.starts_at, ends_at, period.plan_name))
    return [stretch for stretch in found if stretch.starts_at < stretch.ends_at]


def _drawn(segment: Any) -> dict[str, Any]:
    word = part_word(segment.part)
    label = segment.label if segment.part is Part.INCLUDED and segment.label else word
    if segment.part is Part.PAID:
        label = f"{word} · {segment.label}"
    # A bar is about 1,000 px wide on a desk and 330 on a phone: a label that can't fit is left to the tooltip.
    return {
        "part": segment.part.value,
        "share": f"{segment.share:.3f}",
        "label": label if segment.share >= 18 else word if segment.share >= 8 else "",
        "title": label,
        "starts_at": segment.starts_at,
        "ends_at": segment.ends_at,
    }


def _entry(event: Event) -> TimelineEntry:
    late = abs((event.noticed_at - event.happened_at).total_seconds()) >= 1
    what = event_word(event.kind)
    if event.kind.startswith("command."):
        what = command_event_word(event.kind, (event.after or event.before or {}).get("command", "")) or what
    if event.kind in {"sim_service.set", "rtk_service.set"}:
        what = f"{what}: {moment(datetime.fromisoformat((event.after or {})['ends_at']))}"
    return TimelineEntry(
        at=event.happened_at,
        noticed_at=event.noticed_at if late else None,
        tone=event_tone(event.kind),
        what=what,
        why=reason_word(event.why) if event.why else "",
        actor=event.actor,
    )
