"""The table of roles and actions as a document (X2)."""

from __future__ import annotations

from django.utils import translation

from amp.foundation.access import ACTION_NAMES, ALLOWED, NEEDS_TOTP, Action
from amp.foundation.models import Role
from amp.foundation.models.users import ROLE_CHOICES

INTRODUCTION = """# Roles

Written by `manage.py roles` from the table in `amp/foundation/access.py`, which every page, service and API key asks.
A role in an enterprise reaches down to the enterprises below it, never up or sideways. The first and the second column
are roles of the platform's own staff. Nobody gives a role that allows more than the own one.
"""


def roles_document() -> str:
    """Markdown, in English: one row for each action, one column for each role."""
    with translation.override("en"):
        roles = [(Role(value), str(name)) for value, name in ROLE_CHOICES]
        rows = [_row("May", [name for _role, name in roles]), _row("---", [":-:"] * len(roles))]
        rows += [
            _row(str(ACTION_NAMES[action]), [_cell(action in ALLOWED[role]) for role, _ in roles]) for action in Action
        ]
        rows.append(_row("Signs in with a second step", [_cell(role in NEEDS_TOTP) for role, _ in roles]))
    return f"{INTRODUCTION}\n" + "\n".join(rows) + "\n"


def _row(first: str, cells: list[str]) -> str:
    return f"| {' | '.join([first, *cells])} |"


def _cell(is_allowed: bool) -> str:
    return "yes" if is_allowed else "–"
