"""Admin of the catalogue: Product > Products, TSL, Device Service, and Plan > Plans."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Max, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from amp.foundation.access import Action
from amp.foundation.admin import MemberAdmin, RecordAdmin
from amp.foundation.money import format_money
from amp.foundation.templatetags.amp_display import (
    TONES,
    author,
    badge_html,
    code_html,
    day,
    duration,
    long_duration,
    moment,
    months,
)
from catalog import admin_views as views
from catalog.models import Plan, Product, ServiceRule, ThingModel


@admin.register(Product)
class ProductAdmin(MemberAdmin):
    """Product > Products."""

    add_action = Action.EDIT_CATALOG
    change_action = Action.EDIT_CATALOG
    creation = staticmethod(views.add_product)
    details = staticmethod(views.product_page)
    further = (
        ("choices/", "product_choices", views.product_choices),
        ("levels/", "level_choices", views.level_choices),
        ("merchants/", "merchant_choices", views.merchant_choices),
        ("<int:pk>/tsl/", "product_tsl", views.product_tsl),
    )
    section = _("Product")
    list_title = _("Products")
    add_title = _("Add product")
    empty_hint = _("Add a product, import its TSL, then set its device service.")
    list_display = ("name", "product_key", "enterprise", "paid_mode", "tsl_version", "created")
    list_select_related = ("enterprise",)
    search_fields = ("name", "key__exact")
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        """With the mode of the rule in force and the newest TSL, in the same query."""
        rule = ServiceRule.objects.filter(product=OuterRef("pk"), is_current=True)
        rows = super().get_queryset(request)
        return rows.annotate(mode=Subquery(rule.values("paid_mode")[:1]), tsl=Max("thing_models__version"))

    @admin.display(description=_("product key"))
    def product_key(self, product: Product) -> str:
        """The first part of every topic."""
        return code_html(product.key)

    @admin.display(description=_("paid service"))
    def paid_mode(self, product: Any) -> str:
        """The switch of the rule in force."""
        return badge_html(_("On"), "green") if product.mode else badge_html(_("Off"))

    @admin.display(description="TSL")
    def tsl_version(self, product: Any) -> str:
        """The version in force."""
        return _("version %(n)d") % {"n": product.tsl} if product.tsl else badge_html(_("Missing"), "amber")

    @admin.display(description=_("created"))
    def created(self, product: Product) -> str:
        """The day."""
        return day(product.created_at)


@admin.register(ThingModel)
class ThingModelAdmin(RecordAdmin):
    """Product > TSL: every imported version."""

    details = staticmethod(views.thing_model_page)
    further = (("<int:pk>/download/", "tsl_download", views.download_tsl),)
    section = _("Product")
    list_title = "TSL"
    list_display = ("product", "version", "created", "by", "download")
    list_select_related = ("product",)
    search_fields = ("product__name",)
    sortable_by = ()
    empty_hint = _("Open a product and import its TSL there.")

    @admin.display(description=_("imported"))
    def created(self, model: ThingModel) -> str:
        """The minute."""
        return moment(model.created_at)

    @admin.display(description=_("by"))
    def by(self, model: ThingModel) -> str:
        """Who imported it, where that is one of us."""
        return author(model)

    @admin.display(description=_("JSON"))
    def download(self, model: ThingModel) -> str:
        """The document as a file."""
        return format_html('<a href="{}">{}</a>', reverse("admin:tsl_download", args=[model.pk]), _("Download"))


@admin.register(ServiceRule)
class ServiceRuleAdmin(RecordAdmin):
    """Product > Device Service: the rule in force of each product (G1)."""

    section = _("Product")
    list_title = _("Device Service")
    list_display = ("product", "mode", "trial", "at_trial_end", "early", "cache", "version", "saved")
    list_select_related = ("product", "auto_plan")
    search_fields = ("product__name",)
    sortable_by = ()
    empty_hint = _("Every product has a rule. Add a product first.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceRule]:
        """Rules in force; older versions are on the product's page."""
        return super().get_queryset(request).filter(is_current=True)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The rule's page is reached by its product: its preview speaks of devices."""
        rule: ServiceRule = get_object_or_404(
            ServiceRule.objects.all(), pk=int(object_id) if object_id.isdecimal() else 0
        )
        return redirect("admin:product_rule", rule.product_id)

    @admin.display(description=_("paid service"))
    def mode(self, rule: ServiceRule) -> str:
        """The switch."""
        return badge_html(_("On"), "green") if rule.paid_mode else badge_html(_("Off"))

    @admin.display(description=_("trial, online time"))
    def trial(self, rule: ServiceRule) -> str:
        """From one threshold to the other."""
        return f"{duration(rule.trial_start_seconds)} – {duration(rule.trial_end_seconds)}"

    @admin.display(description=_("at trial end"))
    def at_trial_end(self, rule: ServiceRule) -> str:
        """The included plan, or a stop."""
        if rule.auto_subscribe and rule.auto_plan:
            return f"{rule.auto_plan.name}, {months(rule.auto_plan.months)}"
        return str(_("stops and locks"))

    @admin.display(description=_("early renewal"))
    def early(self, rule: ServiceRule) -> str:
        """Whether paying before the trial's end is possible."""
        return str(_("allowed") if rule.renewal_before_trial_end else _("refused"))

    @admin.display(description=_("commands kept"))
    def cache(self, rule: ServiceRule) -> str:
        """A20."""
        return long_duration(rule.cache_seconds)

    @admin.display(description=_("saved"))
    def saved(self, rule: ServiceRule) -> str:
        """When this version came into force."""
        return moment(rule.created_at)


@admin.register(Plan)
class PlanAdmin(MemberAdmin):
    """Plan > Plans: every version, the newest first (E3)."""

    add_action = Action.EDIT_CATALOG
    change_action = Action.EDIT_CATALOG
    creation = staticmethod(views.add_plan)
    details = staticmethod(views.plan_page)
    further = (
        ("<int:pk>/edit/", "plan_edit", views.edit_plan),
        ("<int:pk>/publish/", "plan_publish", views.publish_plan),
        ("<int:pk>/withdraw/", "plan_withdraw", views.withdraw_plan),
    )
    section = _("Plan")
    list_title = _("Plans")
    add_title = _("Add plan")
    empty_hint = _("A plan is a price for a number of months. Draft one, then publish it.")
    list_display = ("name", "state", "price", "period", "offered_for", "plan_type", "merchant_name", "version")
    list_select_related = ("merchant", "level__standard_of")
    list_filter = (("status", ChoicesDropdownFilter), ("plan_type", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("name",)
    sortable_by = ()

    @admin.display(description=_("status"))
    def state(self, plan: Plan) -> str:
        """Draft, published, withdrawn."""
        return badge_html(plan.get_status_display(), TONES.get(plan.status, "grey"))

    @admin.display(description=_("price"))
    def price(self, plan: Plan) -> str:
        """As people read it."""
        return format_html(
            '<span class="amp-money">{}</span>', format_money(plan.amount, plan.currency, get_language() or "en")
        )

    @admin.display(description=_("period"))
    def period(self, plan: Plan) -> str:
        """Calendar months."""
        return months(plan.months)

    @admin.display(description=_("gives"))
    def offered_for(self, plan: Plan) -> str:
        """The product of a standard level, else the level's name."""
        return str(plan.level.standard_of or plan.level)

    @admin.display(description=_("merchant"))
    def merchant_name(self, plan: Plan) -> str:
        """Who is paid."""
        return plan.merchant.name
