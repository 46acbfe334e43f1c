"""The tree of enterprises and who is paid in it (E1, E2)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.calendar import UnknownZone, check_zone
from amp.foundation.models import Enterprise, Merchant, MerchantStatus, User
from amp.foundation.money import UnknownCurrency, minor_digits
from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Problem, Refused

MAX_PATH = 500
MERCHANT_ID = re.compile(r"[A-Za-z0-9_-]{4,32}")


class EnterpriseRefused(Refused):
    """The enterprise can't be saved like this."""


class MerchantRefused(Refused):
    """The merchant can't be set or verified like this (E2)."""


@transaction.atomic
def create_enterprise(
    *, name: str, parent: Enterprise | None, time_zone: str, currency: str, actor: str, now: datetime
) -> Enterprise:
    """A new node below `parent`, or a new root. Raises EnterpriseRefused."""
    name = _checked(name, time_zone, currency)
    enterprise = Enterprise.objects.create(
        name=name,
        parent=parent,
        path=f"new:{uuid.uuid4()}",
        time_zone=time_zone,
        currency=currency,
        created_at=now,
    )
    enterprise.path = f"{parent.path if parent else '/'}{enterprise.pk}/"
    if len(enterprise.path) > MAX_PATH:
        raise EnterpriseRefused.because(_("The tree is too deep here. Choose a parent further up."), "parent")
    enterprise.save(update_fields=["path"])
    record_about(enterprise, "enterprise.created", actor=actor, now=now, after=_told(enterprise))
    return enterprise


@transaction.atomic
def edit_enterprise(
    *, enterprise: Enterprise, name: str, time_zone: str, currency: str, actor: str, now: datetime
) -> Enterprise:
    """Change name, zone or currency; later periods use the new zone (A14). Raises EnterpriseRefused."""
    name = _checked(name, time_zone, currency)
    locked = _locked(enterprise)
    before = _told(locked)
    locked.name, locked.time_zone, locked.currency = name, time_zone, currency
    if _told(locked) != before:
        locked.save(update_fields=["name", "time_zone", "currency"])
        record_about(locked, "enterprise.edited", actor=actor, now=now, before=before, after=_told(locked))
    return locked


@transaction.atomic
def set_merchant(*, enterprise: Enterprise, name: str, merchant_id: str, user: User, now: datetime) -> Merchant:
    """Set whom the enterprise is paid through (E2).

    The first merchant sells at once. A change redirects money: it is a draft, and replaces an earlier draft, until
    `verify_merchant`. The verified merchant entered again drops the draft. Raises MerchantRefused.
    """
    name, merchant_id = name.strip(), merchant_id.strip()
    _check_merchant(name, merchant_id)
    _locked(enterprise)
    known = {merchant.status: merchant for merchant in Merchant.objects.filter(enterprise=enterprise).order_by("id")}
    verified = known.get(MerchantStatus.VERIFIED.value)
    draft = known.get(MerchantStatus.DRAFT.value)
    if verified and (verified.name, verified.merchant_id) == (name, merchant_id):
        _drop_draft(draft, user, now)
        return verified
    if not known:
        return _first_merchant(enterprise, name, merchant_id, user, now)
    return _propose(enterprise, draft, name, merchant_id, user, now)


@transaction.atomic
def verify_merchant(*, merchant: Merchant, user: User, now: datetime) -> Merchant:
    """Put a drafted merchant in force: the old one sells until this moment. Raises MerchantRefused.

    Another administrator than the one who proposed it (E2).
    """
    _locked(merchant.enterprise)
    draft = Merchant.objects.select_related("enterprise").get(pk=merchant.pk)
    if draft.status != MerchantStatus.DRAFT.value:
        raise MerchantRefused.because(_("This merchant is not waiting for verification. Reload the page."))
    if (draft.name, draft.merchant_id) != (merchant.name, merchant.merchant_id):
        raise MerchantRefused.because(_("The draft was changed meanwhile. Reload the page and look at it again."))
    if draft.proposed_by_id is None or draft.proposed_by_id == user.pk:
        raise MerchantRefused.because(_("Ask another administrator: who changed the merchant can't verify it too."))
    current = Merchant.objects.filter(enterprise_id=draft.enterprise_id, status=MerchantStatus.VERIFIED.value)
    before = next((_merchant_told(merchant) for merchant in current), None)
    current.update(status=MerchantStatus.RETIRED.value)
    draft.status = MerchantStatus.VERIFIED.value
    draft.verified_by = user
    draft.save(update_fields=["status", "verified_by"])
    record_about(
        draft.enterprise, "merchant.verified", actor=user.email, now=now, before=before, after=_merchant_told(draft)
    )
    return draft


def effective_merchant(enterprise: Enterprise) -> Merchant | None:
    """The verified merchant of the enterprise or of its nearest ancestor that has one (E1)."""
    return effective_merchants([enterprise]).get(enterprise.pk)


def effective_merchants(enterprises: Iterable[Enterprise]) -> dict[int, Merchant]:
    """Effective merchant by enterprise id, in one query; without an entry where there is none."""
    lines = {enterprise.pk: [enterprise.pk, *reversed(enterprise.ancestor_ids)] for enterprise in enterprises}
    verified = {
        merchant.enterprise_id: merchant
        for merchant in Merchant.objects.filter(
            enterprise_id__in={pk for line in lines.values() for pk in line}, status=MerchantStatus.VERIFIED.value
        )
    }
    found = {pk: next((verified[node] for node in line if node in verified), None) for pk, line in lines.items()}
    return {pk: merchant for pk, merchant in found.items() if merchant}


def _first_merchant(enterprise: Enterprise, name: str, merchant_id: str, user: User, now: datetime) -> Merchant:
    merchant = Merchant.objects.create(
        enterprise=enterprise,
        name=name,
        merchant_id=merchant_id,
        status=MerchantStatus.VERIFIED.value,
        proposed_by=user,
        verified_by=user,
        created_at=now,
    )
    record_about(enterprise, "merchant.set", actor=user.email, now=now, after=_merchant_told(merchant))
    return merchant


def _propose(
    enterprise: Enterprise, draft: Merchant | None, name: str, merchant_id: str, user: User, now: datetime
) -> Merchant:
    before = _merchant_told(draft) if draft else None
    draft = draft or Merchant(enterprise=enterprise, status=MerchantStatus.DRAFT.value)
    draft.name, draft.merchant_id = name, merchant_id
    draft.proposed_by, draft.created_at = user, now
    draft.save()
    record_about(enterprise, "merchant.proposed", actor=user.email, now=now, before=before, after=_merchant_told(draft))
    return draft


def _drop_draft(draft: Merchant | None, user: User, now: datetime) -> None:
    if draft is None:
        return
    before = _merchant_told(draft)
    draft.status = MerchantStatus.RETIRED.value
    draft.save(update_fields=["status"])
    record_about(
        draft.enterprise, "merchant.dropped", actor=user.email, now=now, before=before, after=_merchant_told(draft)
    )


def _checked(name: str, time_zone: str, currency: str) -> str:
    name = name.strip()
    problems = []
    if not 1 <= len(name) <= 120:
        problems.append(Problem("name", _("Give a name of 1 to 120 characters.")))
    try:
        check_zone(time_zone)
    except UnknownZone as unknown:
        problems.append(Problem("time_zone", str(unknown)))
    try:
        minor_digits(currency)
    except UnknownCurrency as unknown:
        problems.append(Problem("currency", str(unknown)))
    if problems:
        raise EnterpriseRefused(problems)
    return name


def _check_merchant(name: str, merchant_id: str) -> None:
    problems = []
    if not 1 <= len(name) <= 160:
        problems.append(Problem("name", _("Give the legal name, at most 160 characters.")))
    if not MERCHANT_ID.fullmatch(merchant_id):
        problems.append(Problem("merchant_id", _("Use 4 to 32 letters, digits, - or _.")))
    if problems:
        raise MerchantRefused(problems)


def _locked(enterprise: Enterprise) -> Enterprise:
    """The row, so that changes of one enterprise queue; no key change, so that rows may still refer to it."""
    locked: Enterprise = Enterprise.objects.select_for_update(no_key=True).get(pk=enterprise.pk)
    return locked


def _told(enterprise: Enterprise) -> dict[str, Any]:
    return {
        "name": enterprise.name,
        "parent": enterprise.parent_id,
        "time_zone": enterprise.time_zone,
        "currency": enterprise.currency,
    }


def _merchant_told(merchant: Merchant) -> dict[str, Any]:
    return {"name": merchant.name, "merchant_id": merchant.merchant_id, "status": merchant.status}
