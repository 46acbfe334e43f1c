"""Products and their thing models (A1, A19, E4, F81)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator

import pytest

from amp.foundation.models import Event
from amp.foundation.scoping import enterprise_scope, system_scope
from catalog.models import Product, ServiceLevel, ThingModel
from catalog.services.products import (
    ProductRefused,
    ThingModelRefused,
    create_product,
    current_tsl,
    edit_product,
    import_thing_model,
)
from catalog.services.rules import current_rule
from catalog.tsl import InvalidTsl
from tests.factories import NOW, STANDARD_TSL, make_enterprise, make_product

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def test_a_product_is_born_with_a_standard_level_and_paid_mode_off() -> None:
    """E4, A1."""
    product = create_product(enterprise=make_enterprise(), name="Lamp", actor="ann", now=NOW)
    level = ServiceLevel.objects.get(standard_of=product)
    assert list(level.products.all()) == [product]
    rule = current_rule(product.pk)
    assert (rule.version, rule.paid_mode, rule.lock_action) == (1, False, [])
    assert current_tsl(product) is None
    assert Event.objects.filter(kind="product.created", subject=f"product:{product.pk}", actor="ann").exists()


def test_products_of_one_enterprise_have_levels_of_different_rank() -> None:
    enterprise = make_enterprise()
    for name in "ABC":
        create_product(enterprise=enterprise, name=name, actor="test", now=NOW)
    assert sorted(ServiceLevel.objects.values_list("rank", flat=True)) == [1, 2, 3]


def test_keys_are_random_and_names_only_collide_inside_an_enterprise() -> None:
    """F81: a key given by us tells nothing about other tenants."""
    first, second = make_enterprise(), make_enterprise()
    keys = {create_product(enterprise=owner, name="Lamp", actor="test", now=NOW).key for owner in (first, second)}
    assert len(keys) == 2
    with pytest.raises(ProductRefused) as refused:
        create_product(enterprise=first, name=" Lamp ", actor="test", now=NOW)
    assert refused.value.problems[0].field == "name"


@pytest.mark.parametrize("key", ["a/b", "+", "a#", "x" * 33, "a b", "a:b"])
def test_a_key_that_a_topic_could_not_hold_is_refused(key: str) -> None:
    with pytest.raises(ProductRefused, match="product key"):
        create_product(enterprise=make_enterprise(), name="Lamp", key=key, actor="test", now=NOW)


def test_renaming_keeps_the_key_and_is_refused_for_a_name_in_use() -> None:
    product = make_product(name="Lamp")
    make_product(product.enterprise, name="Lock")
    renamed = edit_product(product=product, name="Lantern", description="bright", actor="ann", now=NOW)
    assert (renamed.name, renamed.key) == ("Lantern", product.key)
    with pytest.raises(ProductRefused):
        edit_product(product=product, name="Lock", description="", actor="ann", now=NOW)


def test_each_import_is_a_version_and_the_same_document_makes_none() -> None:
    product = make_product()
    longer = copy.deepcopy(STANDARD_TSL)
    longer["properties"][1]["specs"]["max"] = "7200"
    for document in (STANDARD_TSL, longer, longer):
        import_thing_model(product=product, text=json.dumps(document).encode(), actor="ann", now=NOW)
    assert list(ThingModel.objects.filter(product=product).values_list("version", flat=True)) == [2, 1]
    assert Event.objects.filter(kind="tsl.imported").count() == 2


def _without_the_lock(document: dict) -> None:
    document["properties"] = document["properties"][1:]


def _read_only_lock(document: dict) -> None:
    document["properties"][0]["subType"] = "R"


def _lock_as_number(document: dict) -> None:
    document["properties"][0] |= {"dataType": "INT", "specs": {"unit": "", "min": "0", "max": "1", "step": "1"}}


@pytest.mark.parametrize("change", [_without_the_lock, _read_only_lock, _lock_as_number])
def test_a_thing_model_that_breaks_the_lock_action_is_refused(change) -> None:
    """A19."""
    product = make_product()
    document = copy.deepcopy(STANDARD_TSL)
    change(document)
    with pytest.raises(ThingModelRefused, match="service_lock"):
        import_thing_model(product=product, text=json.dumps(document), actor="ann", now=NOW)
    assert ThingModel.objects.filter(product=product).count() == 1
    unlocked = create_product(enterprise=product.enterprise, name="No actions", actor="test", now=NOW)
    import_thing_model(product=unlocked, text=json.dumps(document), actor="ann", now=NOW)


@pytest.mark.parametrize("text", ["", "[]", "{", b"\xff\xfe\x00", '{"properties": 3}', "null", "[" * 100_000])
def test_a_broken_thing_model_is_refused_and_changes_nothing(text: str | bytes) -> None:
    product = make_product()
    with pytest.raises(InvalidTsl):
        import_thing_model(product=product, text=text, actor="ann", now=NOW)
    assert ThingModel.objects.filter(product=product).count() == 1


def test_a_child_reads_its_ancestors_product_and_a_sibling_does_not() -> None:
    """E1."""
    root = make_enterprise()
    child, stranger = make_enterprise(parent=root), make_enterprise()
    product = make_product(root)
    with enterprise_scope([child.pk], [root.pk]):
        assert Product.objects.get() == product
        assert current_tsl(product) is not None
    with enterprise_scope([stranger.pk]):
        assert not Product.objects.exists()
