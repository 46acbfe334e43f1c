"""Thing models that are no thing models are refused with a sentence, and quickly (F69)."""

import copy

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from catalog.tsl import InvalidTsl, Tsl, dump, load, parse
from catalog.tsl.model import DataType
from tests.rules.thing_models import DOCUMENT, feature, problems_of


def nested(depth):
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


def cycle():
    value: list[object] = []
    value.append(value)
    return value


HOSTILE = [
    None, True, 5, 1.5, "text", [], {}, {"properties": None}, {"properties": [None, [], {}, 5]},
    nested(17), nested(100_000), {"properties": nested(5_000)}, {"profile": nested(50)}, cycle(),
    {"properties": [{}] * 2_001}, {"properties": list(range(300_000))},
    {"properties": [], "x": float("nan")}, {"properties": [], "x": float("inf")}, {"properties": [], "x": 10**400},
    {"properties": [], "x": 10**5000}, {"properties": [], "x": "a\0b"}, {"properties": [], "\ud800": 1},
    {"properties": [], "x": object()}, {"properties": (1, 2)}, b"{}", {1, 2},
]  # fmt: skip


@pytest.mark.parametrize("document", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_documents_are_refused_with_a_sentence(document):
    """F69: depth, size, cycles, NaN, characters that no database stores."""
    with pytest.raises(InvalidTsl) as caught:
        parse(document)
    assert all(problem.message and problem.path for problem in caught.value.problems)


TEXTS = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"\xff\xfe{}", "UTF-8"),
    (b'{"properties": [], "properties": []}', "there twice"),
    (b'{"properties": [], "x": NaN}', "number that JSON"),
    (b'{"properties": [], "x": -Infinity}', "number that JSON"),
    (b'{"properties": [], "x": 1e999}', "not finite"),
    (b'{"properties": [], "x": ' + b"9" * 6_000 + b"}", "number that JSON"),
    (b'{"properties": [], "x": "\\u0000"}', "can't be stored"),
    (b'{"properties": [], "x": "\\ud800"}', "can't be stored"),
    (b"[" * 100_000, "nested too deeply"),
    (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    (b'{"a":' * 100_000, "nested too deeply"),
    (b" " * 1_000_001, "larger than 1000000 bytes"),
    ("{'properties': []}", "line 1, column 2"),
    ('{"properties": [],}', "not JSON"),
    ("// comment\n{}", "not JSON"),
]


@pytest.mark.parametrize(("text", "sentence"), TEXTS, ids=range(len(TEXTS)))
def test_a_file_that_is_not_strict_json_is_refused(text, sentence):
    with pytest.raises(InvalidTsl) as caught:
        load(text)
    assert sentence in caught.value.problems[0].message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(list(DataType)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def outcome_of(document):
    """The TSL, or the problems: anything else that is raised fails the test."""
    try:
        return parse(document)
    except InvalidTsl as refused:
        return refused.problems


@given(json_values)
def test_any_json_value_is_read_or_refused(document):
    outcome = outcome_of(document)
    assert isinstance(outcome, Tsl) or all(problem.path and problem.message for problem in outcome)


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


PLACES = [place for place in places(DOCUMENT) if place]


@example(("properties", 1, "specs", "min"), 1e28)
@example(("properties", 1, "specs", "step"), 1e300)
@example(("properties", 1, "specs", "max"), 10**400)
@given(st.sampled_from(PLACES), json_values)
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_in_any_place_is_read_or_refused_and_round_trips(place, value):
    document = copy.deepcopy(DOCUMENT)
    target = document
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    outcome = outcome_of(document)
    if isinstance(outcome, Tsl):
        assert parse(dump(outcome)) == outcome
    else:
        assert all(problem.path and problem.message for problem in outcome)


def test_a_file_full_of_repeats_is_refused_without_quadratic_work():
    """F69: 30,000 equal values and 2,000 equal features."""
    values = [{"name": "", "value": "1"}] * 30_000
    assert len(problems_of({"properties": [feature(1, "a", "ENUM", values)]})) == 29_999
    same = feature(1, "a", "DATE", None)
    assert len(problems_of({"properties": [same] * 2_000})) == 2 * 1_999
