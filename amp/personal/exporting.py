"""Everything that is held about one person, as a ZIP of JSON (X6; GDPR Art. 15 and 20, PIPL Art. 45)."""

from __future__ import annotations

import json
import zipfile
from datetime import datetime
from typing import IO, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from amp.foundation.models import Membership
from amp.foundation.services.events import EventDraft, record_event
from amp.personal.columns import BESIDE
from amp.personal.persons import Person
from amp.personal.rewriting import only_own
from amp.personal.rows import held, tables

EXPORTED = "platform.person_exported"


def export_person(*, person: Person, to: IO[bytes], actor: str, now: datetime) -> dict[str, int]:
    """Write the ZIP: one file a table, and the account's roles. Rows by table; the record says that, and not what.

    Secrets are in none of them, and addresses of other people are hidden.
    """
    told: dict[str, int] = {}
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as package:
        for model, columns in tables():
            rows = [_row(row, columns, person) for part in held(model, columns, person) for row in part]
            if rows:
                told[model._meta.label] = len(rows)
                package.writestr(f"{model._meta.label_lower}.json", _json(rows))
        if person.user is not None:
            package.writestr("roles.json", _json(_roles(person)))
        package.writestr("about.json", _json({"exported_at": now, "rows": told, "known_by": _known_by(person)}))
    with transaction.atomic():
        subject = f"user:{person.user.pk}" if person.user else "person:payer"
        record_event(EventDraft(EXPORTED, subject, None, now, actor, after={"rows": sum(told.values())}), now=now)
    return told


def _row(row: Any, columns: list[str], person: Person) -> dict[str, Any]:
    beside = BESIDE.get(row._meta.label, "").split()
    return {"id": row.pk, **{name: only_own(getattr(row, name), person.traces) for name in [*beside, *columns]}}


def _roles(person: Person) -> list[dict[str, Any]]:
    held_roles = Membership.objects.filter(user=person.user).select_related("enterprise")
    return [{"enterprise": each.enterprise.name, "role": each.role} for each in held_roles]


def _known_by(person: Person) -> list[dict[str, str]]:
    return [{"kind": trace.kind.value, "text": trace.text} for trace in person.traces]


def _json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1)
