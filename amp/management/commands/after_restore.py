"""`manage.py after_restore`: bring a restored database up to a world that went on without it (X7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from amp.foundation import clock
from amp.foundation.models import ApiKey, Event, Membership
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import EventDraft, record_event
from billing.services.restoring import reconcile_with_gateways
from devices.services.restoring import close_sessions_of_before, leap_generations


class Command(BaseCommand):
    """Run once, before bridge, workers and beat are started again. Running it twice does no harm."""

    help = "After a restore: raise command generations, ask the gateways about payments, say what was found."

    def add_arguments(self, parser: CommandParser) -> None:
        """The moment of the backup, which decides how far back the gateways are asked."""
        parser.add_argument(
            "--backup-of",
            required=True,
            metavar="MOMENT",
            help="when the backup was made, such as 2027-03-01T02:00:00Z",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Sessions, devices, money; each in transactions of its own."""
        now, since = clock.now(), _moment(options["backup_of"], clock.now())
        with system_scope():
            newest = Event.objects.order_by("-id").values_list("noticed_at", flat=True).first()
            self._tell("Newest record in the backup", newest.isoformat() if newest else "none")
            ended, _tables = Session.objects.all().delete()
            self._tell("Sign-ins ended, since who was shut out after the backup would be in again", ended)
            self._tell("Sessions of devices closed at the last sign of the broker", close_sessions_of_before(now=now))
            leapt = leap_generations(now=now)
            self._tell("Services whose commands are numbered beyond what was lost", leapt.services)
            self._tell("Commands that were unfinished and are ordered anew", leapt.commands)
            asked = reconcile_with_gateways(since=since, now=now)
            self._tell("Payments that their gateways are asked about", asked.payments)
            self._tell("Refunds that their gateways are asked about", asked.refunds)
            self._tell("Accounts whose daily bills since the backup are fetched and compared", asked.bills)
            self._tell("Memberships to look through", Membership.objects.count())
            live = ApiKey.objects.filter(revoked_at=None, expires_at__gt=clock.wall()).count()
            self._tell("API keys that work, to look through", live)
            told = {"backup_of": since.isoformat(), "services": leapt.services, "payments": asked.payments}
            record_event(EventDraft("platform.restored", "platform:1", None, now, "after_restore", after=told), now=now)
        self.stdout.write("\nNow start bridge, workers and beat, wait for the sweeps, and run manage.py audit.")

    def _tell(self, what: str, found: Any) -> None:
        self.stdout.write(f"{what}: {found}")


def _moment(text: str, now: datetime) -> datetime:
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise CommandError("--backup-of is no moment with its offset. Write it as 2027-03-01T02:00:00Z.")
    if found > now:
        raise CommandError("--backup-of lies ahead. Give the moment at which the backup was made.")
    return found
