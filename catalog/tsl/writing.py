"""A Tsl becomes the JSON document that enterprises import elsewhere; `parse` reads it back unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from catalog.tsl.model import (
    ArraySpec,
    ChoiceSpec,
    Event,
    Member,
    NumberSpec,
    Parameter,
    Property,
    Reference,
    Service,
    Shape,
    StructSpec,
    Tsl,
)

Json = dict[str, object]


def dump(tsl: Tsl) -> Json:
    """The TSL as a JSON object, numbers in specs as strings. `parse(dump(tsl)) == tsl`."""
    return {
        "profile": {"productKey": tsl.product_key, "version": tsl.version, "tslVersion": tsl.tsl_version},
        "properties": [_property(feature) for feature in tsl.properties],
        "events": [_event(feature) for feature in tsl.events],
        "services": [_service(feature) for feature in tsl.services],
    }


def _feature(feature: Property | Event | Service, kind: str, subtype: str) -> Json:
    written: Json = {"id": feature.id, "code": feature.code, "name": feature.name, "type": kind, "subType": subtype}
    if feature.sort is not None:
        written["sort"] = feature.sort
    return {**written, "desc": feature.description}


def _property(feature: Property) -> Json:
    return _feature(feature, "PROPERTY", feature.access.value) | _shape(feature.shape)


def _event(feature: Event) -> Json:
    return _feature(feature, "EVENT", feature.level.value) | {"outputData": _parameters(feature.outputs)}


def _service(feature: Service) -> Json:
    parameters = {"inputData": _parameters(feature.inputs), "outputData": _parameters(feature.outputs)}
    return _feature(feature, "SERVICE", "ASYNC") | parameters


def _parameters(parameters: Iterable[Parameter]) -> list[Json]:
    return [
        {"$ref": f"#/properties/id/{part.property_id}"} if isinstance(part, Reference) else _member(part)
        for part in parameters
    ]


def _member(member: Member) -> Json:
    return {"id": member.id, "code": member.code, "name": member.name} | _shape(member.shape)


def _shape(shape: Shape) -> Json:
    return {"dataType": shape.data_type.value, "specs": _specs(shape)}


def _specs(shape: Shape) -> Json | list[Json]:
    spec = shape.spec
    match spec:
        case NumberSpec():
            bounds = {"min": spec.min, "max": spec.max, "step": spec.step}
            return {"unit": spec.unit, **{key: _decimal(value) for key, value in bounds.items()}}
        case ChoiceSpec():
            kind = shape.data_type.value
            return [{"dataType": kind, "name": choice.name, "value": choice.value} for choice in spec.choices]
        case StructSpec():
            return [_member(member) for member in spec.members]
        case ArraySpec():
            return {"size": str(spec.size)} | _shape(spec.element)
    return {} if spec.length is None else {"length": str(spec.length)}


def _decimal(number: Decimal | None) -> str:
    """Plain digits where they are short, an exponent where they would not be."""
    if number is None:
        return ""
    return format(number, "f") if -40 < number.adjusted() < 40 and len(format(number, "f")) < 40 else str(number)
