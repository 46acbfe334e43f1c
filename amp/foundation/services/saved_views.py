"""Keeping and dropping views of lists (F76): who may do so is the entry point's question."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.models import Enterprise, SavedView, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Refused

MOST = 30
"""Own views of one list: more would be a list of their own."""


def save_view(
    *,
    owner: User,
    enterprise: Enterprise,
    list_name: str,
    name: str,
    query: str,
    is_shared: bool,
    now: datetime,
    instead_of: SavedView | None = None,
) -> SavedView:
    """Keep `query` under `name`; the owner's view of that name is replaced.

    `instead_of` is a view of the owner's that gets the name, whatever it was called. Raises Refused.
    """
    name = " ".join(name.replace("\0", "").split())
    if not 1 <= len(name) <= 60:
        raise Refused.because(_("Give the view a name of at most 60 characters."))
    if len(query) > 2_000:
        raise Refused.because(_("These filters are too long to be kept."))
    # All of the owner's: a view kept before they moved to another enterprise holds its name, though no list shows it.
    with transaction.atomic(), system_scope():
        own = SavedView.objects.filter(owner=owner, list_name=list_name)
        if instead_of and own.exclude(pk=instead_of.pk).filter(name=name).exists():
            raise Refused.because(_("You have another view of that name. Choose a different one."))
        if instead_of is None and own.exclude(name=name).count() >= MOST:
            raise Refused.because(_("You have kept as many views of this list as fit. Delete one first."))
        facts = {"query": query, "is_shared": is_shared, "enterprise": enterprise, "name": name}
        which = {"pk": instead_of.pk} if instead_of else {"name": name}
        view, _made = own.update_or_create(
            **which,
            defaults=facts,
            create_defaults={**facts, "owner": owner, "list_name": list_name, "created_at": now},
        )
        _record("saved_view.saved", view, owner, now)
    return view


def delete_view(*, view: SavedView, actor: User, now: datetime) -> None:
    """Drop it."""
    with transaction.atomic():
        _record("saved_view.deleted", view, actor, now)
        view.delete()


def _record(kind: str, view: SavedView, actor: User, now: datetime) -> None:
    after = {"list": view.list_name, "name": view.name, "filter": view.query, "shared": view.is_shared}
    record_about(view, kind, actor=actor.email, now=now, after=after)
