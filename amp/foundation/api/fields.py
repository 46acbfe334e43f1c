"""Strict input: an unknown field, a read-only field or a value of another JSON type is refused by name (F82)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db.models import Model, QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from amp.foundation.api.rows import Derived
from amp.foundation.scoping import author_in

MAX_ID = 2**63 - 1


class Input(serializers.Serializer):
    """What a request may say. Names every field that it doesn't know, those of an answer included."""

    default_error_messages = {
        "unknown": _("Unknown field. Leave it out."),
        "invalid": _("Send a JSON object."),
    }

    def to_internal_value(self, data: Any) -> Any:
        """Unknown names together with the problems of known ones."""
        if not isinstance(data, dict):
            return super().to_internal_value(data)
        unknown = [name for name, field in self.fields.items() if field.read_only and name in data]
        unknown += [name for name in data if name not in self.fields]
        problems: dict[str, Any] = {}
        for name in unknown:
            message = self.error_messages["unknown"]
            problems[str(name)[:80]] = [serializers.ErrorDetail(str(message), "unknown")]
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as refused:
            problems = {**refused.detail, **problems}  # type: ignore[dict-item]
        if problems:
            raise serializers.ValidationError(problems)
        return value


class Nothing(Input):
    """The body of an action that takes none: empty, or an empty object."""


class Text(serializers.CharField):
    """A JSON string, trimmed; no number in its place."""

    default_error_messages = {"invalid": _("Send a string.")}

    def to_internal_value(self, data: Any) -> str:
        """The text."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Choice(serializers.ChoiceField):
    """One string of a closed list."""

    def to_internal_value(self, data: Any) -> Any:
        """The chosen value."""
        if not isinstance(data, str):
            self.fail("invalid_choice", input=str(data)[:80])
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A JSON integer: no string, no fraction, no true."""

    default_error_messages = {"invalid": _("Send a whole number.")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": -MAX_ID, "max_value": MAX_ID, **kwargs})

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class Flag(serializers.BooleanField):
    """true or false, and no word that means it."""

    default_error_messages = {"invalid": _("Send true or false.")}

    def to_internal_value(self, data: Any) -> bool:
        """The value."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Moment(serializers.DateTimeField):
    """An instant of RFC 3339. Answered in UTC; asked for with an offset, for a local time alone is no instant (R8)."""

    default_error_messages = {"invalid": _("Send an instant with its offset, such as 2026-03-01T12:00:00Z.")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(default_timezone=UTC, **kwargs)

    def to_internal_value(self, value: Any) -> datetime:
        """The instant in UTC."""
        if not isinstance(value, str) or len(value) > 40:
            self.fail("invalid", format="RFC 3339")
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        self.fail("invalid", format="RFC 3339")


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": MAX_ID})
class RowId(serializers.Field):
    """The id of a row within the key's reach; another tenant's is refused exactly as a missing one (F73, R6)."""

    default_error_messages = {
        "does_not_exist": _("There is no such id."),
        "invalid": _("Send an id: a whole number."),
    }

    def __init__(self, rows: Callable[[], QuerySet[Any]], **kwargs: Any) -> None:
        self.rows = rows  # asked when a request is read, inside its scope; never at class level
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Model:
        """The row."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        row = self.rows().filter(pk=data).first() if 0 < data <= MAX_ID else None
        if row is None:
            self.fail("does_not_exist")
        return row

    def to_representation(self, value: Any) -> int:
        """The id."""
        return int(value.pk)


@extend_schema_field({"type": ["string", "null"], "description": "Null where the row belongs to an enterprise above."})
class Author(Derived):
    """Who made a row of this key's enterprises: a person's address, a key, or the system."""

    columns = ("enterprise_id", "created_by")

    def of(self, enterprise_id: int, created_by: str) -> str | None:
        """Null where the row is only readable."""
        return author_in(enterprise_id, created_by)
