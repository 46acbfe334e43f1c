"""Commands to devices: where each stands, sending it again, cancelling it."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation import clock
from amp.foundation.api.endpoints import Reading
from amp.foundation.api.fields import Moment, Nothing
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST
from amp.foundation.api.rows import Derived, Row
from amp.foundation.models import Scope
from devices.filters import CommandFilters
from devices.models import Command
from devices.services.staff_commands import cancel_command, resend_command


@extend_schema_field(OpenApiTypes.BOOL)
class IsHeld(Derived):
    """Whether a brake holds it (P8)."""

    columns = ("hold_id",)

    def of(self, hold_id: int | None) -> bool:
        """True while it belongs to a hold."""
        return hold_id is not None


class CommandRow(Row):
    """One property write to one device; `values` is what goes over the wire. Past `kept_until` it is not delivered.

    While `held` is true a brake keeps it from its device: its cache time begins at `released_at`.
    """

    device = serializers.IntegerField(source="device_id")
    created_at = Moment()
    kept_until = Moment(source="stale_at")
    held = IsHeld()
    released_at = Moment(allow_null=True)
    sent_at = Moment(allow_null=True)
    acknowledged_at = Moment(source="acked_at", allow_null=True)
    confirmed_at = Moment(allow_null=True)
    closed_at = Moment(allow_null=True)
    values = serializers.JSONField()

    class Meta:
        model = Command
        fields = (
            *("id", "device", "kind", "generation", "ticket", "status", "attempts", "refusals", "problem", "values"),
            *("rule_version", "created_at", "kept_until", "held", "released_at"),
            *("sent_at", "acknowledged_at", "confirmed_at", "closed_at"),
        )


READ, WRITE = Scope.COMMANDS_READ, Scope.COMMANDS_WRITE


@extend_schema_view(
    list=extend_schema(summary="List commands", tags=["commands"]),
    retrieve=extend_schema(summary="A command", tags=["commands"]),
)
class Commands(Reading):
    """Commands to devices of the key's enterprises."""

    scopes: ClassVar[dict[str, Scope | None]] = {"list": READ, "retrieve": READ, "resend": WRITE, "cancel": WRITE}
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {
        "resend": ("command_refused", "not_yours_to_change"),
        "cancel": ("command_refused", "not_yours_to_change"),
    }
    serializer_class = CommandRow
    filterset_class = CommandFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST)

    def get_queryset(self) -> QuerySet[Command]:
        """Within the scope."""
        rows: QuerySet[Command] = Command.objects.all()
        return rows

    @extend_schema(summary="Send a command again", tags=["commands"], request=Nothing, responses=CommandRow)
    @action(detail=True, methods=["post"])
    def resend(self, request: Request, pk: str) -> Response:
        """Now if it waits; where it is over, the same once more as a new generation: the answer is the newest one."""
        self.checked(Nothing)
        command = self.found(self.get_queryset(), pk)
        resend_command(command=command, actor=self.actor, now=clock.now())
        newest = self.get_queryset().filter(device_id=command.device_id, slot=command.slot).order_by("-generation")
        return self.answered(self.shown(newest[0]))

    @extend_schema(summary="Cancel a command", tags=["commands"], request=Nothing, responses=CommandRow)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """One that waits or is on its way."""
        self.checked(Nothing)
        cancel_command(command=self.found(self.get_queryset(), pk), actor=self.actor, now=clock.now())
        return self.answered(self.shown(self.found(self.get_queryset(), pk)))
