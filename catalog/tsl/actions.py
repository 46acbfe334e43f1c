"""Actions: lists of {"code", "value"} that the platform writes to a device to lock or unlock it (A19, F64)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from catalog.tsl.model import Problem, Tsl
from catalog.tsl.model import gettext_noop as _
from catalog.tsl.shapes import Notes, brief
from catalog.tsl.values import Value, check_value, encode_value, is_equal

MAX_PAIRS = 50
MAX_PAYLOAD = 32 * 1024
"""Bytes of one action on the wire; a device drops messages over 64 KB, and the envelope needs room."""

Pair = Mapping[str, object]


def check_action(tsl: Tsl, pairs: object, path: str = "action") -> list[Problem]:
    """Everything that is wrong with an action: an empty list means that a device of this TSL can be told it (A19).

    Takes anything, such as decoded JSON from a form, and never raises. Check when the action is saved and when it is
    sent (F64).
    """
    notes = Notes()
    _read_action(tsl, pairs, path, notes)
    return notes.problems


def check_action_pair(tsl: Tsl, lock: object, unlock: object) -> list[Problem]:
    """Everything that is wrong with a lock and an unlock; both must set the same codes, and differ (A19)."""
    notes = Notes()
    locked = _read_action(tsl, lock, "lock", notes)
    unlocked = _read_action(tsl, unlock, "unlock", notes)
    for code in _codes(lock) - _codes(unlock):
        notes.add("unlock", _("Unlock must set %(code)s too, because lock sets it."), code=brief(code))
    for code in _codes(unlock) - _codes(lock):
        notes.add("lock", _("Lock must set %(code)s too, because unlock sets it."), code=brief(code))
    if not notes.problems and locked == unlocked:
        notes.add("unlock", _("Lock and unlock set the same values; change at least one."))
    return sorted(notes.problems, key=lambda problem: problem.path)


def encode_kv(tsl: Tsl, pairs: Sequence[Pair]) -> dict[str, object]:
    """The `kv` object of a property write: scalars as text, a STRUCT as an object with JSON numbers.

    Raises ValueError with the first problem where `check_action` finds any.
    """
    notes = Notes()
    values = _read_action(tsl, pairs, "action", notes)
    if notes.problems:
        raise ValueError(str(notes.problems[0]))
    return _encoded(tsl, values)


def reported_equals(tsl: Tsl, code: str, expected: object, reported: object) -> bool:
    """Whether a REPORT's value for `code` says the same as the action's value, by the property's type (A21).

    False for a code that the TSL doesn't have; never raises.
    """
    feature = tsl.by_code.get(code)
    return feature is not None and is_equal(feature.shape, expected, reported)


def is_readable(tsl: Tsl, code: str) -> bool:
    """Whether the device reports the property; where not, an ack is all the confirmation there is (A21)."""
    feature = tsl.by_code.get(code)
    return feature is not None and feature.is_readable


def codes_dropped(old: Tsl, new: Tsl, used_codes: Iterable[str]) -> tuple[str, ...]:
    """Codes in use that `new` takes away: gone, not writable any more, or of another type than in `old` (A19), sorted.

    A changed bound shows only in the values: check the saved actions against `new` as well.
    """
    return tuple(sorted(code for code in set(used_codes) if _is_dropped(old, new, code)))


def _is_dropped(old: Tsl, new: Tsl, code: str) -> bool:
    before, after = old.by_code.get(code), new.by_code.get(code)
    if after is None or not after.is_writable:
        return True
    return before is not None and before.shape.data_type is not after.shape.data_type


def _codes(pairs: object) -> set[str]:
    if not isinstance(pairs, list | tuple):
        return set()
    codes = (pair.get("code") for pair in pairs if isinstance(pair, Mapping))
    return {code for code in codes if isinstance(code, str)}


def _read_action(tsl: Tsl, pairs: object, path: str, notes: Notes) -> dict[str, Value]:
    """The values of an action by code; only complete where no problem was noted."""
    if not isinstance(pairs, list | tuple) or not 1 <= len(pairs) <= MAX_PAIRS:
        notes.add(path, _("Choose 1 to %(limit)s properties to set."), limit=MAX_PAIRS)
        return {}
    found = len(notes.problems)
    values: dict[str, Value] = {}
    for number, pair in enumerate(pairs):
        _read_pair(tsl, pair, f"{path}[{number}]", values, notes)
    if len(notes.problems) == found and len(json.dumps(_encoded(tsl, values)).encode()) > MAX_PAYLOAD:
        notes.add(path, _("The values take more than %(limit)s bytes; shorten them."), limit=MAX_PAYLOAD)
    return values


def _read_pair(tsl: Tsl, pair: object, path: str, values: dict[str, Value], notes: Notes) -> None:
    if not isinstance(pair, Mapping) or set(pair) != {"code", "value"}:
        notes.add(path, _("Give each setting as an object with code and value."))
        return
    code = pair["code"]
    feature = tsl.by_code.get(code) if isinstance(code, str) else None
    if feature is None:
        notes.add(f"{path}.code", _("The TSL has no property “%(code)s”; choose one that it has."), code=brief(code))
    elif not feature.is_writable:
        notes.add(f"{path}.code", _("%(code)s can only be read; choose a property with W or RW."), code=feature.code)
    elif feature.code in values:
        notes.add(f"{path}.code", _("%(code)s is set twice; remove one."), code=feature.code)
    else:
        value = check_value(feature.shape, pair["value"], f"{path}.value", notes)
        if value is not None:
            values[feature.code] = value


def _encoded(tsl: Tsl, values: Mapping[str, Value]) -> dict[str, object]:
    return {code: encode_value(tsl.by_code[code].shape, value) for code, value in values.items()}
