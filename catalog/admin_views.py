"""Pages of the catalogue: products, their thing models, and plans from draft to withdrawal."""

from __future__ import annotations

from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.choosing import found_choices
from amp.foundation.money import decimal_text
from amp.foundation.pages import Crumb, actor, done, ensure, found, needs, page, refuse, show, signed_in
from amp.foundation.services.refusals import Refused
from catalog import tsl
from catalog.forms.plans import NewPlanForm, PlanForm, level_label, offered_levels, payable_merchants
from catalog.forms.products import NewProductForm, ProductForm, ThingModelForm
from catalog.models import Plan, Product, ThingModel
from catalog.services import plans, products
from catalog.services.rules import current_rule


@needs(Action.EDIT_CATALOG)
def add_product(request: HttpRequest) -> HttpResponse:
    """A new product; its key is given by the product."""
    form = NewProductForm(request.POST or None, user=signed_in(request))
    if request.method == "POST" and form.is_valid():
        ensure(request, Action.EDIT_CATALOG, form.cleaned_data["enterprise"])
        try:
            product = products.create_product(**form.cleaned_data, actor=actor(request), now=clock.now())
        except Refused as refused:
            show(form, refused)
        else:
            done(request, _("%(name)s was added. Import its TSL next.") % {"name": product})
            return redirect("admin:product_tsl", product.pk)
    title = _("Add product")
    return page(request, "admin/amp_form.html", title, crumbs=[_products()], form=form, submit=title)


@require_safe
@needs(Action.VIEW)
def product_choices(request: HttpRequest) -> HttpResponse:
    """Products to choose from; `paid` leaves those whose paid service is on."""
    rows = Product.objects.order_by("name", "pk")
    if "paid" in request.GET:
        rows = rows.filter(rules__is_current=True, rules__paid_mode=True)
    return found_choices(request, rows, by="name")


@require_safe
@needs(Action.VIEW)
def level_choices(request: HttpRequest) -> HttpResponse:
    """What a plan may give, found by the name of the product."""
    return found_choices(request, offered_levels(), by="standard_of__name", label=level_label)


@require_safe
@needs(Action.VIEW)
def merchant_choices(request: HttpRequest) -> HttpResponse:
    """Who may be paid for a plan."""
    return found_choices(request, payable_merchants(), by="name")


@needs(Action.VIEW)
def product_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One product: what people read of it, its thing model and its rule."""
    product = found(Product.objects.select_related("enterprise"), pk)
    form = ProductForm(request.POST or None, initial={"name": product.name, "description": product.description})
    if request.method == "POST":
        ensure(request, Action.EDIT_CATALOG, product.enterprise)
        if form.is_valid():
            try:
                products.edit_product(product=product, **form.cleaned_data, actor=actor(request), now=clock.now())
            except Refused as refused:
                show(form, refused)
            else:
                done(request, _("Saved."))
                return redirect("admin:catalog_product_change", pk)
    return page(
        request,
        "catalog/product.html",
        product.name,
        crumbs=[_products()],
        product=product,
        form=form,
        rule=current_rule(pk),
        model=ThingModel.objects.filter(product=product).order_by("-version").first(),
        plans=Plan.objects.filter(level__products=product)
        .exclude(status="WITHDRAWN")
        .order_by("months", "amount", "-version"),
        may_edit=may(signed_in(request), Action.EDIT_CATALOG, product.enterprise),
    )


@needs(Action.VIEW)
def product_tsl(request: HttpRequest, pk: int) -> HttpResponse:
    """The thing model in force, its versions, and the import of the next one."""
    product = found(Product.objects.select_related("enterprise"), pk)
    form = ThingModelForm(request.POST or None, request.FILES or None)
    problems: list[tuple[str, str]] = []
    if request.method == "POST":
        ensure(request, Action.EDIT_CATALOG, product.enterprise)
        if form.is_valid():
            try:
                stored = products.import_thing_model(
                    product=product, text=form.document(), actor=actor(request), now=clock.now()
                )
            except tsl.InvalidTsl as invalid:
                problems = [(problem.path, _(problem.text) % problem.values) for problem in invalid.problems]
            except Refused as refused:
                show(form, refused)
            else:
                done(request, _("TSL version %(version)d is in force.") % {"version": stored.version})
                return redirect("admin:product_tsl", pk)
    return _tsl_page(request, product, None, form, problems)


@needs(Action.VIEW)
def thing_model_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One version of a thing model, as it was imported."""
    model = found(ThingModel.objects.select_related("product__enterprise"), pk)
    return _tsl_page(request, model.product, model, ThingModelForm(), [])


@needs(Action.VIEW)
def download_tsl(request: HttpRequest, pk: int) -> HttpResponse:
    """One version as a JSON file."""
    model = found(ThingModel.objects.select_related("product"), pk)
    text = orjson.dumps(model.document, option=orjson.OPT_INDENT_2)
    name = f"{model.product.key}-tsl-{model.version}.json"
    return HttpResponse(
        text, content_type="application/json", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@needs(Action.EDIT_CATALOG)
def add_plan(request: HttpRequest) -> HttpResponse:
    """A first version of a plan, not yet on sale."""
    form = NewPlanForm(request.POST or None, user=signed_in(request))
    if request.method == "POST" and form.is_valid():
        place = {name: form.cleaned_data[name] for name in ("enterprise", "level", "plan_type")}
        ensure(request, Action.EDIT_CATALOG, place["enterprise"])
        try:
            plan = plans.draft_plan(**place, **form.terms(), actor=actor(request), now=clock.now())
        except Refused as refused:
            _show_plan(form, refused)
        else:
            done(request, _("The draft was saved. Publish it to put it on sale."))
            return redirect("admin:catalog_plan_change", plan.pk)
    intro = _("A draft is not on sale. What is published never changes; an edit makes the next version.")
    return page(
        request, "admin/amp_form.html", _("Add plan"), crumbs=[_plans()], form=form, submit=_("Save draft"), intro=intro
    )


@needs(Action.VIEW)
def plan_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One version of a plan with its history, and what can be done with it."""
    plan = found(_full_plans(), pk)
    versions = list(_full_plans().filter(family=plan.family).order_by("-version"))
    return page(
        request,
        "catalog/plan.html",
        plan.name,
        crumbs=[_plans()],
        plan=plan,
        versions=versions,
        including=plans.products_including(plan) if plan.status == "PUBLISHED" else [],
        may_edit=may(signed_in(request), Action.EDIT_CATALOG, plan.enterprise),
        waiting_draft=next((each for each in versions if each.status == "DRAFT" and each.pk != plan.pk), None),
    )


@needs(Action.EDIT_CATALOG)
def edit_plan(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a draft, or draft the version after a published one."""
    plan = found(_full_plans(), pk)
    ensure(request, Action.EDIT_CATALOG, plan.enterprise)
    form = PlanForm(request.POST or None, initial=_typed(plan))
    if request.method == "POST" and form.is_valid():
        try:
            draft = plans.edit_plan(plan=plan, **form.terms(), actor=actor(request), now=clock.now())
        except Refused as refused:
            _show_plan(form, refused)
        else:
            done(request, _("Version %(version)d was saved as a draft.") % {"version": draft.version})
            return redirect("admin:catalog_plan_change", draft.pk)
    intro = (
        ""
        if plan.status == "DRAFT"
        else _("This makes a new version as a draft. What is on sale stays until you publish.")
    )
    crumbs = [_plans(), (plan.name, reverse("admin:catalog_plan_change", args=[pk]))]
    return page(
        request, "admin/amp_form.html", _("Edit plan"), crumbs=crumbs, form=form, submit=_("Save draft"), intro=intro
    )


@require_POST
def publish_plan(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a draft on sale."""
    plan = found(_full_plans(), pk)
    ensure(request, Action.EDIT_CATALOG, plan.enterprise)
    try:
        plans.publish_plan(plan=plan, actor=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, _("%(name)s is on sale.") % {"name": plan})
    return redirect("admin:catalog_plan_change", pk)


@require_POST
def withdraw_plan(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a plan off sale, or drop a draft."""
    plan = found(_full_plans(), pk)
    ensure(request, Action.EDIT_CATALOG, plan.enterprise)
    try:
        plans.withdraw_plan(plan=plan, actor=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, _("%(name)s is withdrawn.") % {"name": plan})
    return redirect("admin:catalog_plan_change", pk)


def _tsl_page(
    request: HttpRequest,
    product: Product,
    shown: ThingModel | None,
    form: ThingModelForm,
    problems: list[tuple[str, str]],
) -> HttpResponse:
    versions = list(ThingModel.objects.filter(product=product).order_by("-version"))
    shown = shown or (versions[0] if versions else None)
    model = tsl.parse(shown.document) if shown else None
    return page(
        request,
        "catalog/tsl.html",
        _("TSL of %(product)s") % {"product": product},
        crumbs=[_products(), (product.name, reverse("admin:catalog_product_change", args=[product.pk]))],
        product=product,
        form=form,
        problems=problems,
        versions=versions,
        shown=shown,
        model=model,
        may_edit=may(signed_in(request), Action.EDIT_CATALOG, product.enterprise),
        status=422 if problems else 200,
    )


def _show_plan(form: PlanForm, refused: Refused) -> None:
    """The service speaks of minor units, the form of a price."""
    for problem in refused.problems:
        field = {"amount": "price"}.get(problem.field, problem.field)
        form.add_error(field if field in form.fields else None, problem.message)


def _typed(plan: Plan) -> dict[str, Any]:
    names = ("merchant", "name", "currency", "months", "sale_from", "sale_until")
    return {**{name: getattr(plan, name) for name in names}, "price": decimal_text(plan.amount, plan.currency)}


def _full_plans() -> Any:
    return Plan.objects.select_related("enterprise", "merchant", "level__standard_of")


def _products() -> Crumb:
    return (_("Products"), reverse("admin:catalog_product_changelist"))


def _plans() -> Crumb:
    return (_("Plans"), reverse("admin:catalog_plan_changelist"))
