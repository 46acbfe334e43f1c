"""The way of a new enterprise: what to do first, in order, until the first device is registered."""

from __future__ import annotations

from typing import NamedTuple

from django.urls import reverse
from django.utils.translation import gettext as _

from amp.foundation.models import Merchant
from catalog.models import Plan, Product, ServiceRule


class Step(NamedTuple):
    """One thing to do; `done` where it is."""

    title: str
    why: str
    url: str
    done: bool


def first_steps() -> list[Step]:
    """Product, rule, merchant, plan, devices: five probes, asked only while there is no device."""
    return [
        Step(
            _("Add a product"),
            _("Import its TSL, so that AMP knows which property locks it."),
            reverse("admin:catalog_product_changelist"),
            Product.objects.exists(),
        ),
        Step(
            _("Switch paid service on"),
            _("How many hours online are free, and what locks and unlocks the device."),
            reverse("admin:catalog_servicerule_changelist"),
            ServiceRule.objects.filter(is_current=True, paid_mode=True).exists(),
        ),
        Step(
            _("Set the merchant"),
            _("Who is paid when a customer renews."),
            reverse("admin:foundation_enterprise_changelist"),
            Merchant.objects.filter(status="VERIFIED").exists(),
        ),
        Step(
            _("Publish a plan"),
            _("What a renewal costs and how long it lasts."),
            reverse("admin:catalog_plan_changelist"),
            Plan.objects.filter(status="PUBLISHED").exists(),
        ),
        Step(
            _("Register devices"),
            _("One by one, or many from a CSV file."),
            reverse("admin:devices_device_changelist"),
            False,
        ),
    ]
