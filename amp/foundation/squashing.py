"""What squashed migrations share: an app's tables made at once.

After each operation Django makes the model classes anew that are related to what changed, and here nearly all are
related to the enterprise: table by table, an empty database would wait for that longer than for its tables.
"""

from __future__ import annotations

from typing import Any

from django.db.migrations import CreateModel
from django.db.migrations.operations.base import Operation


class CreateModels(Operation):
    """Migration operation: these tables, in this order; the model classes are made anew once, before the first."""

    serialization_expand_args = ["models"]

    def __init__(self, models: list[CreateModel]) -> None:
        self.models = models

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Without the classes that are there so far: they are made from the whole state when next asked for."""
        state.__dict__.pop("apps", None)
        state.is_delayed = False
        for each in self.models:
            each.state_forwards(app_label, state)

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Table by table."""
        for each in self.models:
            each.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """The last table first."""
        for each in reversed(self.models):
            each.database_backwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        """For `migrate --plan`."""
        return f"Create models {', '.join(each.name for each in self.models)}"
