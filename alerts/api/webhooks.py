"""Webhooks: set up, tested, rotated, removed; what they were sent, and sending it again (F88)."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from alerts.filters import DeliveryFilters, WebhookFilters
from alerts.models import Webhook, WebhookDelivery, WebhookWhy
from alerts.services.webhook_endpoints import (
    OVERLAPS,
    add_webhook,
    disable_webhook,
    edit_webhook,
    enable_webhook,
    lock,
    remove_webhook,
    rotate_secret,
)
from alerts.services.webhook_retries import SINCE, redeliver, redeliver_failed
from alerts.webhooks.public import TYPES
from amp.foundation import clock
from amp.foundation.api.endpoints import Reading, empty
from amp.foundation.api.fields import Choice, Flag, Input, Moment, Nothing, RowId, Text
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST
from amp.foundation.api.rows import Derived, Row
from amp.foundation.models import Enterprise, Scope
from amp.foundation.services.events import message_id

READ, WRITE = Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE
HOURS = [str(int(overlap / timedelta(hours=1))) for overlap in OVERLAPS]


@extend_schema_field({"type": "array", "items": {"type": "string", "enum": list(TYPES)}, "description": "Empty: all."})
class Types(Derived):
    """The events that were chosen."""

    columns = ("types",)

    def of(self, types: list[str]) -> list[str]:
        """As they are stored."""
        return types


@extend_schema_field({"type": "string", "description": "`webhook-id` of the message: stable, to tell repeats by."})
class MessageId(Derived):
    """The public id of the event."""

    columns = ("event__public_id",)

    def of(self, public_id: UUID) -> str:
        """As it is sent."""
        return message_id(public_id)

    def to_representation(self, value: Any) -> str:
        """Of an instance, whose event is another row."""
        return self.of(value.event.public_id)


class WebhookRow(Row):
    """Where an enterprise wants its events. The secret is told when it is made, and never again."""

    enterprise = serializers.IntegerField(source="enterprise_id")
    types = Types()
    state_since = Moment()
    state_why = serializers.CharField()  # empty while it is enabled
    secret_since = Moment()
    old_secret_until = Moment(source="old_until", allow_null=True)
    created_at = Moment()

    class Meta:
        model = Webhook
        fields: tuple[str, ...] = (
            *("id", "enterprise", "name", "url", "types", "includes_descendants", "state", "state_since", "state_why"),
            *("secret_since", "old_secret_until", "created_at", "created_by"),
        )


class WebhookMade(WebhookRow):
    """With its secret, this once."""

    secret = serializers.CharField()

    class Meta(WebhookRow.Meta):
        fields = (*WebhookRow.Meta.fields, "secret")


class DeliveryRow(Row):
    """One event for one webhook. `response_status` and `problem` are of the last attempt."""

    webhook = serializers.IntegerField(source="webhook_id")
    message_id = MessageId()
    created_at = Moment()
    next_attempt_at = Moment(allow_null=True)
    ended_at = Moment(allow_null=True)

    class Meta:
        model = WebhookDelivery
        fields = (
            *("id", "webhook", "message_id", "type", "status", "attempts", "created_at", "next_attempt_at", "ended_at"),
            *("response_status", "duration_ms", "problem"),
        )


class NewWebhook(Input):
    """An endpoint, enabled from the start. No `types` means all, those of later versions included."""

    enterprise = RowId(lambda: Enterprise.objects.all())
    name = Text(max_length=80)
    url = Text(max_length=500)
    types = serializers.ListField(child=Choice(choices=list(TYPES)), required=False, max_length=len(TYPES))
    includes_descendants = Flag(default=True)


class WebhookChange(Input):
    """What is left out stays as it is."""

    name = Text(max_length=80, required=False)
    url = Text(max_length=500, required=False)
    types = serializers.ListField(child=Choice(choices=list(TYPES)), required=False, max_length=len(TYPES))
    includes_descendants = Flag(required=False)


class Rotation(Input):
    """For how many hours the old secret signs beside the new one."""

    overlap_hours = Choice(choices=HOURS, default="24")


class Since(Input):
    """From when on; a day ago where it is left out."""

    since = Moment(required=False)


class Number(serializers.Serializer):
    """How many deliveries are sent again."""

    deliveries = serializers.IntegerField()


SETUP = OpenApiExample(
    "orders that are paid and fulfilled",
    {"enterprise": 1, "name": "ERP", "url": "https://erp.example.com/amp", "types": ["order.paid", "order.fulfilled"]},
    request_only=True,
)


@extend_schema_view(
    list=extend_schema(summary="List webhooks", tags=["webhooks"]),
    retrieve=extend_schema(summary="A webhook", tags=["webhooks"]),
)
class Webhooks(Reading):
    """Webhooks of the key's enterprises."""

    scopes: ClassVar[dict[str, Scope | None]] = {
        **dict.fromkeys(("list", "retrieve"), READ),
        **dict.fromkeys(("create", "partial_update", "destroy", "rotate", "enable", "disable", "redeliver"), WRITE),
    }
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {
        "create": ("webhook_refused",),
        "partial_update": ("webhook_refused",),
        "destroy": ("webhook_refused",),
        "rotate": ("webhook_refused",),
        "enable": ("webhook_refused",),
        "disable": ("webhook_refused",),
        "redeliver": ("delivery_refused",),
    }
    matching: ClassVar[frozenset[str]] = frozenset({"rotate", "enable", "disable"})
    serializer_class = WebhookRow
    filterset_class = WebhookFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST)

    def get_queryset(self) -> QuerySet[Webhook]:
        """Those that were not removed."""
        rows: QuerySet[Webhook] = Webhook.objects.filter(removed_at=None)
        return rows

    @extend_schema(
        summary="Add a webhook",
        tags=["webhooks"],
        request=NewWebhook,
        responses={201: WebhookMade},
        examples=[SETUP],
    )
    def create(self, request: Request) -> Response:
        """It gets what happens from now on. Its secret is told once."""
        wanted = self.checked(NewWebhook)
        webhook, secret = add_webhook(**wanted, actor=self.actor, now=clock.now(), waits=time.monotonic())
        told = {**self.shown(webhook), "secret": secret}
        return self.answered(told, status=201, location=f"{request.path}/{webhook.pk}")

    @extend_schema(summary="Change a webhook", tags=["webhooks"], request=WebhookChange, responses=WebhookRow)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Deliveries that wait go to the new address."""
        webhook = self._changing(pk)
        changed = self.checked(WebhookChange)
        saved = edit_webhook(webhook=webhook, actor=self.actor, now=clock.now(), waits=time.monotonic(), **changed)
        return self.answered(self.shown(saved))

    @extend_schema(summary="Remove a webhook", tags=["webhooks"], responses={204: None})
    def destroy(self, request: Request, pk: str) -> HttpResponse:
        """Its secrets are gone for good; what it was sent stays on record."""
        remove_webhook(webhook=self._changing(pk), actor=self.actor, now=clock.now())
        return empty()

    @extend_schema(summary="Replace the secret", tags=["webhooks"], request=Rotation, responses={201: WebhookMade})
    @action(detail=True, methods=["post"], url_path="secret")
    def rotate(self, request: Request, pk: str) -> Response:
        """The new one is told once; the old one signs beside it for a while."""
        overlap = timedelta(hours=int(self.checked(Rotation)["overlap_hours"]))
        rotated, secret = rotate_secret(
            webhook=self._changing(pk), overlap=overlap, actor=self.actor, now=clock.now(), wall=clock.wall()
        )
        return self.answered({**self.shown(rotated), "secret": secret}, status=201)

    @extend_schema(summary="Enable a webhook", tags=["webhooks"], request=Nothing, responses=WebhookRow)
    @action(detail=True, methods=["post"])
    def enable(self, request: Request, pk: str) -> Response:
        """It gets what happens from now on; what was given up is sent when you ask for it."""
        self.checked(Nothing)
        return self.answered(self.shown(enable_webhook(webhook=self._changing(pk), actor=self.actor, now=clock.now())))

    @extend_schema(summary="Disable a webhook", tags=["webhooks"], request=Nothing, responses=WebhookRow)
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, pk: str) -> Response:
        """It gets nothing any more; what waits is given up."""
        self.checked(Nothing)
        why = WebhookWhy.BY_STAFF
        webhook = disable_webhook(webhook=self._changing(pk), why=why, actor=self.actor, now=clock.now())
        return self.answered(self.shown(webhook))

    @extend_schema(summary="Send again what failed", tags=["webhooks"], request=Since, responses=Number)
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, pk: str) -> Response:
        """All deliveries that were given up since then, with the ids that they had."""
        since: datetime | None = self.checked(Since).get("since")
        now = clock.now()
        webhook = self.mine(self.get_queryset(), pk)
        number = redeliver_failed(webhook=webhook, since=since or now - SINCE, actor=self.actor, now=now)
        return Response({"deliveries": number})

    def _changing(self, pk: str) -> Any:
        """The endpoint, locked as the services lock it."""
        return self.changing(self.get_queryset(), pk, lock=lock)


@extend_schema_view(
    list=extend_schema(summary="List deliveries", tags=["webhooks"]),
    retrieve=extend_schema(summary="A delivery", tags=["webhooks"]),
)
class Deliveries(Reading):
    """What webhooks of the key's enterprises were sent, and what waits."""

    scopes: ClassVar[dict[str, Scope | None]] = {"list": READ, "retrieve": READ, "redeliver": WRITE}
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {"redeliver": ("delivery_refused", "not_yours_to_change")}
    serializer_class = DeliveryRow
    filterset_class = DeliveryFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST)

    def get_queryset(self) -> QuerySet[WebhookDelivery]:
        """Within the scope."""
        rows: QuerySet[WebhookDelivery] = WebhookDelivery.objects.select_related("webhook", "event")
        return rows

    @extend_schema(summary="Send a delivery again", tags=["webhooks"], request=Nothing, responses=DeliveryRow)
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, pk: str) -> Response:
        """With the id that it had; also one that arrived, where you have lost it."""
        self.checked(Nothing)
        again = redeliver(delivery=self.mine(self.get_queryset(), pk), actor=self.actor, now=clock.now())
        return self.answered(self.shown(self.found(self.get_queryset(), again.pk)))
