"""Lock and unlock actions on a TSL (A19, A21, N7, F64)."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.tsl import (
    check_action,
    check_action_pair,
    codes_dropped,
    encode_kv,
    is_readable,
    parse,
    reported_equals,
)
from tests.rules.thing_models import DOCUMENT, changed, choices, feature

TSL = parse(DOCUMENT)
NOTICE = "q_retain_device_sevice_notice"


def pair(code, value):
    return {"code": code, "value": value}


def sentences(problems):
    return {problem.path: problem.message for problem in problems}


@pytest.mark.parametrize(
    ("code", "value", "wire"),
    [
        ("service_lock", True, "true"),
        ("service_lock", "true", "true"),
        ("service_lock", "0", "false"),
        ("target_temperature", 20, "20"),
        ("target_temperature", "20", "20"),
        ("target_temperature", 20.0, "20"),
        ("mode", "2", "2"),
        ("mode", 0, "0"),
        ("label", "热 ok", "热 ok"),
        ("label", "", ""),
        ("since", 1635839462000, "1635839462000"),
        ("ratio", 2.5, "2.5"),
        ("ratio", "0.10", "0.1"),
        ("ratio", "1e3", "1000"),
        ("ratio", "-0", "0"),
        (NOTICE, {"serviceName": 3, "serviceStatus": 1}, {"serviceName": 3, "serviceStatus": 1}),
        (NOTICE, '{"serviceName": "3", "serviceStatus": "1"}', {"serviceName": 3, "serviceStatus": 1}),
        ("levels", ["1", 2, -3], [1, 2, -3]),
        ("timers", [{"serviceName": "1", "serviceStatus": 2}], [{"serviceName": 1, "serviceStatus": 2}]),
    ],
)
def test_a_value_that_fits_is_accepted_and_encoded_for_the_wire(code, value, wire):
    """A19; scalars are text, members of a STRUCT are JSON numbers."""
    assert check_action(TSL, [pair(code, value)]) == []
    kv = encode_kv(TSL, [pair(code, value)])
    assert kv == {code: wire}
    assert json.loads(json.dumps(kv)) == kv


def test_the_notice_is_encoded_byte_for_byte():
    """N7."""
    kv = encode_kv(TSL, [pair(NOTICE, {"serviceName": 3, "serviceStatus": 1})])
    assert json.dumps(kv) == '{"q_retain_device_sevice_notice": {"serviceName": 3, "serviceStatus": 1}}'


MISFITS = [
    ("temperature", "20", "action[0].code", "can only be read"),
    ("nothing", "20", "action[0].code", "no property “nothing”"),
    (None, "20", "action[0].code", "no property"),
    (["service_lock"], "20", "action[0].code", "no property"),
    ("service_lock", "yes", "action[0].value", "true or false"),
    ("service_lock", 2, "action[0].value", "true or false"),
    ("service_lock", None, "action[0].value", "true or false"),
    ("target_temperature", "17", "action[0].value", "from 18 to 32"),
    ("target_temperature", 33, "action[0].value", "from 18 to 32"),
    ("target_temperature", 20.5, "action[0].value", "whole number"),
    ("target_temperature", True, "action[0].value", "whole number"),
    ("target_temperature", "２０", "action[0].value", "whole number"),
    ("target_temperature", 10**5000, "action[0].value", "whole number"),
    ("target_temperature", float("nan"), "action[0].value", "whole number"),
    ("mode", "3", "action[0].value", "0, 1, 2"),
    ("label", "x" * 21, "action[0].value", "at most 20 bytes"),
    ("label", "热" * 7, "action[0].value", "this is 21"),
    ("label", 5, "action[0].value", "use text"),
    ("label", "a\0", "action[0].value", "can't be sent"),
    ("label", "\ud800", "action[0].value", "can't be sent"),
    ("since", "yesterday", "action[0].value", "milliseconds"),
    ("ratio", "NaN", "action[0].value", "such as 2.5"),
    ("ratio", "1e309", "action[0].value", "from"),
    (NOTICE, {"serviceName": 3}, "action[0].value.serviceStatus", "as a whole"),
    (NOTICE, {"serviceName": 9, "serviceStatus": 1}, "action[0].value.serviceName", "1, 2, 3"),
    (NOTICE, {"serviceName": 3, "serviceStatus": 1, "x": 1}, "action[0].value", "no member “x”"),
    (NOTICE, "[1]", "action[0].value", "object with its members"),
    (NOTICE, "[" * 50_000, "action[0].value", "object with its members"),
    ("levels", [], "action[0].value", "1 to 10"),
    ("levels", [1] * 11, "action[0].value", "1 to 10"),
    ("levels", [1, "x"], "action[0].value[1]", "whole number"),
    ("levels", 5, "action[0].value", "list"),
    ("timers", [{}], "action[0].value[0].serviceName", "as a whole"),
]


@pytest.mark.parametrize(("code", "value", "path", "sentence"), MISFITS, ids=range(len(MISFITS)))
def test_a_value_that_does_not_fit_is_refused_with_what_to_do(code, value, path, sentence):
    """A19: only W and RW, type and specs."""
    found = sentences(check_action(TSL, [pair(code, value)]))
    assert sentence in found[path]
    with pytest.raises(ValueError, match=r"action\[0\]"):
        encode_kv(TSL, [pair(code, value)])


@pytest.mark.parametrize(
    ("specs", "good", "bad"),
    [
        ({"min": "10", "max": "20", "step": "5"}, ["10", "15", "20"], ["12", "11"]),
        ({"min": "-1", "max": "1", "step": "0.1"}, ["-0.9", "0.3", 0.1, "1"], ["0.05", "0.33", 0.15]),
        ({"step": "0.25"}, ["0.75", "-100.25"], ["0.3"]),
        ({"min": "0.05", "step": "0.1"}, ["0.05", "0.15"], ["0.1"]),
        ({"step": "1e-7"}, ["0.0000001", "123456789012345678901234567890.1234567"], ["0.00000015"]),
    ],
)
def test_steps_count_from_min_and_are_exact(specs, good, bad):
    """A19: 0.1 + 0.2 is no trap here."""
    tsl = parse({"properties": [feature(1, "a", "DOUBLE", specs)]})
    assert [check_action(tsl, [pair("a", value)]) for value in good] == [[]] * len(good)
    assert all("in steps of" in check_action(tsl, [pair("a", value)])[0].message for value in bad)


@pytest.mark.parametrize(
    "pairs",
    [None, {}, "lock", [], [1], [None], [{}], [{"code": "mode"}], [{"code": "mode", "value": 1, "x": 1}], [[]],
     [pair("mode", 1)] * 2, [pair("mode", 1)] * 51, [{1: 2, "value": 3}]],
)  # fmt: skip
def test_an_action_of_the_wrong_form_is_refused(pairs):
    assert check_action(TSL, pairs)


def test_an_action_that_no_message_can_carry_is_refused():
    texts = [feature(n, f"t{n}", "TEXT", {"length": "10240"}) for n in range(1, 6)]
    tsl = parse({"properties": texts})
    assert check_action(tsl, [pair("t1", "x" * 10_240)]) == []
    problems = check_action(tsl, [pair(f"t{n}", "x" * 10_240) for n in range(1, 6)])
    assert "more than 32768 bytes" in problems[0].message


def test_a_lock_and_an_unlock_that_fit_are_accepted():
    assert check_action_pair(TSL, [pair("service_lock", True)], [pair("service_lock", False)]) == []
    assert (
        check_action_pair(
            TSL,
            [pair("service_lock", True), pair("mode", 0)],
            [pair("mode", "0"), pair("service_lock", False)],
        )
        == []
    )


@pytest.mark.parametrize(
    ("lock", "unlock", "path", "sentence"),
    [
        ([pair("service_lock", True)], [pair("service_lock", "1")], "unlock", "same values"),
        ([pair("service_lock", True)], [pair("mode", 1)], "unlock", "must set service_lock too"),
        ([pair("service_lock", True)], [pair("mode", 1)], "lock", "must set mode too"),
        ([pair("service_lock", True)], [], "unlock", "service_lock"),
        ([], [], "lock", "Choose 1 to"),
        ([pair("service_lock", "maybe")], [pair("service_lock", False)], "lock[0].value", "true or false"),
        ([pair("temperature", 1)], [pair("temperature", 2)], "unlock[0].code", "can only be read"),
        (None, 5, "lock", "Choose 1 to"),
    ],
)
def test_lock_and_unlock_set_the_same_codes_and_differ(lock, unlock, path, sentence):
    """A19."""
    assert sentence in " ".join(p.message for p in check_action_pair(TSL, lock, unlock) if p.path == path)


@pytest.mark.parametrize(
    ("code", "expected", "reported", "equal"),
    [
        ("service_lock", "true", True, True),
        ("service_lock", True, "1", True),
        ("service_lock", "true", "TRUE", True),
        ("service_lock", "true", 1, True),
        ("service_lock", "true", "false", False),
        ("service_lock", "true", "locked", False),
        ("service_lock", "true", None, False),
        ("service_lock", "true", {"a": 1}, False),
        ("target_temperature", "3", "3.0", True),
        ("target_temperature", 3, "3.5", False),
        ("target_temperature", "20", " 20", False),
        ("mode", "2", 2, True),
        ("temperature", "25.6", "25.600000381469727", True),
        ("temperature", "25.6", 25.6, True),
        ("temperature", "25.6", "25.61", False),
        ("ratio", "0.1", "0.1000000000000000055", True),
        ("ratio", "0.1", "0.10000001", False),
        ("ratio", "1000000", "1e+06", True),
        ("since", "1635839462000", 1635839462000, True),
        ("label", "on", "on", True),
        ("label", "on", "ON", False),
        (NOTICE, {"serviceName": 3, "serviceStatus": 1}, '{"serviceStatus":"1","serviceName":"3"}', True),
        (NOTICE, {"serviceName": 3, "serviceStatus": 1}, {"serviceName": 3, "serviceStatus": 1, "more": 9}, True),
        (NOTICE, {"serviceName": 3, "serviceStatus": 1}, {"serviceName": 3}, False),
        (NOTICE, {"serviceName": 3, "serviceStatus": 1}, "[" * 60_000, False),
        ("levels", [1, 2], ["1", "2.0"], True),
        ("levels", [1, 2], [2, 1], False),
        ("levels", [1, 2], [1, 2, 3], False),
        ("gone", 1, 1, False),
    ],
)
def test_a_report_is_compared_by_the_type_of_its_property(code, expected, reported, equal):
    """A21: CONFIRMED when the property report equals the value."""
    assert reported_equals(TSL, code, expected, reported) is equal


def test_a_property_that_is_only_written_cannot_be_read_back():
    """A21: confirmed by its ack."""
    assert is_readable(TSL, "service_lock")
    assert is_readable(TSL, "temperature")
    assert not is_readable(TSL, "label")
    assert not is_readable(TSL, "gone")


@pytest.mark.parametrize(
    ("change", "dropped"),
    [
        (lambda d: None, ()),
        (lambda d: d["properties"].pop(0), ("service_lock",)),
        (lambda d: d["properties"][0].update(subType="R"), ("service_lock",)),
        (lambda d: d["properties"][0].update(subType="W"), ()),
        (lambda d: d["properties"][0].update(code="other"), ("service_lock",)),
        (lambda d: d["properties"][0].update(dataType="ENUM", specs=choices("ENUM", "0", "1")), ("service_lock",)),
        (lambda d: d["properties"][1].update(subType="R"), ()),
        (lambda d: d["properties"][2]["specs"].pop(), ()),
    ],
)
def test_a_new_model_that_takes_away_a_used_code_is_found_out(change, dropped):
    """A19: a TSL that drops a used code is refused."""
    assert codes_dropped(TSL, parse(changed(change)), ["service_lock", "mode"]) == dropped


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
codes = st.sampled_from([*TSL.by_code, "gone"])


@example("ratio", 1e40)  # one digit as a float, forty-one as text
@example("ratio", 10**40)
@given(codes, json_values)
def test_any_value_is_refused_or_can_be_sent_and_confirmed(code, value):
    """A19, A21: what passes the check is encoded as JSON and equals itself when it comes back."""
    if check_action(TSL, [pair(code, value)]):
        with pytest.raises(ValueError, match="action"):
            encode_kv(TSL, [pair(code, value)])
    else:
        wire = json.loads(json.dumps(encode_kv(TSL, [pair(code, value)])))[code]
        assert reported_equals(TSL, code, value, wire)
        assert check_action(TSL, [pair(code, wire)]) == []


@given(json_values, json_values)
def test_no_action_whatever_its_form_raises(lock, unlock):
    check_action_pair(TSL, lock, unlock)


@given(codes, json_values, json_values)
def test_no_report_whatever_its_form_raises(code, expected, reported):
    assert reported_equals(TSL, code, expected, reported) in (True, False)


@given(st.integers(18, 32), st.sampled_from(["{}", "{}.0", "{}.000", "+{}", "{}e0"]))
def test_a_number_equals_itself_however_it_is_written(number, form):
    assert reported_equals(TSL, "target_temperature", number, form.format(number))
