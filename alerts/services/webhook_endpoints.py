"""Endpoints of webhooks: added, changed, their secrets rotated, switched off and on, removed (F87, F88).

Secrets are sealed for their endpoint, and in the answer of the call that made them; nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from alerts.channels.webhooks import NoAnswer, addresses_of
from alerts.models import DeliveryStatus, Webhook, WebhookDelivery, WebhookState, WebhookWhy
from alerts.webhooks.addresses import AddressRefused, Policy, Wrong, target_of
from alerts.webhooks.public import TYPES
from alerts.webhooks.signing import new_secret, secret_text
from amp.foundation import wakeups
from amp.foundation.models import Enterprise
from amp.foundation.sealed import seal, unseal
from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Problem, Refused

SEND = "alerts.tasks.send_webhooks"
MOST = 20
"""Endpoints of one enterprise."""
OVERLAPS = (timedelta(0), timedelta(hours=1), timedelta(hours=24), timedelta(hours=72))
"""How long an old secret may go on signing beside its successor."""
LOOKUP_SECONDS = 3.0
WORDS = {
    Wrong.TOO_LONG: gettext_lazy("The address is too long: use at most 500 characters."),
    Wrong.NOT_AN_ADDRESS: gettext_lazy("That is no address. Write it as https://example.com/path, in ASCII."),
    Wrong.NOT_HTTPS: gettext_lazy("Use https: events don't travel in the clear."),
    Wrong.WITH_USER: gettext_lazy("Leave out user name and password: the signature tells who sends."),
    Wrong.WITH_FRAGMENT: gettext_lazy("Leave out what follows #: it is never sent."),
    Wrong.PORT: gettext_lazy("Use port 443 or 8443."),
    Wrong.NOT_PUBLIC: gettext_lazy("This name leads to an address that is not on the public internet."),
}


class WebhookRefused(Refused):
    """The endpoint can't be saved or used like this; each problem names its field."""


class Terms(TypedDict, total=False):
    """What staff choose. No `types` means all."""

    name: str
    url: str
    types: Sequence[str]
    includes_descendants: bool


def policy() -> Policy:
    """What this installation allows."""
    return Policy(loopback=settings.WEBHOOK_LOOPBACK)


@transaction.atomic
def add_webhook(
    *, enterprise: Enterprise, actor: str, now: datetime, waits: float, **terms: Unpack[Terms]
) -> tuple[Webhook, str]:
    """A new endpoint, enabled, and its secret. It gets what happens from now on.

    `waits`: `time.monotonic()` of the caller, from which a lookup of the name may take 3 s. Raises WebhookRefused.
    """
    Enterprise.objects.select_for_update(no_key=True).get(pk=enterprise.pk)  # those of one enterprise queue: MOST
    if Webhook.objects.filter(enterprise=enterprise, removed_at=None).count() >= MOST:
        raise WebhookRefused.because(_("An enterprise has at most 20 webhooks. Remove one first."))
    webhook = Webhook(enterprise=enterprise, state_since=now, secret_since=now, created_at=now, created_by=actor)
    _take(webhook, terms, waits)
    secret = new_secret()
    webhook.secret = seal(secret, owner_of(webhook))
    webhook.save()
    record_about(webhook, "webhook.added", actor=actor, now=now, after=told(webhook))
    return webhook, secret_text(secret)


@transaction.atomic
def edit_webhook(*, webhook: Webhook, actor: str, now: datetime, waits: float, **terms: Unpack[Terms]) -> Webhook:
    """Other terms; what isn't given stays. Deliveries that wait go to the new address. Raises WebhookRefused."""
    locked = lock(webhook)
    before, was = told(locked), {name: getattr(locked, name) for name in terms}
    _take(locked, terms, waits)
    if was.get("url", locked.url) != locked.url:  # another receiver: what is known of the old one doesn't count
        locked.failing_since, locked.failures, locked.paused_until = None, 0, None
    if was != {name: getattr(locked, name) for name in terms}:
        locked.save()
        record_about(locked, "webhook.edited", actor=actor, now=now, before=before, after=told(locked))
    return locked


@transaction.atomic
def rotate_secret(
    *, webhook: Webhook, overlap: timedelta, actor: str, now: datetime, wall: datetime
) -> tuple[Webhook, str]:
    """A new secret; the one before signs beside it for `overlap`, then no more. At most two are live (F88)."""
    if overlap not in OVERLAPS:
        raise WebhookRefused.because(_("Choose one of the offered times."), "overlap")
    locked = lock(webhook)
    secret = new_secret()
    locked.old_secret, locked.old_until = (locked.secret, wall + overlap) if overlap else ("", None)
    locked.secret, locked.secret_since = seal(secret, owner_of(locked)), now
    locked.save(update_fields=["secret", "secret_since", "old_secret", "old_until"])
    hours = int(overlap / timedelta(hours=1))
    record_about(locked, "webhook.secret_rotated", actor=actor, now=now, after={"overlap_hours": hours})
    return locked, secret_text(secret)


@transaction.atomic
def enable_webhook(*, webhook: Webhook, actor: str, now: datetime) -> Webhook:
    """Events from now on are sent again; those given up meanwhile when somebody asks for them."""
    locked = lock(webhook)
    if locked.state != WebhookState.ENABLED.value:
        before = told(locked)
        locked.state, locked.state_why, locked.state_since = WebhookState.ENABLED.value, "", now
        locked.failing_since, locked.failures, locked.paused_until, locked.tell_at = None, 0, None, None
        locked.save()
        record_about(locked, "webhook.enabled", actor=actor, now=now, before=before, after=told(locked))
    return locked


@transaction.atomic
def disable_webhook(*, webhook: Webhook, why: WebhookWhy, actor: str, now: datetime, tell: bool = False) -> Webhook:
    """No event is sent any more; those that wait are given up, and stay to be sent again. `tell`: mail to staff."""
    locked = lock(webhook)
    if locked.state == WebhookState.ENABLED.value:
        before = told(locked)
        locked.state, locked.state_why, locked.state_since = WebhookState.DISABLED.value, why.value, now
        locked.tell_at, locked.tell_attempts = (now if tell else None), 0
        locked.save(update_fields=["state", "state_why", "state_since", "tell_at", "tell_attempts"])
        _give_up(locked, "the webhook was disabled", now)
        record_about(locked, "webhook.disabled", actor=actor, now=now, before=before, after=told(locked))
    return locked


@transaction.atomic
def remove_webhook(*, webhook: Webhook, actor: str, now: datetime) -> None:
    """It is gone from lists, and its secrets for good; the log of what was sent stays as long as its retention."""
    locked = lock(webhook)
    before = told(locked)
    locked.removed_at, locked.secret, locked.old_secret, locked.old_until = now, "", "", None
    locked.tell_at = None
    locked.save()
    _give_up(locked, "the webhook was removed", now)
    record_about(locked, "webhook.removed", actor=actor, now=now, before=before)


def live_secrets(webhook: Webhook, wall: datetime) -> list[bytes]:
    """The secrets that sign at this real time, the newest first."""
    secrets = [unseal(webhook.secret, owner_of(webhook))]
    if webhook.old_until and wall < webhook.old_until:
        secrets.append(unseal(webhook.old_secret, owner_of(webhook)))
    return secrets


def owner_of(webhook: Webhook) -> str:
    """Whom its secrets are sealed for."""
    return f"webhook:{webhook.public_id}"


def lock(webhook: Webhook) -> Webhook:
    """The endpoint, locked. Raises WebhookRefused where it was removed meanwhile."""
    rows = Webhook.objects.select_for_update(of=("self",), no_key=True).select_related("enterprise")
    locked: Webhook | None = rows.filter(pk=webhook.pk, removed_at=None).first()
    if locked is None:
        raise WebhookRefused.because(_("This webhook was removed."))
    return locked


def told(webhook: Webhook) -> dict[str, Any]:
    """The endpoint as the record keeps it; never a secret, nor a path or query, which often hold one."""
    return {
        "name": webhook.name,
        "host": urlsplit(webhook.url).netloc,
        "types": webhook.types,
        "includes_descendants": webhook.includes_descendants,
        "state": webhook.state,
        "why": webhook.state_why,
    }


def _take(webhook: Webhook, terms: Terms, waits: float) -> None:
    url_before = webhook.url
    for name, value in terms.items():
        setattr(webhook, name, value)
    webhook.name, webhook.url = webhook.name.strip(), webhook.url.strip()
    webhook.types = [name for name in TYPES if name in webhook.types]
    problems = [*_wrong_types(terms)]
    if not 1 <= len(webhook.name) <= 80:
        problems.append(Problem("name", _("Give a name of at most 80 characters.")))
    if webhook.url != url_before:
        problems += _wrong_address(webhook.url, waits)
    if problems:
        raise WebhookRefused(problems)


def _wrong_types(terms: Terms) -> list[Problem]:
    unknown = [str(name)[:60] for name in terms.get("types", ()) if name not in TYPES]
    if not unknown:
        return []
    return [Problem("types", _("There is no such event: %(names)s.") % {"names": ", ".join(unknown[:5])})]


def _wrong_address(url: str, waits: float) -> list[Problem]:
    """Where the name leads nowhere yet it may be saved: each delivery looks again."""
    try:
        addresses_of(target_of(url, policy()), policy(), waits + LOOKUP_SECONDS)
    except AddressRefused as refused:
        return [Problem("url", str(WORDS[refused.wrong]))]
    except (NoAnswer, TimeoutError):
        pass
    return []


def _give_up(webhook: Webhook, problem: str, now: datetime) -> None:
    WebhookDelivery.objects.filter(webhook=webhook, status=DeliveryStatus.PENDING.value).update(
        status=DeliveryStatus.DEAD.value, next_attempt_at=None, ended_at=now, problem=problem
    )


def wake() -> None:
    """Have workers look now; the next beat looks anyway."""
    wakeups.wake(SEND)
