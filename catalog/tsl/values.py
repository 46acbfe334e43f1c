"""Values of properties: reading what people and devices write, checking it against the specs, encoding, comparing.

A value is read into one form per type: BOOL bool; INT and ENUM int; FLOAT and DOUBLE Decimal; TEXT and DATE str (DATE
is milliseconds since 1970 in digits); STRUCT a dict by code; ARRAY a list. JSON and text are taken alike: True, "true"
and "1"; 3, "3" and "3.0"; an object and its JSON text.
"""

from __future__ import annotations

import json
import math
import re
import struct
from decimal import Decimal
from fractions import Fraction

from catalog.tsl.model import ArraySpec, ChoiceSpec, DataType, Member, NumberSpec, Shape, StructSpec, TextSpec
from catalog.tsl.model import gettext_noop as _
from catalog.tsl.shapes import INT_MAX, INT_MIN, LARGEST, Notes, brief, to_decimal

Value = bool | int | Decimal | str | dict[str, "Value"] | list["Value"]
MAX_JSON_TEXT = 64 * 1024
_BOOLS: dict[object, bool] = {"true": True, "1": True, "false": False, "0": False}
_WRONG_TYPE = {
    DataType.BOOL: _("“%(given)s” is no BOOL; use true or false."),
    DataType.INT: _("“%(given)s” is no INT; use a whole number such as 3."),
    DataType.ENUM: _("“%(given)s” is no ENUM value; use a whole number such as 3."),
    DataType.FLOAT: _("“%(given)s” is no FLOAT; use a number such as 2.5."),
    DataType.DOUBLE: _("“%(given)s” is no DOUBLE; use a number such as 2.5."),
    DataType.TEXT: _("“%(given)s” is no TEXT; use text."),
    DataType.DATE: _("“%(given)s” is no DATE; use milliseconds since 1970 in digits."),
}
_MILLISECONDS = re.compile(r"-?[0-9]{1,16}")


def read_scalar(data_type: DataType, raw: object) -> Value | None:
    """A scalar in the form of its type; None where `raw` isn't one. Bounds are not looked at."""
    match data_type:
        case DataType.BOOL:
            return _read_bool(raw)
        case DataType.INT | DataType.ENUM:
            number = to_decimal(raw)
            return int(number) if number is not None and abs(number) < 2**63 and number % 1 == 0 else None
        case DataType.DATE:
            return _read_date(raw)
        case DataType.TEXT:
            return raw if isinstance(raw, str) else None
    return to_decimal(raw)


def check_value(shape: Shape, raw: object, path: str, notes: Notes) -> Value | None:
    """Read `raw` and note every way in which it breaks the type and specs (A19); None if it does."""
    match shape.spec:
        case StructSpec(members):
            return _check_struct(members, raw, path, notes)
        case ArraySpec(size, element):
            return _check_array(size, element, raw, path, notes)
    value = read_scalar(shape.data_type, raw)
    if value is None:
        notes.add(path, _WRONG_TYPE[shape.data_type], given=brief(raw))
        return None
    found = len(notes.problems)
    _check_scalar(shape, value, path, notes)
    return value if len(notes.problems) == found else None


def encode_value(shape: Shape, value: Value, *, nested: bool = False) -> object:
    """A value that was read, as the wire has it: a scalar as text, a STRUCT or ARRAY with JSON numbers inside."""
    if isinstance(shape.spec, StructSpec) and isinstance(value, dict):
        shapes = {member.code: member.shape for member in shape.spec.members}
        return {code: encode_value(shapes[code], part, nested=True) for code, part in value.items()}
    if isinstance(shape.spec, ArraySpec) and isinstance(value, list):
        return [encode_value(shape.spec.element, part, nested=True) for part in value]
    return _json_scalar(value) if nested else _text_scalar(value)


def is_equal(shape: Shape, expected: object, reported: object) -> bool:
    """Whether a device reports what it was told, whatever way it writes it.

    FLOATs are equal if the same single precision number is nearest to both, DOUBLEs likewise. A reported STRUCT may
    have more members than were set; an ARRAY must be equal in length and order.
    """
    match shape.spec:
        case StructSpec(members):
            return _is_equal_struct(members, expected, reported)
        case ArraySpec(_size, element):
            return _is_equal_array(element, expected, reported)
    one, other = read_scalar(shape.data_type, expected), read_scalar(shape.data_type, reported)
    if one is None or other is None:
        return False
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one == other or _nearest(shape.data_type, one) == _nearest(shape.data_type, other)
    return one == other


def _read_bool(raw: object) -> bool | None:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, int):
        return bool(raw) if raw in (0, 1) else None
    return _BOOLS.get(raw.lower()) if isinstance(raw, str) else None


def _read_date(raw: object) -> str | None:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw) if abs(raw) < 10**16 else None
    return raw if isinstance(raw, str) and _MILLISECONDS.fullmatch(raw) else None


def _read_json(raw: object, kind: type) -> object:
    """An object or list, or its JSON text; None for anything else."""
    if isinstance(raw, str) and len(raw) <= MAX_JSON_TEXT:
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            return None
    return raw if isinstance(raw, kind) else None


def _check_struct(members: tuple[Member, ...], raw: object, path: str, notes: Notes) -> Value | None:
    given = _read_json(raw, dict)
    if not isinstance(given, dict):
        notes.add(path, _("Give a STRUCT as an object with its members."))
        return None
    codes = {member.code for member in members}
    for code in given:
        if code not in codes:
            notes.add(path, _("The STRUCT has no member “%(code)s”; remove it."), code=brief(code))
    read: dict[str, Value] = {}
    for member in members:
        if member.code not in given:
            notes.add(f"{path}.{member.code}", _("Give this member too; a STRUCT is written as a whole."))
            continue
        value = check_value(member.shape, given[member.code], f"{path}.{member.code}", notes)
        if value is not None:
            read[member.code] = value
    return read if len(read) == len(given) == len(members) else None


def _check_array(size: int, element: Shape, raw: object, path: str, notes: Notes) -> Value | None:
    given = _read_json(raw, list)
    if not isinstance(given, list) or not 1 <= len(given) <= size:
        notes.add(path, _("Give an ARRAY as a list of 1 to %(size)s elements."), size=size)
        return None
    read = [check_value(element, part, f"{path}[{number}]", notes) for number, part in enumerate(given)]
    values = [part for part in read if part is not None]
    return values if len(values) == len(given) else None


def _check_scalar(shape: Shape, value: Value, path: str, notes: Notes) -> None:
    match shape.spec:
        case NumberSpec() if isinstance(value, int | Decimal):
            _check_number(shape.data_type, shape.spec, Decimal(value), path, notes)
        case ChoiceSpec(choices) if shape.data_type is DataType.ENUM:
            if str(value) not in [choice.value for choice in choices]:
                listed = ", ".join(choice.value for choice in choices[:20])
                notes.add(
                    path, _("Use one of the values %(listed)s, not %(given)s."), listed=listed, given=brief(value)
                )
        case TextSpec(length) if isinstance(value, str):
            _check_text(value, length, path, notes)


def _check_number(data_type: DataType, spec: NumberSpec, number: Decimal, path: str, notes: Notes) -> None:
    largest = LARGEST.get(data_type)
    least, most = (-largest, largest) if largest is not None else (Decimal(INT_MIN), Decimal(INT_MAX))
    least = least if spec.min is None else spec.min
    most = most if spec.max is None else spec.max
    if not least <= number <= most:
        notes.add(path, _("Give a number from %(least)s to %(most)s."), least=f"{least:.17g}", most=f"{most:.17g}")
    elif spec.step and (Fraction(number) - Fraction(spec.min or 0)) % Fraction(spec.step):
        notes.add(path, _("Give a number in steps of %(step)s from %(first)s."), step=spec.step, first=spec.min or 0)


def _check_text(text: str, length: int | None, path: str, notes: Notes) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        size = -1
    if size < 0 or "\0" in text:
        notes.add(path, _("The text holds a character that can't be sent; remove it."))
    elif length is not None and size > length:
        notes.add(path, _("Give at most %(length)s bytes of text; this is %(size)s."), length=length, size=size)


def _text_scalar(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _plain(value) if isinstance(value, Decimal) else str(value)


def _json_scalar(value: Value) -> object:
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else float(value)


def _plain(number: Decimal) -> str:
    """Digits without exponent and without zeros at the end: "2.5", "3", "0.001"."""
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _nearest(data_type: DataType, number: Decimal) -> float:
    exact = float(number)
    if data_type is not DataType.FLOAT:
        return exact
    try:
        (single,) = struct.unpack("<f", struct.pack("<f", exact))
    except OverflowError:
        return math.copysign(math.inf, exact)
    return float(single)


def _is_equal_struct(members: tuple[Member, ...], expected: object, reported: object) -> bool:
    one, other = _read_json(expected, dict), _read_json(reported, dict)
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    shapes = {member.code: member.shape for member in members}
    return all(code in shapes and code in other and is_equal(shapes[code], one[code], other[code]) for code in one)


def _is_equal_array(element: Shape, expected: object, reported: object) -> bool:
    one, other = _read_json(expected, list), _read_json(reported, list)
    if not isinstance(one, list) or not isinstance(other, list) or len(one) != len(other):
        return False
    return all(is_equal(element, left, right) for left, right in zip(one, other, strict=True))
