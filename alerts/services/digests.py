"""Notices by e-mail (N8): mornings and evenings one mail to each member where there is news, never one for each device.

Putting the digest together is one transaction, in which its notices are handed over; sending it is another, whose
attempt is counted before the mail server is asked (F15). A mail may arrive twice after a crash, a notice never twice in
two mails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from alerts.models import Channel, DigestMail, EnterpriseChannels, MailStatus, NoticeStatus
from alerts.services.claims import Verdict, Waiting, claimed, close, due, still_true
from alerts.services.settings import announcing, next_digest
from alerts.thresholds import Reason, Service
from amp.foundation.models import Enterprise, Membership, Role
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.mail import send_mail

CHUNK = 2_000
MAILS = 20
MOST_ATTEMPTS = 5
FIRST_RETRY = timedelta(minutes=1)
LEASE = timedelta(minutes=2)
"""Longer than a mail server is waited for: a mail whose worker died is tried again after it."""
READERS = (Role.ENTERPRISE_ADMINISTRATOR.value, Role.OPERATOR.value, Role.FINANCE.value)
"""Who gets the mail: those who renew and operate, of the enterprise itself."""


def make_digests(*, now: datetime, wall: datetime, limit: int = 100) -> int:
    """Put together the mails of enterprises whose hour has come; how many enterprises. One probe when idle."""
    ready = EnterpriseChannels.objects.filter(digest_due_at__lte=now).order_by("digest_due_at")
    ids = list(ready.values_list("pk", flat=True)[:limit])
    return sum(_digest(pk, now, wall) for pk in ids)


def send_mails(*, wall: datetime, now: datetime, limit: int = MAILS) -> int:
    """Send waiting mails, each claimed and counted by itself; how many were tried."""
    tried = 0
    while tried < limit and (mail := _claim_mail(wall)):
        _settle(mail, _send(mail), now, wall)
        tried += 1
    return tried


@transaction.atomic
def retry_mails(*, mails: Sequence[DigestMail], actor: str, now: datetime, wall: datetime) -> int:
    """Have mails that gave up tried again; how many."""
    failed = DigestMail.objects.filter(pk__in=[mail.pk for mail in mails], status=MailStatus.FAILED.value)
    rows = list(failed.select_for_update())
    for row in rows:
        row.status, row.attempts, row.due_at = MailStatus.WAITING.value, 0, wall
        row.save(update_fields=["status", "attempts", "due_at"])
        record_event(EventDraft("digest.retried", f"digest_mail:{row.pk}", row.enterprise_id, now, actor), now=now)
    return len(rows)


def sentence(count: dict[str, Any]) -> str:
    """ "412 devices: the device service expires within 7 days", in the reader's language."""
    number, days = int(count["devices"]), int(count["days"])
    told = {"n": number, "days": days, "service": service_name(count["service"])}
    if days == 1:
        words = ngettext(
            "%(n)d device: its %(service)s expires within 24 hours.",
            "%(n)d devices: their %(service)s expires within 24 hours.",
            number,
        )
    else:
        words = ngettext(
            "%(n)d device: its %(service)s expires within %(days)d days.",
            "%(n)d devices: their %(service)s expires within %(days)d days.",
            number,
        )
    return words % told


def service_name(service: str) -> str:
    """A service inside a sentence."""
    names = {Service.SIM: _("SIM service"), Service.RTK: _("RTK service"), Service.DEVICE: _("device service")}
    return names[Service(service)]


def link_to(service: str, days: int, enterprise_id: int) -> str:
    """The list of the devices that a count is about, by their ends."""
    within = str(min((each for each in (7, 30, 90) if each >= days), default=90))
    name = "devices_deviceservice" if service == Service.DEVICE.value else "devices_validity"
    parameters = {"ends": within, "enterprise": enterprise_id}
    if service != Service.DEVICE.value:
        parameters["kind"] = service
    return f"{reverse(f'admin:{name}_changelist')}?{urlencode(parameters)}"


@transaction.atomic
def _digest(enterprise_id: int, now: datetime, wall: datetime) -> int:
    """One enterprise: its due notices become mails to its members, and the next hour is set."""
    mine = EnterpriseChannels.objects.filter(pk=enterprise_id, digest_due_at__lte=now)
    row = mine.select_for_update(skip_locked=True, of=("self",)).select_related("enterprise").first()
    if row is None:
        return 0
    waiting = claimed(due(Channel.EMAIL).filter(enterprise_id=enterprise_id), CHUNK)
    counts: Counter[tuple[str, int]] = Counter()
    readers = _readers(row.enterprise) if waiting else []
    while waiting:
        counts += _hand_over(waiting, bool(readers), now)
        waiting = claimed(due(Channel.EMAIL).filter(enterprise_id=enterprise_id), CHUNK)
    if counts and readers:
        told = [
            {"service": service, "days": days, "devices": number}
            for (service, days), number in sorted(counts.items(), key=lambda each: (each[0][1], each[0][0]))
        ]
        DigestMail.objects.bulk_create(
            DigestMail(enterprise_id=enterprise_id, user_id=user, counts=told, due_at=wall, created_at=now)
            for user in readers
        )
    row.digest_due_at = next_digest(row.enterprise.time_zone, now)
    row.save(update_fields=["digest_due_at"])
    return 1


def _hand_over(rows: Sequence[Waiting], has_readers: bool, now: datetime) -> Counter[tuple[str, int]]:
    going, over = still_true(rows, announcing(), Channel.EMAIL, now)
    status, reason = (NoticeStatus.HANDED_OVER, "") if has_readers else (NoticeStatus.FAILED, Reason.NO_RECIPIENT.value)
    close([*over, *(Verdict(row.id, status, now, reason) for row, _service in going)])
    return Counter((row.service.value, row.days) for row, _service in going)


def _readers(enterprise: Enterprise) -> list[int]:
    members = Membership.objects.filter(enterprise=enterprise, role__in=READERS, user__is_active=True)
    return sorted(set(members.values_list("user_id", flat=True)))


@transaction.atomic
def _claim_mail(wall: datetime) -> DigestMail | None:
    waiting = DigestMail.objects.filter(status=MailStatus.WAITING.value, due_at__lte=wall).order_by("due_at")
    mail: DigestMail | None = (
        waiting.select_for_update(skip_locked=True, of=("self",)).select_related("user", "enterprise").first()
    )
    if mail is not None:
        mail.attempts, mail.due_at = mail.attempts + 1, wall + LEASE
        mail.save(update_fields=["attempts", "due_at"])
    return mail


def _send(mail: DigestMail) -> str:
    with translation.override(mail.user.language):
        lines = [
            {
                "words": sentence(count),
                "link": settings.BASE_URL.rstrip("/") + link_to(count["service"], count["days"], mail.enterprise_id),
            }
            for count in mail.counts
        ]
    return send_mail(
        to=mail.user.email,
        template="expiring",
        language=mail.user.language,
        context={
            "lines": lines,
            "enterprise": mail.enterprise.name,
            "devices": sum(each["devices"] for each in mail.counts),
        },
    )


def _settle(mail: DigestMail, problem: str, now: datetime, wall: datetime) -> None:
    if not problem:
        done = {"status": MailStatus.SENT.value, "sent_at": now, "due_at": None, "problem": ""}
    elif mail.attempts >= MOST_ATTEMPTS:
        done = {"status": MailStatus.FAILED.value, "due_at": None, "problem": problem[:200]}
    else:
        done = {"due_at": wall + FIRST_RETRY * (1 << (mail.attempts - 1)), "problem": problem[:200]}
    DigestMail.objects.filter(pk=mail.pk, attempts=mail.attempts).update(**done)
