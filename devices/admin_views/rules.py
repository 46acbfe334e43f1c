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
from catalog.services.rules import RuleRefused, changed_by_another, check_rule, current_rule
from catalog.tsl import writable_properties
from devices.admin_views.rule_words import changed_rows, effect_lines
from devices.admin_views.words import state_word
from devices.services.replanning import change_rule
from devices.services.rule_previews import RulePreview, rule_preview


@needs(Action.VIEW)
def product_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows the rule; a first POST checks it and previews what it does, a second one saves what was previewed."""
    product = found(Product.objects.select_related("enterprise"), pk)
    rule = current_rule(pk)
    model = current_tsl(product)
    form = RuleForm(
        request.POST or None,
        rule=rule,
        properties=writable_properties(model) if model else (),
        plans=included_plans(product, now=clock.now()),
    )
    preview: RulePreview | None = None
    if request.method == "POST":
        ensure(request, Action.EDIT_RULE, product.enterprise)
        answer = _checked(request, product, form) if form.is_valid() else None
        if isinstance(answer, HttpResponse):
            return answer
        preview = answer
    return _rule_page(request, product, rule, form, preview, has_tsl=model is not None)


def _checked(request: HttpRequest, product: Product, form: RuleForm) -> HttpResponse | RulePreview | None:
    """Saves what was previewed, or previews what was typed; None where it is refused, with the reasons in the form."""
    now, draft, unlock = clock.now(), form.draft(), "keep_locked" not in request.POST
    try:
        if problems := check_rule(product, draft, now):
            raise RuleRefused(problems)
        if "confirm" in request.POST and request.POST.get("previewed") == _fingerprint(form, unlock):
            changed = change_rule(
                product=product,
                draft=draft,
                unlock=unlock,
                actor=actor(request),
                now=now,
                based_on=form.rule.version,
            )
            done(request, _("Version %(version)d is in force.") % {"version": changed.rule.version})
            return redirect("admin:product_rule", product.pk)
        return rule_preview(product=product, draft=draft, unlock=unlock, now=now)
    except Refused as refused:
        show(form, refused)
        return None


def _rule_page(
    request: HttpRequest,
    product: Product,
    rule: ServiceRule,
    form: RuleForm,
    preview: RulePreview | None,
    *,
    has_tsl: bool,
) -> HttpResponse:
    overtaken = _overtaken(form)
    draft = form.draft() if preview else None
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
        overtaken=overtaken,
        fingerprint=_fingerprint(form, "keep_locked" not in request.POST) if preview else "",
        moves=_moves(preview) if preview else [],
        samples=[
            (each, state_word(each.before), state_word(each.after)) for each in (preview.samples if preview else ())
        ],
        by_state=[(state_word(state), number) for state, number in sorted(preview.by_state.items())] if preview else [],
        changed=changed_rows(form, rule, draft, preview.changed) if preview and draft else [],
        effects=effect_lines(preview.effects) if preview else [],
        has_tsl=has_tsl,
        switches_on=draft is not None and draft.paid_mode and not rule.paid_mode,
        switches_off=draft is not None and rule.paid_mode and not draft.paid_mode,
        keep_locked="keep_locked" in request.POST,
        may_edit=may(signed_in(request), Action.EDIT_RULE, product.enterprise),
        versions=ServiceRule.objects.filter(product=product).order_by("-version")[:10],
        status=422 if form.is_bound and form.errors else 200,
    )


def _moves(preview: RulePreview) -> list[tuple[str, str, str, str, int]]:
    rows = sorted(preview.moves.items())
    return [(state_word(before), state_word(after), before, after, count) for (before, after), count in rows]


def _overtaken(form: RuleForm) -> str:
    """Who changed the rule since this form was opened; the form then goes on from the rule in force (F99)."""
    if not form.is_bound or form.cleaned_data.get("based_on") in {None, form.rule.version}:
        return ""
    form.rebase()
    return changed_by_another(form.rule)


def _fingerprint(form: RuleForm, unlock: bool) -> str:
    """Names what was previewed, and over which version: what was edited since, by anybody, is previewed anew (F99)."""
    return hashlib.sha256(repr((form.draft(), unlock, form.rule.version)).encode()).hexdigest()
