"""What happened to the money of a payment exception, told from its facts in the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from amp.foundation.money import UnknownCurrency, format_money
from billing.orders import shown_transaction

Facts = Mapping[str, Any]


def told(facts: Facts) -> str:
    """One sentence; facts of a code that this version doesn't know are shown as they are stored."""
    teller = TELLERS.get(facts.get("code", ""))
    try:
        return teller(facts) if teller else _stored(facts)
    except KeyError:
        return _stored(facts)


def _paid_otherwise(facts: Facts) -> str:
    paid = _money(facts["paid"], facts["paid_currency"])
    return _("%(paid)s were paid, %(asked)s were asked for.") % {
        "paid": paid,
        "asked": _money(facts["asked"], facts["asked_currency"]),
    }


def _paid_to_another(facts: Facts) -> str:
    return _("Merchant %(paid_to)s was paid; the seller is %(sold_by)s.") % _named(facts, "paid_to", "sold_by")


def _paid_late(facts: Facts) -> str:
    return _("Order %(order)s was paid after it had ended.") % _named(facts, "order")


def _paid_twice(facts: Facts) -> str:
    sentence = _("Transaction %(transaction)s pays for order %(order)s, which was paid before.")
    return sentence % {"transaction": shown_transaction(facts["transaction"]), "order": facts["order"]}


def _not_renewed(facts: Facts) -> str:
    sentence = ngettext(
        "%(unapplied)s of %(devices)s device of order %(order)s could not be renewed.",
        "%(unapplied)s of %(devices)s devices of order %(order)s could not be renewed.",
        facts["devices"],
    )
    numbers = {name: f"{facts[name]:,}" for name in ("unapplied", "devices")}
    return sentence % {**numbers, "order": facts["order"]}


def _never_answered(facts: Facts) -> str:
    sentence = ngettext(
        "The gateway was asked %(asked)s time about order %(order)s and never said whether it was paid.",
        "The gateway was asked %(asked)s times about order %(order)s and never said whether it was paid.",
        facts["asked"],
    )
    return sentence % {"asked": f"{facts['asked']:,}", "order": facts["order"]}


def _noted(facts: Facts) -> str:
    return str(facts["note"])


def _named(facts: Facts, *names: str) -> dict[str, Any]:
    return {name: facts[name] for name in names}


def _money(amount: int, currency: str) -> str:
    try:
        return format_money(amount, currency, get_language() or "en")
    except UnknownCurrency:  # a gateway may name any
        return f"{amount:,} {currency}"


def _stored(facts: Facts) -> str:
    return " · ".join(f"{name}: {value}" for name, value in facts.items())


TELLERS: dict[str, Callable[[Facts], str]] = {
    "paid_otherwise": _paid_otherwise,
    "paid_to_another": _paid_to_another,
    "paid_late": _paid_late,
    "paid_twice": _paid_twice,
    "not_renewed": _not_renewed,
    "never_answered": _never_answered,
    "noted": _noted,
}
"""By code. `noted` holds what an older version wrote as a sentence of its own."""
