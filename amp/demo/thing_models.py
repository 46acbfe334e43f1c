"""The thing models of the demo's products, as enterprises upload them (wire format: TSL)."""

from __future__ import annotations

from typing import Any

from devices.services.notices import PROPERTY as NOTICE

Feature = dict[str, Any]

LOCK = [{"code": "service_lock", "value": "true"}]
UNLOCK = [{"code": "service_lock", "value": "false"}]


def thing_model(product_key: str, *readings: Feature) -> dict[str, Any]:
    """A model with the lock, the notice, and what this product measures."""
    return {
        "profile": {"productKey": product_key, "version": "20260101000000000", "tslVersion": "1.2.0"},
        "properties": [_lock(), _notice(), *readings],
        "events": [],
        "services": [],
    }


def number(identifier: int, code: str, name: str, unit: str, low: float, high: float) -> Feature:
    """A measured value with one decimal."""
    specs = {"unit": unit, "min": f"{low:g}", "max": f"{high:g}", "step": "0.1"}
    return _property(identifier, code, name, "R", "FLOAT", specs)


def choice(identifier: int, code: str, name: str, *names: str) -> Feature:
    """A measured state, numbered from 0."""
    specs = [{"dataType": "ENUM", "name": each, "value": str(value)} for value, each in enumerate(names)]
    return _property(identifier, code, name, "R", "ENUM", specs)


def _lock() -> Feature:
    specs = [
        {"dataType": "BOOL", "name": "Locked", "value": "true"},
        {"dataType": "BOOL", "name": "Unlocked", "value": "false"},
    ]
    return _property(1, "service_lock", "Service lock", "RW", "BOOL", specs)


def _notice() -> Feature:
    services = ("1", "SIM"), ("2", "RTK"), ("3", "Device service")
    statuses = ("1", "Expires in 30 days"), ("2", "Expires in 7 days"), ("3", "Expires in 1 day")
    members = [_member(1, "serviceName", "Service", services), _member(2, "serviceStatus", "Status", statuses)]
    return _property(2, NOTICE, "Service notice", "W", "STRUCT", members)


def _member(identifier: int, code: str, name: str, values: tuple[tuple[str, str], ...]) -> Feature:
    specs = [{"dataType": "ENUM", "name": each, "value": value} for value, each in values]
    return {"id": identifier, "code": code, "name": name, "dataType": "ENUM", "specs": specs}


def _property(identifier: int, code: str, name: str, access: str, data_type: str, specs: Any) -> Feature:
    return {
        "id": identifier,
        "code": code,
        "name": name,
        "type": "PROPERTY",
        "subType": access,
        "dataType": data_type,
        "specs": specs,
    }
