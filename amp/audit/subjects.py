"""What an event is about: "device:17" as the device's key with its page, and the way back from a key to its events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import CharField, F, Q, QuerySet, Value
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from billing.models import Bill, Order
from catalog.models import Plan, Product
from devices.models import Device


class Subject(NamedTuple):
    """`word` says what kind of thing it is, `name` which one, `url` leads to it where there is a page."""

    word: str
    name: str
    url: str


class Kind(NamedTuple):
    """One kind of subject: its word, its table, the column with its name, its page."""

    word: Any
    model: Any
    column: str
    page: str


KINDS = {
    "device": Kind(_("Device"), Device, "key", "admin:device_details"),
    "order": Kind(_("Order"), Order, "number", "admin:billing_order_change"),
    "product": Kind(_("Product"), Product, "name", "admin:catalog_product_change"),
    "plan": Kind(_("Plan"), Plan, "name", "admin:catalog_plan_change"),
    "bill": Kind(_("Gateway bill"), Bill, "file_name", "admin:billing_bill_change"),
    "enterprise": Kind(_("Enterprise"), Enterprise, "name", "admin:foundation_enterprise_change"),
}
OTHERS = {
    "user": _("Person"),
    "member": _("Member"),
    "api_key": _("API key"),
    "webhook": _("Webhook"),
    "import": _("Import"),
    "list": _("List"),
    "lock_hold": _("Hold on locks"),
    "clock": _("Test clock"),
    "platform": _("Platform"),
}
FOUND = 200
"""A search finds the events of at most so many things."""


def name_subjects(subjects: Iterable[str]) -> dict[str, Subject]:
    """The subjects of one page, in one query over all their tables; what the reader may not see stays a number."""
    wanted: dict[str, set[int]] = defaultdict(set)
    told = {subject: _plain(subject) for subject in subjects}
    for subject in told:
        kind, _colon, number = subject.partition(":")
        if kind in KINDS and number.isdecimal():
            wanted[kind].add(int(number))
    for kind, pk, name in _names(wanted):
        told[f"{kind}:{pk}"] = Subject(str(KINDS[kind].word), name, reverse(KINDS[kind].page, args=[pk]))
    return told


def subjects_called(text: str) -> list[str]:
    """Subjects by what people know: a device's key, serial number or ICCID, an order's number, or "device:17"."""
    if ":" in text:
        return [text]
    devices = Device.objects.filter(Q(key=text) | Q(serial=text) | Q(iccid=text)).order_by("-pk")
    orders = Order.objects.filter(number=text)
    return [f"device:{pk}" for pk in devices.values_list("pk", flat=True)[:FOUND]] + [
        f"order:{pk}" for pk in orders.values_list("pk", flat=True)[:1]
    ]


def _plain(subject: str) -> Subject:
    kind, _colon, name = subject.partition(":")
    word = OTHERS.get(kind) or (KINDS[kind].word if kind in KINDS else kind)
    return Subject(str(word), name, "")


def _names(wanted: dict[str, set[int]]) -> Iterable[tuple[str, int, str]]:
    parts = [_part(kind, pks) for kind, pks in wanted.items()]
    if not parts:
        return []
    return parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]


def _part(kind: str, pks: set[int]) -> QuerySet[Any, tuple[str, int, str]]:
    rows = KINDS[kind].model.objects.filter(pk__in=pks).order_by()
    named = rows.annotate(
        subject_kind=Value(kind, CharField()), subject_name=Cast(F(KINDS[kind].column), CharField(max_length=200))
    )
    found: QuerySet[Any, tuple[str, int, str]] = named.values_list("subject_kind", "pk", "subject_name")
    return found
