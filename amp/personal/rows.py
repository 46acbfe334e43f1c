"""Where a person's traces stand: table by table, slice by slice along the primary key (X6)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import JSONField, Model, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import User
from amp.personal.columns import OWN, PERSONAL
from amp.personal.persons import Person
from amp.personal.rewriting import Rewriting, Trace, TraceKind, is_pseudonym
from billing.fapiao import FapiaoStatus
from billing.models import FapiaoRequest, PaymentAttempt
from billing.orders import AttemptStatus

SLICE = 500
WAITING = (AttemptStatus.CREATED.value, AttemptStatus.UNKNOWN.value, AttemptStatus.PENDING.value)


class Stays(NamedTuple):
    """What an erasure leaves, how much of it, and why."""

    what: Any
    number: int
    why: Any


def tables() -> Iterator[tuple[type[Model], list[str]]]:
    """Tables that may hold personal data, with their columns; the account itself comes last."""
    for label, columns in sorted(PERSONAL.items(), key=lambda each: each[0] == "foundation.User"):
        yield apps.get_model(label), columns.split()


def candidates(model: type[Model], columns: list[str], person: Person) -> QuerySet[Any]:
    """Rows whose columns may hold a trace; `Rewriting` says whether they do. Those that the person paid by are too."""
    rows, wanted = model._base_manager.all(), Q()
    for column in columns:
        is_document = isinstance(model._meta.get_field(column), JSONField)
        if is_document:
            rows = rows.alias(**{f"{column}_text": Cast(column, TextField())})
        name = f"{column}_text" if is_document else column
        for trace in person.traces:
            for text in {trace.text, json.dumps(trace.text)[1:-1]} if is_document else {trace.text}:
                wanted |= Q(**{f"{name}__icontains": text})
    if model in {PaymentAttempt, FapiaoRequest} and person.orders:
        wanted |= Q(order__in=person.orders)
    return rows.filter(wanted).order_by("pk") if wanted else rows.none()


def held(model: type[Model], columns: list[str], person: Person) -> Iterator[list[Any]]:
    """The rows that hold a trace, in slices."""
    looking, after = Rewriting(person.traces, "?"), None
    while True:
        rows = candidates(model, columns, person)
        part = list((rows if after is None else rows.filter(pk__gt=after))[:SLICE])
        if not part:
            return
        after = part[-1].pk
        if found := [row for row in part if rewritten(row, columns, looking, person)]:
            yield found


def rewritten(row: Any, columns: list[str], rewriting: Rewriting, person: Person) -> dict[str, Any]:
    """The columns of a row that change, with what they become."""
    if isinstance(row, PaymentAttempt) and row.status in WAITING:
        return {}
    own = OWN.get(row._meta.label, "").split()
    changes = {}
    for column in columns:
        value = getattr(row, column)
        fresh = _own(row, column, rewriting, person) if column in own else rewriting.of(value)
        if column == "payer_ip" and row.order_id in person.orders:
            fresh = ""
        if fresh != value:
            length = getattr(row._meta.get_field(column), "max_length", None)
            changes[column] = fresh[:length] if length and isinstance(fresh, str) else fresh
    return changes


def _own(row: Any, column: str, rewriting: Rewriting, person: Person) -> str:
    """What becomes of a column that tells whose the row is."""
    value: str = getattr(row, column)
    if not value or is_pseudonym(value) or not _belongs(row, person):
        return value
    if isinstance(row, FapiaoRequest) and column != "email":
        if row.status != FapiaoStatus.REFUSED.value:
            return value
        return rewriting.pseudonym if column == "title" else ""
    return rewriting.replacement(Trace(TraceKind.EMAIL if column == "email" else TraceKind.NAME, value))


def _belongs(row: Any, person: Person) -> bool:
    if isinstance(row, User):
        return person.user is not None and row.pk == person.user.pk
    if isinstance(row, FapiaoRequest) and row.order_id in person.orders:
        return True
    return any(trace.text == row.email.lower() for trace in person.traces if trace.kind is TraceKind.EMAIL)


def counted(person: Person) -> dict[type[Model], int]:
    """How many rows of each table hold something about the person."""
    found = {model: sum(map(len, held(model, columns, person))) for model, columns in tables()}
    return {model: number for model, number in found.items() if number}


def stays(person: Person) -> list[Stays]:
    """What has to stay, each with its reason."""
    texts = [trace.text for trace in person.traces]
    papers = FapiaoRequest.objects.filter(Q(email__in=texts) | Q(order__in=person.orders))
    issued = papers.filter(status=FapiaoStatus.ISSUED.value).count()
    asked = papers.filter(status=FapiaoStatus.REQUESTED.value).count()
    payers = PaymentAttempt.objects.filter(Q(payer_id__in=texts) | Q(order__in=person.orders), status__in=WAITING)
    found = [
        Stays(
            _("Buyer's name and tax number of issued fapiao"),
            issued,
            _("Tax law asks for them as long as it keeps vouchers (GDPR Art. 17 (3) b, PIPL Art. 47)."),
        ),
        Stays(
            _("Buyer's name and tax number of fapiao that are still to be issued"),
            asked,
            _("Without them it can't be issued. Issue or refuse it first."),
        ),
        Stays(
            _("Payments that are under way"),
            payers.exclude(payer_id="", payer_ip="").count(),
            _("The gateway is asked with the same payer. Erase again once they have ended."),
        ),
    ]
    return [each for each in found if each.number]
