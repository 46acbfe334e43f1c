"""How the API is served and described: settings of DRF and drf-spectacular. They name parts of it."""

from __future__ import annotations

from typing import Any

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_RENDERER_CLASSES": ["amp.foundation.api.rendering.Json"],
    "DEFAULT_PARSER_CLASSES": ["amp.foundation.api.rendering.JsonBody"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["amp.foundation.api.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["amp.foundation.api.authentication.HasScope"],
    "DEFAULT_SCHEMA_CLASS": "amp.foundation.api.schema.Described",
    "EXCEPTION_HANDLER": "amp.foundation.api.problems.answer_to",
    "DEFAULT_METADATA_CLASS": None,
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "AMP",
    "DESCRIPTION": "Services of connected devices: what is sold, who has it, until when.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_URLCONF": None,
    "COMPONENT_SPLIT_REQUEST": True,
    "SORT_OPERATIONS": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "amp.foundation.api.schema.add_problem",
    ],
    "ENUM_NAME_OVERRIDES": {
        "ServiceKindEnum": "devices.models.validities.SERVICE_CHOICES",
        "StateEnum": "devices.models.service.STATE_CHOICES",
        "LockEnum": "devices.models.service.LOCK_CHOICES",
        "WebhookStateEnum": "alerts.models.webhooks.STATE_CHOICES",
        "DeliveryStatusEnum": "alerts.models.webhooks.STATUS_CHOICES",
        "CommandRowStatusEnum": "devices.models.commands.STATUS_CHOICES",
        "NoticeRowStatusEnum": "alerts.models.notices.STATUS_CHOICES",
    },
    "SERVERS": [{"url": "/"}],
}
