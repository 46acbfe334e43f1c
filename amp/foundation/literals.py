"""Columns of values in PostgreSQL's own words: the text of an array, and the lines of a COPY.

JSON writes a list of texts, numbers, moments or identifiers as PostgreSQL writes an array of them, as long as nothing
has to be escaped, and orjson writes a column in one call: a tenth of what the values cost one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson

_NATIVE: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("CharField", "TextField"), (str,)),
    **dict.fromkeys(("BigAutoField", "BigIntegerField", "IntegerField", "PositiveIntegerField"), (int,)),
    **dict.fromkeys(("PositiveSmallIntegerField", "ForeignKey", "OneToOneField"), (int,)),
    "BooleanField": (bool,),
    "DateTimeField": (datetime,),
    "JSONField": (dict, list),
    "UUIDField": (UUID,),
}
"""What fields hold that needs no preparation; a subclass (an enumeration's member) isn't plain."""

_COPY_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_ARRAY_ESCAPES = {"\\": "\\\\", '"': '\\"'}
_DOCUMENTS = {dict, list}
_UTC = {UTC, ZoneInfo("UTC")}
_AS_JSON_HAS_IT = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
"""Whoever puts a moment into a document says how it is written."""


def array(field: Any, column: Sequence[Any]) -> str | None:
    """The text of an array of values of a model's field; None where one of them isn't plain."""
    kinds = _kinds(field, column)
    return None if kinds is None else _array(column, kinds)


def array_of(values: Collection[str] | Collection[int]) -> str:
    """The text of an array of texts or whole numbers, for conditions and statements of one's own."""
    return cast("str", _array([*values], {*map(type, values)}))  # both always have words


def lines(field: Any, column: Sequence[Any]) -> list[str] | None:
    """COPY's text of each value of a model's field; None where one of them isn't plain."""
    kinds = _kinds(field, column)
    texts = None if kinds is None else _texts(column, kinds, _COPY_ESCAPES)
    return None if texts is None else ["\\N" if text is None else text for text in texts]


def _array(column: Sequence[Any], kinds: set[type]) -> str | None:
    text = _listed(column, kinds)
    if text is not None and "\\" not in text:
        return "{" + text + "}"
    texts = _texts(column, kinds, _ARRAY_ESCAPES)
    return None if texts is None else "{" + ",".join(["NULL" if text is None else f'"{text}"' for text in texts]) + "}"


def _kinds(field: Any, values: Sequence[Any]) -> set[type] | None:
    """The types of the values; None where one of them needs preparation."""
    native = _NATIVE.get(field.get_internal_type())
    kinds = {*map(type, values)} - {type(None)}
    return None if native is None or not kinds.issubset(native) or getattr(field, "encoder", None) else kinds


def _texts(values: Sequence[Any], kinds: set[type], escapes: dict[str, str]) -> Sequence[str | None] | None:
    """PostgreSQL's text of each value, None for NULL; no list where one of them isn't plain after all."""
    if kinds <= {str}:
        return _escaped(values, escapes)
    if kinds <= _DOCUMENTS:
        return _escaped(_documents(values), escapes)
    text = _listed(values, kinds)
    if text is None:
        return None
    return [None if word == "null" else word for word in text.replace('"', "").split(",")]


def _listed(values: Sequence[Any], kinds: set[type]) -> str | None:
    """The values as JSON lists them, all in one call; None for documents and for what JSON or PostgreSQL can't take."""
    if kinds & _DOCUMENTS:
        return None
    if datetime in kinds:
        zones = {value.tzinfo for value in values if value is not None}
        if None in zones:
            return None
        if not zones <= _UTC:  # JSON knows no seconds in an offset, which local times had a century ago
            values = [value and value.astimezone(UTC) for value in values]
    try:
        return orjson.dumps(values)[1:-1].decode()
    except orjson.JSONEncodeError:  # half of a surrogate pair, a number beyond 64 bits: the driver finds the words
        return None


def _documents(values: Sequence[Any]) -> list[str | None]:
    """Many rows of a set share a document as one object: each is put into words once."""
    places = [*map(id, values)]
    once = dict(zip(places, values, strict=True))
    words = {place: None if value is None else _json(value) for place, value in once.items()}
    return [words[place] for place in places]


def _json(value: Any) -> str:
    return orjson.dumps(value, option=_AS_JSON_HAS_IT).decode()


def _escaped(texts: Sequence[str | None], escapes: dict[str, str]) -> Sequence[str | None]:
    """Most columns hold nothing to escape, which one look at all of it tells."""
    whole = "".join([text for text in texts if text])
    for character, escape in escapes.items():  # the backslash first
        if character in whole:
            texts = [text and text.replace(character, escape) for text in texts]
    return texts
