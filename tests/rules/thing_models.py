"""A thing model with every data type, and ways to change it, for the tests of TSL."""

import copy

import pytest

from catalog.tsl import InvalidTsl, parse


def feature(number, code, data_type, specs, sub_type="RW", **more):
    return {
        "id": number, "code": code, "name": code, "type": "PROPERTY", "subType": sub_type, "dataType": data_type,
        "specs": specs, **more,
    }  # fmt: skip


def choices(kind, *values):
    return [{"dataType": kind, "name": f"Name of {value}", "value": value} for value in values]


MEMBERS = [
    {"id": 1, "code": "serviceName", "name": "Service", "dataType": "ENUM", "specs": choices("ENUM", "1", "2", "3")},
    {"id": 2, "code": "serviceStatus", "name": "Status", "dataType": "ENUM", "specs": choices("ENUM", "1", "2", "3")},
]
DOCUMENT = {
    "profile": {"productKey": "p11v14", "version": "20250324120550539", "tslVersion": "1.2.0"},
    "properties": [
        feature(1, "service_lock", "BOOL", choices("BOOL", "true", "false"), sort=1, desc="Locks the device"),
        feature(2, "target_temperature", "INT", {"unit": "°C", "min": "18", "max": "32", "step": "1"}),
        feature(3, "mode", "ENUM", choices("ENUM", "0", "1", "2")),
        feature(4, "temperature", "FLOAT", {"unit": "", "min": "-50", "max": "100", "step": "0.1"}, "R"),
        feature(5, "label", "TEXT", {"length": "20"}, "W"),
        feature(6, "since", "DATE", {"length": "13"}),
        feature(7, "q_retain_device_sevice_notice", "STRUCT", MEMBERS, "W"),
        feature(8, "timers", "ARRAY", {"size": "3", "dataType": "STRUCT", "specs": MEMBERS}),
        feature(9, "levels", "ARRAY", {"size": 10, "dataType": "INT", "specs": {}}),
        feature(10, "ratio", "DOUBLE", {"min": "", "max": "", "step": "", "unit": ""}),
    ],
    "events": [
        {"id": 11, "code": "too_hot", "name": "Too hot", "type": "EVENT", "subType": "WARN",
         "outputData": [{"$ref": "#/properties/id/4"}, MEMBERS[0]]}
    ],
    "services": [
        {"id": 12, "code": "boost", "name": "Boost", "type": "SERVICE", "subType": "ASYNC",
         "inputData": [{"$ref": "#/properties/id/2"}], "outputData": []}
    ],
}  # fmt: skip


def changed(change) -> dict:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return document


def problems_of(document) -> dict[str, str]:
    with pytest.raises(InvalidTsl) as caught:
        parse(document)
    return {problem.path: problem.message for problem in caught.value.problems}
