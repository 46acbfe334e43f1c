"""The thing model: what is accepted, what is refused and why (wire formats)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.tsl import dump, load, parse, writable_properties
from catalog.tsl.model import Access, DataType, Level, Reference
from tests.rules.thing_models import DOCUMENT, MEMBERS, changed, choices, feature, problems_of


def test_a_model_as_the_platform_exports_it_is_read():
    tsl = parse(DOCUMENT)
    assert (tsl.product_key, tsl.version, tsl.tsl_version) == ("p11v14", "20250324120550539", "1.2.0")
    assert [part.shape.data_type for part in tsl.properties][:4] == [
        DataType.BOOL, DataType.INT, DataType.ENUM, DataType.FLOAT
    ]  # fmt: skip
    assert tsl.by_code["temperature"].access is Access.R
    assert tsl.events[0].level is Level.WARN
    assert tsl.events[0].outputs[0] == Reference(4)
    assert tsl.services[0].inputs == (Reference(2),)


def test_only_w_and_rw_properties_are_writable():
    """A19."""
    codes = {part.code for part in writable_properties(parse(DOCUMENT))}
    assert codes == {part["code"] for part in DOCUMENT["properties"]} - {"temperature"}


def test_a_file_is_read_with_and_without_a_byte_order_mark():
    text = json.dumps(DOCUMENT, ensure_ascii=False)
    assert load(text) == load(text.encode()) == load(b"\xef\xbb\xbf" + text.encode()) == parse(DOCUMENT)


def test_what_is_dumped_is_read_back():
    tsl = parse(DOCUMENT)
    assert parse(dump(tsl)) == tsl
    assert load(json.dumps(dump(tsl))) == tsl


def test_keys_that_a_tsl_does_not_have_are_left_out():
    tsl = parse(changed(lambda d: d["properties"][0].update(vendorExtra={"a": 1})))
    assert tsl == parse(DOCUMENT)
    assert "vendorExtra" not in json.dumps(dump(tsl))


def prop(index, **change):
    return changed(lambda d: d["properties"][index].update(change))


def without(index, key):
    return changed(lambda d: d["properties"][index].pop(key))


def specs_of(index, **change):
    return changed(lambda d: d["properties"][index]["specs"].update(change))


BROKEN = [
    (prop(0, id=0), "properties[0].id", "1 to 8191"),
    (prop(0, id=8192), "properties[0].id", "1 to 8191"),
    (prop(0, id=True), "properties[0].id", "1 to 8191"),
    (prop(0, id=1.5), "properties[0].id", "1 to 8191"),
    (prop(0, id="１"), "properties[0].id", "1 to 8191"),
    (prop(0, id=2), "properties[1].id", "taken by properties[0]"),
    (prop(0, id=11), "events[0].id", "taken by properties[0]"),
    (prop(0, code="mode"), "properties[2].code", "taken by properties[0]"),
    (prop(0, code="boost"), "services[0].code", "taken by properties[0]"),
    (prop(0, code="1lock"), "properties[0].code", "starts with a letter"),
    (prop(0, code="a b"), "properties[0].code", "starts with a letter"),
    (prop(0, code="x" * 65), "properties[0].code", "1 to 64"),
    (prop(0, code=["a"]), "properties[0].code", "1 to 64"),
    (prop(0, name=" "), "properties[0].name", "Give a name"),
    (prop(0, name="x" * 257), "properties[0].name", "256"),
    (prop(0, type="EVENT"), "properties[0].type", "Use PROPERTY"),
    (prop(0, subType="rw"), "properties[0].subType", "R, W, RW"),
    (prop(0, subType="INFO"), "properties[0].subType", "R, W, RW"),
    (prop(0, subType=None), "properties[0].subType", "R, W, RW"),
    (prop(0, dataType="RAW"), "properties[0].dataType", "BOOL, INT"),
    (prop(0, dataType=["INT"]), "properties[0].dataType", "BOOL, INT"),
    (prop(0, sort=-1), "properties[0].sort", "at least 0"),
    (prop(0, desc=5), "properties[0].desc", "text"),
    (without(1, "specs"), "properties[1].specs", "{…}"),
    (prop(1, specs=[]), "properties[1].specs", "{…}"),
    (prop(0, specs={}), "properties[0].specs", "[…]"),
    (prop(0, specs=[]), "properties[0].specs", "both values of a BOOL"),
    (prop(0, specs=choices("BOOL", "true", "true")), "properties[0].specs[1].value", "listed twice"),
    (prop(0, specs=choices("BOOL", "true", "no")), "properties[0].specs[1].value", '"true" or "false"'),
    (specs_of(1, min="40"), "properties[1].specs.max", "at least as large"),
    (specs_of(1, step="0"), "properties[1].specs.step", "larger than 0"),
    (specs_of(1, step="-1"), "properties[1].specs.step", "larger than 0"),
    (specs_of(1, min="0.5"), "properties[1].specs.min", "whole number"),
    (specs_of(1, max="2147483648"), "properties[1].specs.max", "2147483647"),
    (specs_of(1, max="NaN"), "properties[1].specs.max", "Give a number"),
    (specs_of(1, max="٣٠"), "properties[1].specs.max", "Give a number"),
    (specs_of(3, max="1e39"), "properties[3].specs.max", "FLOAT can hold"),
    (specs_of(3, max="1e999999999"), "properties[3].specs.max", "Give a number"),
    (specs_of(3, max=True), "properties[3].specs.max", "Give a number"),
    (specs_of(1, unit=["°C"]), "properties[1].specs.unit", "text"),
    (prop(2, specs=[]), "properties[2].specs", "at least one value"),
    (prop(2, specs=choices("ENUM", "1", "1")), "properties[2].specs[1].value", "listed twice"),
    (prop(2, specs=choices("ENUM", "1", "01")), "properties[2].specs[1].value", "listed twice"),
    (prop(2, specs=choices("ENUM", "cold")), "properties[2].specs[0].value", "whole number"),
    (prop(2, specs=choices("INT", "1")), "properties[2].specs[0].dataType", "Use ENUM"),
    (prop(2, specs=["1"]), "properties[2].specs[0]", "object"),
    (specs_of(4, length="0"), "properties[4].specs.length", "1 to 10240"),
    (specs_of(4, length="10241"), "properties[4].specs.length", "1 to 10240"),
    (prop(4, specs={}), "properties[4].specs.length", "1 to 10240"),
    (prop(6, specs=[]), "properties[6].specs", "at least one member"),
    (prop(6, specs=[7]), "properties[6].specs[0]", "object"),
    (prop(6, specs=[MEMBERS[0], MEMBERS[0]]), "properties[6].specs[1].code", "taken by"),
    (prop(6, specs=[{**MEMBERS[0], "dataType": "STRUCT"}]), "properties[6].specs[0].dataType", "BOOL, INT"),
    (prop(6, specs=[{**MEMBERS[0], "dataType": "ARRAY"}]), "properties[6].specs[0].dataType", "BOOL, INT"),
    (specs_of(7, size="0"), "properties[7].specs.size", "1 to 100"),
    (specs_of(7, size=101), "properties[7].specs.size", "1 to 100"),
    (specs_of(8, dataType="ARRAY"), "properties[8].specs.dataType", "STRUCT"),
    (changed(lambda d: d.pop("properties")), "properties", "list of features"),
    (changed(lambda d: d.update(events={})), "events", "list of features"),
    (changed(lambda d: d.update(profile=[])), "profile", "object"),
    (changed(lambda d: d["profile"].update(productKey=7)), "profile.productKey", "text"),
    (changed(lambda d: d["properties"].append("x")), "properties[10]", "object"),
    (changed(lambda d: d["events"][0].update(subType="FATAL")), "events[0].subType", "INFO, WARN, ERROR"),
    (changed(lambda d: d["services"][0].update(subType="SYNC")), "services[0].subType", "ASYNC"),
    (changed(lambda d: d["services"][0].update(inputData={})), "services[0].inputData", "list"),
    (changed(lambda d: d["services"][0].update(inputData=[1])), "services[0].inputData[0]", "object"),
    (changed(lambda d: d["services"][0].update(inputData=[{"$ref": "#/properties/id/99"}])),
     "services[0].inputData[0].$ref", "a property of this TSL"),
    (changed(lambda d: d["services"][0].update(inputData=[{"$ref": 3}])),
     "services[0].inputData[0].$ref", "a property of this TSL"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "path", "sentence"), BROKEN, ids=range(len(BROKEN)))
def test_a_mistake_is_named_by_its_place_and_says_what_to_do(document, path, sentence):
    found = problems_of(document)
    assert sentence in found[path]


def test_all_mistakes_are_named_at_once():
    def change(document):
        for index, part in enumerate(document["properties"]):
            part["id"] = -index
        document["events"] = 5

    found = problems_of(changed(change))
    assert len(found) == 1 + len(DOCUMENT["properties"]) + 1  # the service refers to an id that is gone
    assert "events" in found


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip)


decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=6)


@st.composite
def shapes(draw, kinds=tuple(DataType)):
    kind = draw(st.sampled_from(kinds))
    scalars = tuple(set(DataType) - {DataType.ARRAY, DataType.STRUCT})
    if kind is DataType.BOOL:
        return kind, choices("BOOL", "true", "false")
    if kind is DataType.ENUM:
        return kind, choices("ENUM", *map(str, draw(st.lists(st.integers(-99, 99), min_size=1, unique=True))))
    if kind is DataType.STRUCT:
        parts = [draw(shapes(scalars)) for _ in range(draw(st.integers(1, 4)))]
        return kind, [
            {"id": n + 1, "code": f"m{n}", "name": "m", "dataType": inner, "specs": specs}
            for n, (inner, specs) in enumerate(parts)
        ]
    if kind is DataType.ARRAY:
        inner, specs = draw(shapes((*scalars, DataType.STRUCT)))
        return kind, {"size": draw(st.integers(1, 100)), "dataType": inner, "specs": specs}
    if kind in (DataType.TEXT, DataType.DATE):
        return kind, {"length": str(draw(st.integers(1, 10_240)))}
    low, high = sorted(draw(st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))))
    step = draw(st.integers(1, 9)) if kind is DataType.INT else draw(st.sampled_from(["0.1", "1e-7", "2.50", ""]))
    return kind, {"unit": draw(st.sampled_from(["", "°C"])), "min": str(low), "max": str(high), "step": str(step)}


@given(st.lists(st.tuples(shapes(), names, st.sampled_from(["R", "W", "RW"])), max_size=8))
def test_every_valid_model_is_accepted_and_round_trips(parts):
    properties = [
        feature(n + 1, f"p{n}", kind, specs, access, name=name) for n, ((kind, specs), name, access) in enumerate(parts)
    ]
    tsl = parse({"properties": properties})
    assert len(tsl.properties) == len(parts)
    assert parse(dump(tsl)) == load(json.dumps(dump(tsl))) == tsl


@given(decimals, st.sampled_from(["", "e0", "E+5", "e-300", "e+270"]))
def test_every_accepted_bound_survives_the_round_trip(number, exponent):
    document = {"properties": [feature(1, "a", "DOUBLE", {"max": f"{number}{exponent}"})]}
    tsl = parse(document)
    assert parse(dump(tsl)) == tsl
