"""What the key at hand is and may do."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation.api.endpoints import Endpoint
from amp.foundation.api.fields import Moment
from amp.foundation.api.middleware import MAX_BODY
from amp.foundation.api.paging import LONGEST_PAGE
from amp.foundation.models import Scope


class EnterpriseName(serializers.Serializer):
    """An enterprise in short."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class KeyAnswer(serializers.Serializer):
    """The key, never its secret part."""

    prefix = serializers.CharField()
    name = serializers.CharField()
    created_at = Moment()
    expires_at = Moment()


class LimitsAnswer(serializers.Serializer):
    """What a client may plan with."""

    requests_per_minute = serializers.IntegerField()
    page_size = serializers.IntegerField()
    body_bytes = serializers.IntegerField()


class MeAnswer(serializers.Serializer):
    """Key, enterprise, scopes, limits."""

    key = KeyAnswer()
    enterprise = EnterpriseName()
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=[scope.value for scope in Scope]))
    limits = LimitsAnswer()


class Me(Endpoint):
    """The caller itself; every live key may ask."""

    scopes: ClassVar[dict[str, Scope | None]] = {"retrieve": None}
    serializer_class = MeAnswer

    @extend_schema(summary="The key at hand", tags=["me"])
    def retrieve(self, request: Request) -> Response:
        """Which enterprise the key belongs to, what it may do, until when, and how much."""
        key = self.caller.key
        told: dict[str, Any] = {
            "key": key,
            "enterprise": key.enterprise,
            "scopes": key.scopes,
            "limits": {
                "requests_per_minute": settings.API_REQUESTS_PER_MINUTE,
                "page_size": LONGEST_PAGE,
                "body_bytes": MAX_BODY,
            },
        }
        return self.answered(MeAnswer(told).data)
