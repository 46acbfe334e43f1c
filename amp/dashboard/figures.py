"""Counted figures of what the reader may see, summed over the enterprises, and how old they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q, Sum

from amp.foundation.access import Action, enterprises_where
from amp.foundation.models import Enterprise, Figure, Tally, User


@dataclass(frozen=True, slots=True)
class Figures:
    """`numbers` by name and bucket; `counted_at` is the oldest count among them, None while one is still missing."""

    numbers: dict[tuple[str, str], int]
    counted_at: datetime | None
    zones: int

    def of(self, name: str, bucket: str = "") -> int:
        """The figure; 0 where nothing was counted."""
        return self.numbers.get((name, bucket), 0)

    def buckets(self, name: str) -> dict[str, int]:
        """All figures of that name."""
        return {bucket: number for (each, bucket), number in self.numbers.items() if each == name}


def read_figures(user: User) -> Figures:
    """Few queries in the reader's scope, over rows that grow with the enterprises, never with the devices.

    Payment exceptions count where the reader may decide them.
    """
    elsewhere = Q(name="exceptions") & ~Q(enterprise_id__in=enterprises_where(user, Action.RESOLVE_PAYMENTS))
    rows = Figure.objects.exclude(elsewhere).order_by().values_list("name", "bucket").annotate(total=Sum("number"))
    numbers = {(name, bucket): int(total) for name, bucket, total in rows}
    tallies = Tally.objects.aggregate(
        oldest=Min("counted_at"), counted=Count("pk", filter=Q(counted_at__isnull=False)), tallies=Count("pk")
    )
    places = Enterprise.objects.aggregate(places=Count("pk"), zones=Count("time_zone", distinct=True))
    complete = tallies["counted"] == tallies["tallies"] >= 2 * places["places"] > 0  # two groups for each enterprise
    return Figures(numbers, tallies["oldest"] if complete else None, places["zones"])
