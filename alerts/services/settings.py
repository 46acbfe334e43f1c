"""What is announced, at which thresholds, on which channels (N1, N8): read by the sweeps, changed by people."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from alerts.models import Channel, EnterpriseChannels, ExtraThreshold
from alerts.thresholds import LEAST_DAYS, MOST_DAYS, WIRE_DAYS, Service, Threshold
from amp.foundation.bulk import among
from amp.foundation.calendar import next_local_hour
from amp.foundation.models import Enterprise, PlatformConfiguration
from amp.foundation.services.configuration import SUBJECT, configuration
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.refusals import Refused

OPTED_IN = (Channel.EMAIL, Channel.IN_APP, Channel.WEBHOOK)
MOST_EXTRAS = 10
DIGEST_HOURS = (8, 20)


class ThresholdsRefused(Refused):
    """These thresholds can't be used; nothing was changed."""


class Announcing(NamedTuple):
    """What holds for the whole platform: since when each service is announced, and the further thresholds."""

    since: dict[Service, datetime]
    extras: dict[int, datetime]

    def thresholds(self, service: Service, channel: Channel, asked_at: datetime | None = None) -> list[Threshold]:
        """Those of one channel; `asked_at` is when an enterprise asked for it."""
        since = self.since[service]
        if channel is Channel.TSL:
            return [Threshold(days, since) for days in WIRE_DAYS]
        since = max(since, asked_at or since)
        further = [Threshold(days, max(since, added_at)) for days, added_at in self.extras.items()]
        return [*(Threshold(days, since) for days in WIRE_DAYS), *further]

    def all_days(self, channel: Channel) -> list[int]:
        """Days of every threshold of a channel."""
        return [*WIRE_DAYS] if channel is Channel.TSL else [*WIRE_DAYS, *self.extras]

    def began(self, service: Service, days: int) -> datetime:
        """Since when the ends of this service are looked at for this threshold."""
        return max(self.since[service], self.extras.get(days, self.since[service]))


def announcing() -> Announcing:
    """The platform's decisions; one query while nothing is announced, else two."""
    row = configuration()
    since = {service: at for service in Service if (at := _since(row, service)) is not None}
    return Announcing(since, dict(ExtraThreshold.objects.values_list("days", "added_at")) if since else {})


def extra_days() -> list[int]:
    """Further thresholds, the most distant first."""
    return sorted(ExtraThreshold.objects.values_list("days", flat=True), reverse=True)


@transaction.atomic
def set_extra_days(*, days: Collection[int], actor: str, now: datetime) -> bool:
    """Have these further thresholds, and no others; whether that changed anything. Raises ThresholdsRefused.

    One that is new tells nothing of moments before `now` (N5).
    """
    wanted = set(days) - set(WIRE_DAYS)
    if len(wanted) > MOST_EXTRAS or any(not LEAST_DAYS <= each <= MOST_DAYS for each in wanted):
        sentence = _("Type up to %(n)d whole numbers of days between %(least)d and %(most)d.")
        told = {"n": MOST_EXTRAS, "least": LEAST_DAYS, "most": MOST_DAYS}
        raise ThresholdsRefused.because(sentence % told, "extra_days")
    before = set(extra_days())
    if wanted == before:
        return False
    ExtraThreshold.objects.filter(days__in=before - wanted).delete()
    fresh = [ExtraThreshold(days=each, added_at=now) for each in sorted(wanted - before)]
    ExtraThreshold.objects.bulk_create(fresh, ignore_conflicts=True)
    was, told_now = {"extra_days": sorted(before)}, {"extra_days": sorted(wanted)}
    record_event(EventDraft("platform.configured", SUBJECT, None, now, actor, before=was, after=told_now), now=now)
    return True


def channels_of(enterprise_ids: Iterable[int]) -> dict[int, dict[Channel, datetime]]:
    """By enterprise, the channels it asked for and since when; one query."""
    rows = EnterpriseChannels.objects.filter(among("enterprise_id", set(enterprise_ids)))
    return {row.pk: asked_for(row) for row in rows}


def asked_for(row: EnterpriseChannels) -> dict[Channel, datetime]:
    """Channels that are on, and since when."""
    since = {channel: getattr(row, f"{channel.value.lower()}_since") for channel in OPTED_IN}
    return {channel: at for channel, at in since.items() if at is not None}


@transaction.atomic
def set_channels(*, enterprise: Enterprise, channels: Collection[Channel], actor: str, now: datetime) -> bool:
    """Have exactly these channels on for the devices of this enterprise; whether that changed anything."""
    EnterpriseChannels.objects.bulk_create([EnterpriseChannels(enterprise=enterprise)], ignore_conflicts=True)
    row = EnterpriseChannels.objects.select_for_update().get(pk=enterprise.pk)
    before = asked_for(row)
    if set(before) == set(channels):
        return False
    for channel in OPTED_IN:
        setattr(row, f"{channel.value.lower()}_since", before.get(channel, now) if channel in channels else None)
    row.digest_due_at = next_digest(enterprise.time_zone, now) if Channel.EMAIL in channels else None
    row.save()
    record_event(
        EventDraft(
            "enterprise.channels_set",
            f"enterprise:{enterprise.pk}",
            enterprise.pk,
            now,
            actor,
            before={"channels": sorted(each.value for each in before)},
            after={"channels": sorted(each.value for each in channels)},
        ),
        now=now,
    )
    return True


def next_digest(time_zone: str, now: datetime) -> datetime:
    """The next 8:00 or 20:00 in the enterprise's zone: so nobody learns of an end within a day after that end."""
    return min(next_local_hour(now, hour, time_zone) for hour in DIGEST_HOURS)


def _since(row: PlatformConfiguration, service: Service) -> datetime | None:
    since: datetime | None = getattr(row, f"{service.value.lower()}_alerts_since")
    return since
