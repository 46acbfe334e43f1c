"""Reading the data type and specs of a feature, with every problem noted and none raised."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from catalog.tsl.model import (
    NUMERIC,
    SCALARS,
    ArraySpec,
    Choice,
    ChoiceSpec,
    DataType,
    Member,
    NumberSpec,
    Problem,
    Shape,
    StructSpec,
    TextSpec,
)
from catalog.tsl.model import gettext_noop as _

MAX_ID = 8191
MAX_ARRAY = 100
MAX_TEXT = 10_240
INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LARGEST = {DataType.FLOAT: Decimal("3.4028234663852886E+38"), DataType.DOUBLE: Decimal("1.7976931348623157E+308")}

_CODE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


class Notes:
    """The problems found so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, path: str, text: str, /, **values: object) -> None:
        """Note one problem; `values` fill the places of `text`."""
        self.problems.append(Problem(path, text, values))


def brief(raw: object) -> str:
    """A value as a sentence may quote it: short, and printable on one line."""
    if isinstance(raw, str):
        return "".join(character if character.isprintable() else "?" for character in raw[:40])
    try:
        return ascii(raw)[:40]
    except (ValueError, RecursionError):  # a number of thousands of digits, a bottomless list
        return type(raw).__name__


def to_integer(raw: object) -> int | None:
    """An int, or text of ASCII digits; None for anything else."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    return int(raw) if isinstance(raw, str) and _INTEGER.fullmatch(raw) else None


def to_decimal(raw: object) -> Decimal | None:
    """A finite number or its decimal text with ASCII digits; None for anything else."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str | Decimal):
        return None
    if isinstance(raw, int) and abs(raw) >= 10**401:
        return None
    text = raw if isinstance(raw, str) else str(raw)
    if len(text) > 450 or not _DECIMAL.fullmatch(text):
        return None
    number = Decimal(text)
    # What is accepted must stay cheap to calculate with, and readable once it was written: 1e300 and its 301 digits are
    # the same number, so only digits before the trailing zeros count.
    _sign, digits, exponent = number.as_tuple()
    significant = len("".join(map(str, digits)).strip("0"))
    fits = significant <= 40 and isinstance(exponent, int) and max(abs(exponent), abs(number.adjusted())) <= 400
    return number if fits else None


def read_text(raw: object, path: str, notes: Notes, *, limit: int = 256) -> str:
    """Text for people; absent counts as empty."""
    if raw is None:
        return ""
    if not isinstance(raw, str) or len(raw) > limit:
        notes.add(path, _("Give text of at most %(limit)s characters."), limit=limit)
        return ""
    return raw


def read_identity(raw: dict[str, object], path: str, notes: Notes) -> tuple[int, str, str]:
    """Id, code and name of a feature or member."""
    number = to_integer(raw.get("id"))
    if number is None or not 1 <= number <= MAX_ID:
        notes.add(f"{path}.id", _("Give an id from 1 to %(limit)s."), limit=MAX_ID)
    code = raw.get("code")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        notes.add(
            f"{path}.code",
            _("Give a code of 1 to 64 letters, digits, - and _ that starts with a letter or _."),
        )
        code = ""
    name = raw.get("name")
    if not isinstance(name, str) or not name.strip():
        notes.add(f"{path}.name", _("Give a name."))
        name = ""
    return number or 0, code, read_text(name, f"{path}.name", notes)


def read_shape(raw: dict[str, object], path: str, notes: Notes, allowed: frozenset[DataType]) -> Shape:
    """The `dataType` and `specs` of a feature, member or array."""
    fallback = Shape(DataType.TEXT, TextSpec())
    given = raw.get("dataType")
    if not isinstance(given, str) or given not in DataType.__members__ or DataType(given) not in allowed:
        choices = ", ".join(kind.value for kind in DataType if kind in allowed)
        notes.add(
            f"{path}.dataType", _("Use one of %(choices)s here, not “%(given)s”."), choices=choices, given=brief(given)
        )
        return fallback
    data_type = DataType(given)
    specs = raw.get("specs")
    if specs is None and data_type is DataType.DATE:
        return Shape(data_type, TextSpec())
    expected: type = list if data_type in _LISTED else dict
    if not isinstance(specs, expected):
        kind = "[…]" if expected is list else "{…}"
        notes.add(f"{path}.specs", _("Give the specs of a %(type)s as %(kind)s."), type=data_type.value, kind=kind)
        return fallback
    return Shape(data_type, _READERS[data_type](specs, data_type, f"{path}.specs", notes))


def read_members(raw: list[object], path: str, notes: Notes) -> tuple[Member, ...]:
    """The members of a STRUCT: at least one, ids and codes unique, all scalars."""
    if not raw:
        notes.add(path, _("Give a STRUCT at least one member."))
    members = []
    for number, item in enumerate(raw):
        if isinstance(item, dict):
            members.append(read_member(item, f"{path}[{number}]", notes))
        else:
            notes.add(f"{path}[{number}]", _("Describe each member as an object."))
    note_repeats([(f"{path}[{n}]", part.id, part.code) for n, part in enumerate(members)], notes)
    return tuple(members)


def read_member(raw: dict[str, object], path: str, notes: Notes) -> Member:
    """One scalar with an identity of its own."""
    number, code, name = read_identity(raw, path, notes)
    return Member(number, code, name, read_shape(raw, path, notes, SCALARS))


def note_repeats(features: list[tuple[str, int, str]], notes: Notes) -> None:
    """Note every (path, id, code) whose id or code was there before."""
    ids: dict[int, str] = {}
    codes: dict[str, str] = {}
    for path, number, code in features:
        if number and ids.setdefault(number, path) != path:
            notes.add(f"{path}.id", _("Id %(id)s is taken by %(other)s; use another."), id=number, other=ids[number])
        if code and codes.setdefault(code, path) != path:
            notes.add(
                f"{path}.code", _("Code %(code)s is taken by %(other)s; use another."), code=code, other=codes[code]
            )


def _read_number(specs: dict[str, object], data_type: DataType, path: str, notes: Notes) -> NumberSpec:
    least, most, step = (_bound(specs.get(key), data_type, f"{path}.{key}", notes) for key in ("min", "max", "step"))
    if least is not None and most is not None and least > most:
        notes.add(f"{path}.max", _("Make max at least as large as min."))
    if step is not None and step <= 0:
        notes.add(f"{path}.step", _("Make step larger than 0, or leave it out."))
    return NumberSpec(read_text(specs.get("unit"), f"{path}.unit", notes, limit=64), least, most, step)


def _bound(raw: object, data_type: DataType, path: str, notes: Notes) -> Decimal | None:
    if raw is None or raw == "":
        return None
    number = to_decimal(raw)
    if number is None:
        notes.add(path, _('Give a number such as "10", not “%(given)s”.'), given=brief(raw))
    elif data_type is DataType.INT and (not INT_MIN <= number <= INT_MAX or number % 1):
        notes.add(path, _("Give a whole number from %(least)s to %(most)s."), least=INT_MIN, most=INT_MAX)
    elif data_type is not DataType.INT and abs(number) > LARGEST[data_type]:
        notes.add(path, _("Give a number that a %(type)s can hold."), type=data_type.value)
    else:
        return number
    return None


def _read_choices(specs: list[object], data_type: DataType, path: str, notes: Notes) -> ChoiceSpec:
    choices = [_choice(item, data_type, f"{path}[{number}]", notes) for number, item in enumerate(specs)]
    values: set[str] = set()
    for number, choice in enumerate(choices):
        if choice.value and choice.value in values:
            notes.add(f"{path}[{number}].value", _("Value %(value)s is listed twice; remove one."), value=choice.value)
        values.add(choice.value)
    if data_type is DataType.BOOL and values != {"true", "false"}:
        notes.add(path, _('Name both values of a BOOL, "true" and "false".'))
    if not choices and data_type is DataType.ENUM:
        notes.add(path, _("Give an ENUM at least one value."))
    return ChoiceSpec(tuple(choices))


def _choice(raw: object, data_type: DataType, path: str, notes: Notes) -> Choice:
    if not isinstance(raw, dict):
        notes.add(path, _("Describe each value as an object with name and value."))
        return Choice("", "")
    if raw.get("dataType", data_type.value) != data_type.value:
        notes.add(f"{path}.dataType", _("Use %(type)s, the type of the feature."), type=data_type.value)
    return Choice(read_text(raw.get("name"), f"{path}.name", notes), _choice_value(raw, data_type, path, notes))


def _choice_value(raw: dict[str, object], data_type: DataType, path: str, notes: Notes) -> str:
    value = raw.get("value")
    if data_type is DataType.BOOL:
        if isinstance(value, bool):
            return "true" if value else "false"
        if value in ("true", "false"):
            return str(value)
        notes.add(f"{path}.value", _('Use "true" or "false".'))
        return ""
    number = to_integer(value)
    if number is None or not INT_MIN <= number <= INT_MAX:
        notes.add(f"{path}.value", _('Give the value of an ENUM as a whole number, such as "1".'))
        return ""
    return str(number)


def _read_length(specs: dict[str, object], data_type: DataType, path: str, notes: Notes) -> TextSpec:
    raw = specs.get("length")
    if data_type is DataType.DATE and raw in (None, ""):
        return TextSpec()
    length = to_integer(raw)
    if length is None or not 1 <= length <= MAX_TEXT:
        notes.add(f"{path}.length", _("Give a length from 1 to %(limit)s bytes."), limit=MAX_TEXT)
    return TextSpec(length)


def _read_struct(specs: list[object], data_type: DataType, path: str, notes: Notes) -> StructSpec:
    return StructSpec(read_members(specs, path, notes))


def _read_array(specs: dict[str, object], data_type: DataType, path: str, notes: Notes) -> ArraySpec:
    size = to_integer(specs.get("size"))
    if size is None or not 1 <= size <= MAX_ARRAY:
        notes.add(f"{path}.size", _("Give a size from 1 to %(limit)s elements."), limit=MAX_ARRAY)
    return ArraySpec(size or 0, read_shape(specs, path, notes, SCALARS | {DataType.STRUCT}))


_LISTED = frozenset({DataType.BOOL, DataType.ENUM, DataType.STRUCT})
_Reader = Callable[..., NumberSpec | ChoiceSpec | TextSpec | StructSpec | ArraySpec]
_READERS: dict[DataType, _Reader] = {
    **dict.fromkeys(NUMERIC, _read_number),
    DataType.BOOL: _read_choices,
    DataType.ENUM: _read_choices,
    DataType.TEXT: _read_length,
    DataType.DATE: _read_length,
    DataType.STRUCT: _read_struct,
    DataType.ARRAY: _read_array,
}
