"""The device service rule of a product, with what a change would do to its devices before it is made (A4, A5, A25)."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation import clock
from amp.foundation.api.endpoints import Endpoint
from amp.foundation.api.fields import Author, Flag, Input, Moment, RowId, Text, Whole
from amp.foundation.api.problems import ApiProblem
from amp.foundation.models import Scope
from amp.foundation.scoping import may_change
from catalog.models import Plan, Product, ServiceRule
from catalog.models.rules import MAX_CACHE_SECONDS
from catalog.services.rules import MAX_HEARTBEAT_SECONDS, MAX_THRESHOLD_SECONDS, RuleDraft, RuleRefused, check_rule
from devices.services.replanning import change_rule
from devices.services.rule_previews import RulePreview, rule_preview


class Setting(Input):
    """One property that the action writes (A19)."""

    code = Text(max_length=64)
    value = serializers.JSONField(help_text="As the property's type wants it: text for scalars, an object for STRUCT.")


class RuleAnswer(serializers.ModelSerializer):
    """The rule in force. Thresholds are seconds of cumulative online time."""

    product = serializers.IntegerField(source="product_id")
    auto_plan = serializers.IntegerField(source="auto_plan_id", allow_null=True)
    lock_action = Setting(many=True)
    unlock_action = Setting(many=True)
    paid_mode_since = Moment(allow_null=True)
    created_at = Moment()
    created_by = Author()

    class Meta:
        model = ServiceRule
        fields = (
            *("product", "version", "paid_mode", "paid_mode_since", "trial_start_seconds", "trial_end_seconds"),
            *("auto_subscribe", "auto_plan", "renewal_before_trial_end", "lock_action", "unlock_action"),
            *("cache_seconds", "heartbeat_seconds", "created_at", "created_by"),
        )


class RuleChange(Input):
    """A whole rule, as it is to be. `unlock` says what becomes of locked devices when paid mode goes off (A25)."""

    paid_mode = Flag()
    trial_start_seconds = Whole(min_value=0, max_value=MAX_THRESHOLD_SECONDS)
    trial_end_seconds = Whole(min_value=1, max_value=MAX_THRESHOLD_SECONDS)
    auto_subscribe = Flag()
    auto_plan = RowId(lambda: Plan.objects.select_related("merchant", "level"), allow_null=True)
    renewal_before_trial_end = Flag()
    lock_action = Setting(many=True)
    unlock_action = Setting(many=True)
    cache_seconds = Whole(min_value=0, max_value=MAX_CACHE_SECONDS)
    heartbeat_seconds = Whole(min_value=1, max_value=MAX_HEARTBEAT_SECONDS, allow_null=True)
    unlock = Flag(required=False, default=True)


class Moves(serializers.Serializer):
    """How many devices go from one state to another."""

    before = serializers.CharField()
    after = serializers.CharField()
    devices = serializers.IntegerField()


class PreviewAnswer(serializers.Serializer):
    """What the change would do at once, in numbers of devices."""

    by_state = serializers.DictField(child=serializers.IntegerField())
    moves = Moves(many=True)
    locks_cancelled = serializers.IntegerField()
    locks_ordered = serializers.IntegerField()
    unlocks_ordered = serializers.IntegerField()


class Rules(Endpoint):
    """The rule of one product."""

    scopes: ClassVar[dict[str, Scope | None]] = {
        "retrieve": Scope.RULES_READ,
        "update": Scope.RULES_WRITE,
        "preview": Scope.RULES_READ,
    }
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {
        "update": ("rule_refused",),
        "preview": ("rule_refused", "not_yours_to_change"),
    }
    computing: ClassVar[frozenset[str]] = frozenset({"preview"})
    serializer_class = RuleAnswer

    @extend_schema(summary="The rule in force", tags=["rules"], responses=RuleAnswer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """How the product's device service starts, runs and ends."""
        return self.answered(self.shown(self.found(Product.objects.all(), pk)))

    @extend_schema(summary="Change the rule", tags=["rules"], request=RuleChange, responses=RuleAnswer)
    def update(self, request: Request, pk: str) -> Response:
        """A new version in force, and its devices follow; the same rule again makes none."""
        product = self.changing(Product.objects.select_related("enterprise"), pk)
        draft, unlock = self._draft()
        change_rule(product=product, draft=draft, unlock=unlock, actor=self.actor, now=clock.now())
        return self.answered(self.shown(product))

    @extend_schema(summary="Preview a change", tags=["rules"], request=RuleChange, responses=PreviewAnswer)
    def preview(self, request: Request, pk: str) -> Response:
        """What the same body would do as a change; nothing is changed."""
        product = self.found(Product.objects.select_related("enterprise"), pk)
        if not may_change(product.enterprise_id):
            raise ApiProblem("not_yours_to_change")
        (draft, unlock), now = self._draft(), clock.now()
        if problems := check_rule(product, draft, now):
            raise RuleRefused(problems)
        return Response(_told(rule_preview(product=product, draft=draft, unlock=unlock, now=now)))

    def shown(self, row: Product) -> Any:
        """The rule in force of the product."""
        return RuleAnswer(ServiceRule.objects.get(product=row, is_current=True)).data

    def _draft(self) -> tuple[RuleDraft, bool]:
        wanted = self.checked(RuleChange)
        unlock = bool(wanted.pop("unlock"))
        for name in ("lock_action", "unlock_action"):
            wanted[name] = [dict(setting) for setting in wanted[name]]
        return RuleDraft(**wanted), unlock


def _told(preview: RulePreview) -> dict[str, Any]:
    moves = [
        {"before": before, "after": after, "devices": count} for (before, after), count in sorted(preview.moves.items())
    ]
    return {
        "by_state": preview.by_state,
        "moves": moves,
        "locks_cancelled": preview.locks_cancelled,
        "locks_ordered": preview.locks_ordered,
        "unlocks_ordered": preview.unlocks_ordered,
    }
