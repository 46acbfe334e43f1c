"""Which devices a request means: by ids, by keys, or by the filters of the list of device services (Q1, F35)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from amp.foundation.api.fields import MAX_ID, Input, Text, Whole
from amp.foundation.api.problems import ApiProblem, FieldError
from billing.orders import MAX_LINES, OrderRefusal
from billing.selection_csv import NamedDevice
from billing.services.naming import Found, find_devices
from billing.services.quoting import Quote, refusal_text
from devices.filters import DeviceServiceFilters
from devices.forms.import_words import problem_sentence
from devices.models import DeviceService

NAMED = 100
"""How many devices a refusal names."""
LONGEST_VALUE = 300
WAYS = ("devices", "keys", "filter")
FILTERS = sorted(DeviceServiceFilters.base_filters)


class KeyName(Input):
    """A device by its key; `product` is the key of its product, needed where several have such a device."""

    key = Text(max_length=64)
    product = Text(max_length=64, required=False, default="", allow_blank=True)


@extend_schema_field(
    {
        "type": "object",
        "properties": {name: {"type": "string", "maxLength": LONGEST_VALUE} for name in FILTERS},
        "additionalProperties": False,
        "minProperties": 1,
    }
)
class FilterField(serializers.Field):
    """Query parameters of `GET /device-services` as an object of strings; answers the ids that match, newest first."""

    default_error_messages = {
        "invalid": gettext_lazy("Send an object of filters, each value a string."),
        "empty": gettext_lazy("Name at least one filter."),
        "unknown": gettext_lazy("Unknown filter. Leave it out."),
        "too_many": gettext_lazy("More than 10,000 devices match. Filter further."),
        "nothing": gettext_lazy("No device matches."),
    }

    def to_internal_value(self, data: Any) -> list[int]:
        """The ids within the key's reach."""
        if not isinstance(data, dict) or not all(_is_value(value) for value in data.values()):
            self.fail("invalid")
        if not data:
            self.fail("empty")
        wrong: dict[str, list[Any]] = {name: [self._unknown()] for name in data if name not in FILTERS}
        given = QueryDict(mutable=True)
        given.update({name: value for name, value in data.items() if name in FILTERS})
        filters = DeviceServiceFilters(given, DeviceService.objects.all())
        wrong |= {str(name): [str(each) for each in each_of] for name, each_of in filters.form.errors.items()}
        if wrong:
            raise serializers.ValidationError({name[:80]: problems for name, problems in wrong.items()})
        return self._ids(filters)

    def _ids(self, filters: DeviceServiceFilters) -> list[int]:
        ids = list(filters.qs.order_by("-pk").values_list("pk", flat=True)[: MAX_LINES + 1])
        if len(ids) > MAX_LINES:
            self.fail("too_many")
        if not ids:
            self.fail("nothing")
        return ids

    def _unknown(self) -> serializers.ErrorDetail:
        return serializers.ErrorDetail(str(self.error_messages["unknown"]), "unknown")


class Chosen(Input):
    """Devices, named in one of three ways; a device named twice counts once."""

    default_error_messages = {
        "one_way": gettext_lazy("Name the devices in one way: by `devices`, `keys` or `filter`."),
    }

    devices = serializers.ListField(
        child=Whole(min_value=1, max_value=MAX_ID), min_length=1, max_length=MAX_LINES, required=False
    )
    keys = serializers.ListField(child=KeyName(), min_length=1, max_length=MAX_LINES, required=False)
    filter = FilterField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one way."""
        if sum(way in attrs for way in WAYS) != 1:
            self.fail("one_way")
        return attrs


class Devices(NamedTuple):
    """What a request means: ids in its order, for each the place that named it, and names that lead nowhere."""

    ids: list[int]
    places: dict[int, str]
    lost: Sequence[FieldError] = ()


def devices_of(wanted: dict[str, Any]) -> Devices:
    """The devices behind a checked `Chosen`."""
    if "keys" in wanted:
        return _by_keys(wanted["keys"])
    if "filter" in wanted:
        return Devices(wanted["filter"], {})
    ids: list[int] = wanted["devices"]
    return Devices(ids, {pk: f"devices[{place}]" for place, pk in reversed(list(enumerate(ids)))})


def refusal(offered: Quote | None, meant: Devices) -> ApiProblem:
    """The problem that names each device that stands in the way, at most 100."""
    errors = [*meant.lost, *(_refused(offered, meant) if offered else ())]
    asked = len(offered.lines) if offered else 0
    sentence = _("%(refused)d of %(asked)d devices can't be renewed with this plan.")
    told = {"refused": len(errors), "asked": asked + len(meant.lost)}
    return ApiProblem("devices_not_eligible", sentence % told, errors[:NAMED])


def _refused(offered: Quote, meant: Devices) -> Iterator[FieldError]:
    for line in offered.refused:
        sentence = refusal_text(line.refusal or "")
        place = meant.places.get(line.device_id)
        # What a filter found has no place of its own in the request: its key says which device it is.
        yield FieldError(place or "filter", str(line.refusal), sentence if place else f"{line.device_key}: {sentence}")


def _by_keys(keys: Sequence[dict[str, str]]) -> Devices:
    found = find_devices([NamedDevice(place, each["key"], each["product"]) for place, each in enumerate(keys)])
    places: dict[int, str] = {}
    for each in found:
        if each.device_id is not None:
            places.setdefault(each.device_id, f"keys[{each.named.line}]")
    return Devices(list(places), places, [_lost(each) for each in found if each.device_id is None])


def _lost(found: Found) -> FieldError:
    problem = found.problem
    is_ambiguous = problem is not None and problem.code == "several_devices"
    code = "product_needed" if is_ambiguous else OrderRefusal.NOT_FOUND.value
    sentence = problem_sentence(problem.code, problem.arguments) if problem else ""
    return FieldError(f"keys[{found.named.line}]", code, sentence)


def _is_value(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_VALUE and "\0" not in value
