"""Forgetting a person (X6; GDPR Art. 17, PIPL Art. 47): their traces become a pseudonym, no row of a ledger goes.

First the account is closed, in a transaction with the erasure's own row; then table after table is rewritten in slices,
the account last. Killed anywhere, the same call goes on under the same pseudonym; a second one finds nothing.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from contextlib import nullcontext
from datetime import datetime
from typing import Any, NamedTuple

from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from alerts.models import DigestMail, MailStatus
from amp.foundation.appendonly import Permit, permitted
from amp.foundation.models import ApiKey, Erasure, Event, IdempotencyRecord, Invitation, Membership, Role, User
from amp.foundation.sealed import seal, unseal
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.second_factor import forget_second_factor
from amp.personal.persons import Person, PersonRefused
from amp.personal.rewriting import Rewriting, Trace, TraceKind
from amp.personal.rows import counted, held, rewritten, tables

ERASED = "platform.person_erased"


class Erased(NamedTuple):
    """The pseudonym, and how many rows of each table were rewritten."""

    pseudonym: str
    rows: dict[str, int]


def erase_person(*, person: Person, actor: str, now: datetime, wall: datetime) -> Erased:
    """Replace all that tells who the person is. Raises PersonRefused, see `check_erasable`."""
    erasure, known = _begin(person, actor, now, wall)
    rewriting = Rewriting(known.traces, erasure.pseudonym)
    done: Counter[str] = Counter()
    for model, columns in tables():
        for part in held(model, columns, known):
            done[model._meta.label] += _rewrite(model, columns, [row.pk for row in part], rewriting, known)
    _finish(erasure, dict(done), actor, now)
    return Erased(erasure.pseudonym, dict(done))


def check_erasable(person: Person, actor: str) -> None:
    """Raise PersonRefused where somebody would erase themselves, or the last who can run the platform."""
    if person.user is None:
        return
    if person.user.email == actor.lower():
        raise PersonRefused.because(_("Ask another administrator: nobody erases themselves."), "asked")
    keepers = Membership.objects.filter(role=Role.PLATFORM_ADMINISTRATOR.value, user__is_active=True)
    if keepers.filter(user=person.user).exists() and not keepers.exclude(user=person.user).exists():
        raise PersonRefused.because(_("This is the last platform administrator."), "asked")


def unfinished() -> list[tuple[Erasure, Person]]:
    """Erasures that were begun and not ended, with whom they are about."""
    return [(row, _known(row)) for row in Erasure.objects.filter(finished_at=None).order_by("pk")]


def owner_of(erasure: Erasure) -> str:
    """Whom the texts of an erasure are sealed for."""
    return f"erasure:{erasure.pseudonym}"


@transaction.atomic
def _begin(person: Person, actor: str, now: datetime, wall: datetime) -> tuple[Erasure, Person]:
    """The erasure, and whom it is about: who is half rewritten can't be found by every text of theirs any more."""
    list(Membership.objects.filter(role=Role.PLATFORM_ADMINISTRATOR.value).order_by("pk").select_for_update())
    check_erasable(person, actor)
    for erasure, known in unfinished():
        if {*known.traces} & {*person.traces}:
            whole = known._replace(
                traces=tuple(dict.fromkeys([*known.traces, *person.traces])),
                orders=tuple(sorted({*known.orders, *person.orders})),
            )
            return erasure, whole
    if person.user is None and not counted(person):
        raise PersonRefused.because(_("Nothing is held about anybody by that name."), "asked")
    erasure = Erasure(pseudonym=f"person-{secrets.token_hex(6)}", user=person.user, asked_by=actor, began_at=now)
    erasure.sealed_traces = seal(json.dumps([person.traces, person.orders]).encode(), owner_of(erasure))
    erasure.save()
    if person.user is not None:
        _close(person.user, wall)
    _forget_attempts(person, now)
    return erasure, person


def _close(user: User, wall: datetime) -> None:
    """Nobody signs in as this person again, and nothing acts for them."""
    user.is_active = False
    user.set_unusable_password()
    user.save(update_fields=["is_active", "password"])
    forget_second_factor(user)
    ApiKey.objects.filter(created_by=user, revoked_at=None).update(revoked_at=wall)
    IdempotencyRecord.objects.filter(api_key__created_by=user).delete()
    DigestMail.objects.filter(user=user, status=MailStatus.WAITING.value).delete()
    user.memberships.all().delete()
    for session in Session.objects.filter(expire_date__gt=wall).iterator():
        if session.get_decoded().get("_auth_user_id") == str(user.pk):
            session.delete()


def _forget_attempts(person: Person, now: datetime) -> None:
    """Failures to sign in and open invitations by these addresses."""
    for trace in person.traces:
        if trace.kind is TraceKind.EMAIL:
            AccessAttempt.objects.filter(username__iexact=trace.text).delete()
            Invitation.objects.filter(email__iexact=trace.text, accepted_at=None, voided_at=None).update(voided_at=now)


@transaction.atomic
def _rewrite(model: type[Model], columns: list[str], pks: list[Any], rewriting: Rewriting, person: Person) -> int:
    """One slice, locked and read anew; number of rows that changed."""
    rows = list(model._base_manager.filter(pk__in=pks).order_by("pk").select_for_update(of=("self",), no_key=True))
    changed: list[Model] = []
    for row in rows:
        changes = rewritten(row, columns, rewriting, person)
        for column, value in changes.items():
            setattr(row, column, value)
        changed += [row] if changes else []
    with permitted(Permit.ERASURE) if model is Event else nullcontext():
        model._base_manager.bulk_update(changed, columns)
    return len(changed)


@transaction.atomic
def _finish(erasure: Erasure, done: dict[str, int], actor: str, now: datetime) -> None:
    Erasure.objects.filter(pk=erasure.pk).update(finished_at=now, sealed_traces="")
    told = {"pseudonym": erasure.pseudonym, "rows": sum(done.values())}
    record_event(EventDraft(ERASED, f"person:{erasure.pseudonym}", None, now, actor, after=told), now=now)


def _known(erasure: Erasure) -> Person:
    traces, orders = json.loads(unseal(erasure.sealed_traces, owner_of(erasure)))
    return Person(erasure.user, tuple(Trace(TraceKind(kind), text) for kind, text in traces), tuple(orders))
