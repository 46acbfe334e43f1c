"""A JSON document becomes a Tsl, or an InvalidTsl that names everything that is wrong with it (F69)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TypeVar

from catalog.tsl.model import (
    Access,
    DataType,
    Event,
    InvalidTsl,
    Level,
    Parameter,
    Problem,
    Property,
    Reference,
    Service,
    Tsl,
)
from catalog.tsl.model import gettext_noop as _
from catalog.tsl.shapes import (
    MAX_ID,
    Notes,
    brief,
    note_repeats,
    read_identity,
    read_member,
    read_shape,
    read_text,
    to_integer,
)

MAX_BYTES = 1_000_000
MAX_FEATURES = 2_000
MAX_DEPTH = 16
MAX_NODES = 200_000
_REF = "#/properties/id/"
Feature = TypeVar("Feature", Property, Event, Service)


class _Repeated(ValueError):
    """An object has a key twice."""


def load(source: str | bytes) -> Tsl:
    """Read a TSL file: strict UTF-8 JSON of at most 1 MB without NaN and without repeated keys. Raises InvalidTsl."""
    if len(source) > MAX_BYTES:
        raise _refused(
            "$", _("The file is larger than %(limit)s bytes; split the product or remove features."), limit=MAX_BYTES
        )
    try:
        text = source.decode("utf-8-sig") if isinstance(source, bytes) else source.removeprefix("\ufeff")
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise _refused("$", _("The file is not UTF-8 text; save it as UTF-8.")) from None
    except RecursionError:
        raise _refused(
            "$", _("The file is nested too deeply; a TSL has at most %(limit)s levels."), limit=MAX_DEPTH
        ) from None
    except _Repeated as error:
        raise _refused("$", _("The key “%(key)s” is there twice in one object; remove one."), key=str(error)) from None
    except json.JSONDecodeError as error:
        values = {"line": error.lineno, "column": error.colno, "reason": error.msg}
        raise _refused(
            "$", _("The file is not JSON: %(reason)s at line %(line)s, column %(column)s."), **values
        ) from None
    except ValueError:
        raise _refused(
            "$", _("The file holds a number that JSON doesn't allow; use finite numbers of normal length.")
        ) from None
    return parse(document)


def parse(document: object) -> Tsl:
    """Read a TSL from decoded JSON. Raises InvalidTsl with all problems, and nothing else, whatever it is given.

    Keys that a TSL doesn't have are left out of the result: store `dump(parse(document))`, not the document.
    """
    _guard(document)
    if not isinstance(document, dict):
        raise _refused("$", _("A TSL is a JSON object with profile, properties, events and services."))
    notes = Notes()
    tsl = _read(document, notes)
    if notes.problems:
        raise InvalidTsl(tuple(notes.problems))
    return tsl


def _refused(path: str, text: str, /, **values: object) -> InvalidTsl:
    return InvalidTsl((Problem(path, text, values),))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _value in pairs]
        raise _Repeated(brief(next(key for key in keys if keys.count(key) > 1)))
    return found


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _guard(document: object) -> None:
    """Refuse what isn't plain JSON of a reasonable size before anything walks through it; never recurses."""
    waiting: list[tuple[object, int]] = [(document, 1)]
    nodes = 0
    while waiting:
        value, depth = waiting.pop()
        nodes += 1
        if depth > MAX_DEPTH:
            raise _refused(
                "$", _("The file is nested too deeply; a TSL has at most %(limit)s levels."), limit=MAX_DEPTH
            )
        inner = _children(value)
        if nodes + len(waiting) + len(inner) > MAX_NODES:
            raise _refused("$", _("The file holds too many values; remove features."))
        waiting.extend((child, depth + 1) for child in inner)


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise _refused(
                "$", _("The text “%(text)s” holds a character that can't be stored; remove it."), text=brief(value)
            )
    elif isinstance(value, int):
        if abs(value) >= 2**63:
            raise _refused("$", _("The file holds a number that is too large."))
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _refused("$", _("The file holds a number that is not finite; use finite numbers."))
    elif value is not None:
        raise _refused("$", _("A TSL holds JSON values only, not %(type)s."), type=type(value).__name__)
    return []


def _read(document: dict[str, object], notes: Notes) -> Tsl:
    profile = document.get("profile", {})
    if not isinstance(profile, dict):
        notes.add("profile", _("Give the profile as an object with productKey, version and tslVersion."))
        profile = {}
    lists = {key: _features(document, key, notes) for key in ("properties", "events", "services")}
    if sum(map(len, lists.values())) > MAX_FEATURES:
        raise _refused("$", _("A TSL has at most %(limit)s features; remove some."), limit=MAX_FEATURES)
    properties = _each(lists["properties"], "properties", notes, _property)
    ids = frozenset(feature.id for _path, feature in properties)
    events = _each(lists["events"], "events", notes, lambda raw, path, notes: _event(raw, path, notes, ids))
    services = _each(lists["services"], "services", notes, lambda raw, path, notes: _service(raw, path, notes, ids))
    every: list[tuple[str, Property | Event | Service]] = [*properties, *events, *services]
    note_repeats([(path, feature.id, feature.code) for path, feature in every], notes)
    return Tsl(
        tuple(feature for _path, feature in properties),
        tuple(feature for _path, feature in events),
        tuple(feature for _path, feature in services),
        *(
            read_text(profile.get(key), f"profile.{key}", notes, limit=64)
            for key in ("productKey", "version", "tslVersion")
        ),
    )


def _features(document: dict[str, object], key: str, notes: Notes) -> list[object]:
    raw = document.get(key, None if key == "properties" else [])
    if isinstance(raw, list):
        return raw
    notes.add(key, _("Give %(key)s as a list of features."), key=key)
    return []


def _each(
    raw: list[object], key: str, notes: Notes, read: Callable[[dict[str, object], str, Notes], Feature]
) -> list[tuple[str, Feature]]:
    found = []
    for number, item in enumerate(raw):
        path = f"{key}[{number}]"
        if isinstance(item, dict):
            found.append((path, read(item, path, notes)))
        else:
            notes.add(path, _("Describe each feature as an object."))
    return found


def _note_kind(raw: dict[str, object], path: str, notes: Notes, kind: str, subtypes: tuple[str, ...]) -> str:
    """Note a `type` or `subType` that doesn't fit the list the feature stands in; return a fitting subtype."""
    if raw.get("type") != kind:
        notes.add(f"{path}.type", _("Use %(kind)s here, or move the feature to the list of its type."), kind=kind)
    given = raw.get("subType")
    if isinstance(given, str) and given in subtypes:
        return given
    choices = ", ".join(subtypes)
    notes.add(
        f"{path}.subType", _("Use one of %(choices)s here, not “%(given)s”."), choices=choices, given=brief(given)
    )
    return subtypes[0]


def _common(raw: dict[str, object], path: str, notes: Notes) -> tuple[int | None, str]:
    sort = raw.get("sort")
    number = to_integer(sort)
    if sort is not None and (number is None or not 0 <= number < 2**31):
        notes.add(f"{path}.sort", _("Give the order as a whole number of at least 0, or leave it out."))
    return number, read_text(raw.get("desc"), f"{path}.desc", notes, limit=2_000)


def _property(raw: dict[str, object], path: str, notes: Notes) -> Property:
    identity = read_identity(raw, path, notes)
    access = _note_kind(raw, path, notes, "PROPERTY", tuple(Access))
    shape = read_shape(raw, path, notes, frozenset(DataType))
    return Property(*identity, Access(access), shape, *_common(raw, path, notes))


def _event(raw: dict[str, object], path: str, notes: Notes, ids: frozenset[int]) -> Event:
    identity = read_identity(raw, path, notes)
    level = _note_kind(raw, path, notes, "EVENT", tuple(Level))
    outputs = _parameters(raw, "outputData", path, notes, ids)
    return Event(*identity, Level(level), outputs, *_common(raw, path, notes))


def _service(raw: dict[str, object], path: str, notes: Notes, ids: frozenset[int]) -> Service:
    identity = read_identity(raw, path, notes)
    _note_kind(raw, path, notes, "SERVICE", ("ASYNC",))
    inputs, outputs = (_parameters(raw, key, path, notes, ids) for key in ("inputData", "outputData"))
    return Service(*identity, inputs, outputs, *_common(raw, path, notes))


def _parameters(
    raw: dict[str, object], key: str, path: str, notes: Notes, ids: frozenset[int]
) -> tuple[Parameter, ...]:
    items = raw.get(key, [])
    if not isinstance(items, list):
        notes.add(f"{path}.{key}", _("Give the parameters as a list."))
        return ()
    found: list[Parameter] = []
    for number, item in enumerate(items):
        place = f"{path}.{key}[{number}]"
        if not isinstance(item, dict):
            notes.add(place, _("Describe each parameter as an object, or refer to a property with $ref."))
        elif "$ref" in item:
            found.append(_reference(item["$ref"], place, notes, ids))
        else:
            found.append(read_member(item, place, notes))
    return tuple(found)


def _reference(raw: object, path: str, notes: Notes, ids: frozenset[int]) -> Reference:
    number = to_integer(raw.removeprefix(_REF)) if isinstance(raw, str) and raw.startswith(_REF) else None
    if number is None or not 1 <= number <= MAX_ID or number not in ids:
        notes.add(f"{path}.$ref", _("Refer to a property of this TSL, such as “#/properties/id/1”."))
    return Reference(number or 0)
