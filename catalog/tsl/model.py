"""What a TSL is: features with an id and a code, and the data types of properties. All frozen, compared by value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property


class DataType(StrEnum):
    """Data types of the platform that enterprises export their models from."""

    BOOL = "BOOL"
    INT = "INT"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    ENUM = "ENUM"
    TEXT = "TEXT"
    DATE = "DATE"
    STRUCT = "STRUCT"
    ARRAY = "ARRAY"


NUMERIC = frozenset({DataType.INT, DataType.FLOAT, DataType.DOUBLE})
SCALARS = frozenset(DataType) - {DataType.STRUCT, DataType.ARRAY}


class Access(StrEnum):
    """What may be done with a property from outside the device."""

    R = "R"
    W = "W"
    RW = "RW"


class Level(StrEnum):
    """Severity of an event."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: where (a JSON path such as `properties[3].specs.min`) and what to do about it.

    `text` is the English sentence with `%(name)s` places, marked for translation; a page shows
    `gettext(problem.text) % problem.values`, everything else `message`.
    """

    path: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The English sentence, filled in."""
        return self.text % self.values

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class InvalidTsl(ValueError):
    """A document isn't a TSL; `problems` holds everything that is wrong with it, in the order of the document."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems[:3]))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class NumberSpec:
    """Bounds of INT, FLOAT and DOUBLE; None where the model leaves one open. Steps count from `min`, else from 0."""

    unit: str = ""
    min: Decimal | None = None
    max: Decimal | None = None
    step: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of an ENUM (an integer as text) or of a BOOL ("true", "false") with its name."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ChoiceSpec:
    """The values of an ENUM or the two names of a BOOL."""

    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class TextSpec:
    """Longest TEXT or DATE in bytes of UTF-8; None for a DATE that doesn't say."""

    length: int | None = None


@dataclass(frozen=True, slots=True)
class StructSpec:
    """The members of a STRUCT, all scalars."""

    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """At most `size` elements of one shape."""

    size: int
    element: Shape


Spec = NumberSpec | ChoiceSpec | TextSpec | StructSpec | ArraySpec


@dataclass(frozen=True, slots=True)
class Shape:
    """A data type with its specs."""

    data_type: DataType
    spec: Spec


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a STRUCT, or a parameter of an event or service that isn't a property."""

    id: int
    code: str
    name: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Reference:
    """A parameter that is one of the properties, by its id."""

    property_id: int


Parameter = Member | Reference


@dataclass(frozen=True, slots=True)
class Property:
    """Something that a device reports, takes, or both."""

    id: int
    code: str
    name: str
    access: Access
    shape: Shape
    sort: int | None = None
    description: str = ""

    @property
    def is_writable(self) -> bool:
        """Whether the platform may write it (A19)."""
        return self.access in (Access.W, Access.RW)

    @property
    def is_readable(self) -> bool:
        """Whether the device reports it; a command to one that doesn't is confirmed by its ack (A21)."""
        return self.access in (Access.R, Access.RW)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a device announces by itself."""

    id: int
    code: str
    name: str
    level: Level
    outputs: tuple[Parameter, ...] = ()
    sort: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """Something that a device does when it is called; all calls are asynchronous."""

    id: int
    code: str
    name: str
    inputs: tuple[Parameter, ...] = ()
    outputs: tuple[Parameter, ...] = ()
    sort: int | None = None
    description: str = ""


@dataclass(frozen=True)
class Tsl:
    """A whole thing model."""

    properties: tuple[Property, ...]
    events: tuple[Event, ...] = ()
    services: tuple[Service, ...] = ()
    product_key: str = ""
    version: str = ""
    tsl_version: str = ""

    @cached_property
    def by_code(self) -> Mapping[str, Property]:
        """Properties by their code."""
        return {feature.code: feature for feature in self.properties}


def writable_properties(tsl: Tsl) -> tuple[Property, ...]:
    """The properties that an action may set, in the order of the model (A19)."""
    return tuple(feature for feature in tsl.properties if feature.is_writable)


def gettext_noop(text: str) -> str:
    """Mark a sentence for translation without translating it; the page that shows it does."""
    return text
