"""Product > Device Service: the rule with its consequences for devices before the button (G1, A4, A5, A25)."""

from __future__ import annotations

import hashlib

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.access import Action, may
from amp.foundation.pages import actor, done, ensure, found, needs, page, show, signed_in
from amp.foundation.services.refusals import Refused
from catalog.forms.rules import RuleForm
from catalog.models import Product, ServiceRule
from catalog.services.included import included_plans
from catalog.services.products import current_tsl
from catalog.services.rules import RuleRefused, check_rule, current_rule
from catalog.tsl import writable_properties
from devices.admin_views.words import state_word
from devices.services.replanning import RulePreview, change_rule, rule_preview


@needs(Action.VIEW)
def product_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows the rule; a first POST checks it and previews what it does, a second one saves what was previewed."""
    product = found(Product.objects.select_related("enterprise"), pk)
    now = clock.now()
    rule = current_rule(pk)
    model = current_tsl(product)
    form = RuleForm(
        request.POST or None,
        rule=rule,
        properties=writable_properties(model) if model else (),
        plans=included_plans(product, now=now),
    )
    preview: RulePreview | None = None
    if request.method == "POST":
        ensure(request, Action.EDIT_RULE, product.enterprise)
        unlock = "keep_locked" not in request.POST
        if form.is_valid():
            try:
                if problems := check_rule(product, form.draft(), now):
                    raise RuleRefused(problems)
                if "confirm" in request.POST and request.POST.get("previewed") == _fingerprint(form, unlock):
                    changed = change_rule(
                        product=product,
                        draft=form.draft(),
                        unlock=unlock,
                        actor=actor(request),
                        now=now,
                        based_on=form.cleaned_data["based_on"],
                    )
                    done(request, _("Version %(version)d is in force.") % {"version": changed.rule.version})
                    return redirect("admin:product_rule", pk)
                preview = rule_preview(product=product, draft=form.draft(), unlock=unlock, now=now)
            except Refused as refused:
                show(form, refused)
    return _rule_page(request, product, rule, form, preview, has_tsl=model is not None)


def _rule_page(
    request: HttpRequest,
    product: Product,
    rule: ServiceRule,
    form: RuleForm,
    preview: RulePreview | None,
    *,
    has_tsl: bool,
) -> HttpResponse:
    moves = [
        (state_word(before), state_word(after), before, after, count)
        for (before, after), count in sorted((preview.moves if preview else {}).items())
    ]
    return page(
        request,
        "devices/rule.html",
        _("Device service of %(product)s") % {"product": product},
        crumbs=[
            (_("Device Service"), reverse("admin:catalog_servicerule_changelist")),
            (product.name, reverse("admin:catalog_product_change", args=[product.pk])),
        ],
        product=product,
        rule=rule,
        form=form,
        preview=preview,
        fingerprint=_fingerprint(form, "keep_locked" not in request.POST) if preview else "",
        moves=moves,
        has_tsl=has_tsl,
        switches_off=preview is not None and rule.paid_mode and not form.draft().paid_mode,
        keep_locked="keep_locked" in request.POST,
        may_edit=may(signed_in(request), Action.EDIT_RULE, product.enterprise),
        versions=ServiceRule.objects.filter(product=product).order_by("-version")[:10],
        status=422 if form.is_bound and form.errors else 200,
    )


def _fingerprint(form: RuleForm, unlock: bool) -> str:
    """Names what was previewed: a rule that was edited after the preview is previewed anew, not saved."""
    return hashlib.sha256(repr((form.draft(), unlock)).encode()).hexdigest()
