"""TSL: the thing model of a product and the values that its properties take (wire formats; A19, F64, F69).

`model` is what a TSL is, `parsing` turns a JSON file into one or says everything that is wrong with it, `shapes` reads
the data types, `writing` turns it back into JSON, `values` checks, encodes and compares values, `actions` are the lists
of {code, value} that lock and unlock. It knows no product, no device and no framework; its callers use the names below.
"""

from catalog.tsl.actions import check_action, check_action_pair, codes_dropped, encode_kv, is_readable, reported_equals
from catalog.tsl.model import InvalidTsl, Problem, Property, Tsl, writable_properties
from catalog.tsl.parsing import load, parse
from catalog.tsl.writing import dump

__all__ = [
    "InvalidTsl",
    "Problem",
    "Property",
    "Tsl",
    "check_action",
    "check_action_pair",
    "codes_dropped",
    "dump",
    "encode_kv",
    "is_readable",
    "load",
    "parse",
    "reported_equals",
    "writable_properties",
]
