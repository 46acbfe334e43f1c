"""Products, and the thing models they import (A1, A19, E4)."""

from __future__ import annotations

import re
import secrets
import string
from datetime import datetime

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from amp.foundation.models import Enterprise
from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Problem, Refused
from catalog import tsl
from catalog.models import Product, ServiceLevel, ServiceRule, ThingModel

KEY = re.compile(r"[A-Za-z0-9_-]{1,32}")
KEY_LETTERS = string.ascii_lowercase + string.digits


class ProductRefused(Refused):
    """The product can't be saved like this."""


class ThingModelRefused(Refused):
    """The thing model is valid, but the product's rule needs what it lacks (A19)."""


@transaction.atomic
def create_product(
    *, enterprise: Enterprise, name: str, actor: str, now: datetime, key: str | None = None, description: str = ""
) -> Product:
    """A product with its standard level (E4) and its first rule: paid mode off (A1). Raises ProductRefused.

    `key` is random unless given: nobody learns of another tenant's product by a collision (F81).
    """
    enterprise = Enterprise.objects.select_for_update(no_key=True).get(pk=enterprise.pk)
    name = name.strip()
    key = key or new_key()
    _check_product(enterprise, name, key)
    product = Product.objects.create(enterprise=enterprise, name=name, key=key, description=description, created_at=now)
    _make_standard_level(product)
    ServiceRule.objects.create(
        enterprise=enterprise, product=product, version=1, thresholds_since=now, created_at=now, created_by=actor
    )
    record_about(product, "product.created", actor=actor, now=now, after={"name": name, "key": key})
    return product


@transaction.atomic
def edit_product(*, product: Product, name: str, description: str, actor: str, now: datetime) -> Product:
    """Change what people read; the key is part of topics and never changes. Raises ProductRefused."""
    locked = lock_product(product.pk)
    name = name.strip()
    if name != locked.name:
        _check_product(locked.enterprise, name, locked.key)
    before = {"name": locked.name, "description": locked.description}
    locked.name, locked.description = name, description
    after = {"name": name, "description": description}
    if before != after:
        locked.save(update_fields=["name", "description"])
        record_about(locked, "product.edited", actor=actor, now=now, before=before, after=after)
    return locked


@transaction.atomic
def import_thing_model(*, product: Product, text: str | bytes, actor: str, now: datetime) -> ThingModel:
    """Put a new version of the thing model in force; the same document again changes nothing.

    Raises `catalog.tsl.InvalidTsl` for a broken document, and ThingModelRefused where the lock or unlock action of the
    rule no longer fits: a code is gone, can't be written, or has another type (A19).
    """
    model = tsl.load(text)
    product = lock_product(product.pk)
    document = tsl.dump(model)
    current = _current_thing_model(product.pk)
    if current and current.document == document:
        return current
    _check_rule_still_fits(product, model)
    version = current.version + 1 if current else 1
    stored: ThingModel = ThingModel.objects.create(
        enterprise_id=product.enterprise_id,
        product=product,
        version=version,
        document=document,
        created_at=now,
        created_by=actor,
    )
    record_about(product, "tsl.imported", actor=actor, now=now, after={"version": version})
    return stored


def current_tsl(product: Product) -> tsl.Tsl | None:
    """The thing model in force; None before the first import."""
    current = _current_thing_model(product.pk)
    return tsl.parse(current.document) if current else None


def lock_product(product_id: int) -> Product:
    """The product's row: changes of one product's rule, thing model and devices queue behind it.

    `no_key`, so that rows which merely refer to the product can be written meanwhile.
    """
    locked: Product = Product.objects.select_for_update(no_key=True).get(pk=product_id)
    return locked


def new_key() -> str:
    """A random product key of 62 bits that reads well in a topic."""
    return "".join(secrets.choice(KEY_LETTERS) for _digit in range(12))


def _current_thing_model(product_id: int) -> ThingModel | None:
    newest: ThingModel | None = ThingModel.objects.filter(product_id=product_id).order_by("-version").first()
    return newest


def _check_product(enterprise: Enterprise, name: str, key: str) -> None:
    problems = []
    if not 1 <= len(name) <= 120:
        problems.append(Problem("name", _("Give a name of 1 to 120 characters.")))
    elif Product.objects.filter(enterprise=enterprise, name=name).exists():
        problems.append(Problem("name", _("Another product of this enterprise has that name. Choose another.")))
    if not KEY.fullmatch(key):
        problems.append(Problem("key", _("Use 1 to 32 letters, digits, - or _ for the product key.")))
    if problems:
        raise ProductRefused(problems)


def _make_standard_level(product: Product) -> None:
    levels = ServiceLevel.objects.filter(enterprise_id=product.enterprise_id)
    rank = (levels.aggregate(top=Max("rank"))["top"] or 0) + 1
    level = ServiceLevel.objects.create(
        enterprise_id=product.enterprise_id, name="Standard", rank=rank, standard_of=product
    )
    level.products.add(product)


def _check_rule_still_fits(product: Product, model: tsl.Tsl) -> None:
    rule = ServiceRule.objects.get(product=product, is_current=True)
    used = {entry["code"] for entry in [*rule.lock_action, *rule.unlock_action]}
    old = current_tsl(product)
    dropped = tsl.codes_dropped(old, model, used) if old else ()
    if dropped:
        codes = ", ".join(dropped)
        message = _(
            "The lock and unlock actions use %(codes)s, which this TSL drops, makes read-only or gives another type. "
            "Change the actions first."
        )
        raise ThingModelRefused.because(message % {"codes": codes}, "file")
    if not used:
        return
    misfits = tsl.check_action_pair(model, rule.lock_action, rule.unlock_action)
    if misfits:
        message = _("The lock and unlock actions no longer fit this TSL. %(why)s")
        why = " ".join(_(misfit.text) % misfit.values for misfit in misfits)
        raise ThingModelRefused.because(message % {"why": why}, "file")
