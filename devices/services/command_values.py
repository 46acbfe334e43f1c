"""What a command says: the action of the right rule version, encoded by the product's thing model (A5, A19, F64)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import OuterRef, Q, Subquery

from amp.foundation.scoping import system_scope
from catalog import tsl
from catalog.models import ServiceRule, ThingModel
from devices.delivery import CommandKind

NO_TSL = "The product has no TSL: import one, then send the command again."


class Message(NamedTuple):
    """The `kv` object of a command, or the `problem` for which there is none."""

    values: dict[str, Any]
    rule_version: int
    # False where one of the properties can't be read back: the ack confirms (A21).
    confirms_by_report: bool
    problem: str = ""


@dataclass(slots=True)
class Wording:
    """Rules and thing models of some products, and what their commands say; each is encoded once."""

    rules: Mapping[tuple[int, int], ServiceRule]
    current: Mapping[int, ServiceRule]
    models: Mapping[int, tsl.Tsl]
    _said: dict[tuple[int, CommandKind, int], Message] = field(default_factory=dict)

    def cache_seconds(self, product_id: int) -> int:
        """How long a command of this product is kept (A20)."""
        return self.current[product_id].cache_seconds

    def say(self, product_id: int, kind: CommandKind, version: int | None) -> Message:
        """The message of rule `version`; of the one in force where it is None or gone."""
        rule = self.rules.get((product_id, version), self.current[product_id]) if version else self.current[product_id]
        key = (product_id, kind, rule.version)
        if key not in self._said:
            self._said[key] = _encoded(self.models.get(product_id), rule, kind)
        return self._said[key]


def wording_of(product_ids: Iterable[int], versions: Iterable[tuple[int, int]]) -> Wording:
    """Load the rules in force and the (product id, rule version) asked for, and the newest TSL of each: two queries."""
    products = set(product_ids)
    wanted = Q(is_current=True)
    for product_id, version in set(versions):
        wanted |= Q(product_id=product_id, version=version)
    newest = ThingModel.objects.filter(product_id=OuterRef("product_id")).order_by("-version").values("version")[:1]
    with system_scope():  # a child's device follows its ancestor's rule and TSL, wherever the caller looks from
        rules = list(ServiceRule.objects.filter(wanted, product_id__in=products))
        documents = ThingModel.objects.filter(product_id__in=products, version=Subquery(newest))
        models = {pk: tsl.parse(document) for pk, document in documents.values_list("product_id", "document")}
    return Wording(
        rules={(rule.product_id, rule.version): rule for rule in rules},
        current={rule.product_id: rule for rule in rules if rule.is_current},
        models=models,
    )


def _encoded(model: tsl.Tsl | None, rule: ServiceRule, kind: CommandKind) -> Message:
    action = rule.lock_action if kind is CommandKind.LOCK else rule.unlock_action
    if model is None:
        return Message({}, rule.version, True, NO_TSL)
    try:
        values = tsl.encode_kv(model, action)
    except ValueError as misfit:
        return Message({}, rule.version, True, f"The action doesn't fit the product's TSL: {misfit}"[:300])
    return Message(values, rule.version, all(tsl.is_readable(model, code) for code in values))
