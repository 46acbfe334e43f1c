"""Errors to a Sentry of the operator's choice, where AMP_SENTRY_DSN is set (X10): without personal data, bodies of
requests or variables of the code, and through the same redaction as the logs (F83).

The package `sentry-sdk` is the extra `sentry`, which the image has; settings refuse to start where it is asked for and
missing.
"""

from __future__ import annotations

import logging
from typing import Any

from amp.redacting import redacted

DROPPED = ("user", "server_name", "modules", "breadcrumbs")
REQUEST_KEPT = ("method", "url")
"""Of a request; its url is redacted, its query, headers, cookies, environment and body are dropped."""


def start_sentry(dsn: str, mode: str) -> None:
    """Send errors of this process from now on; nothing where `dsn` is empty."""
    if not dsn:
        return
    import sentry_sdk
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=dsn,
        environment=mode,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        include_source_context=False,
        max_breadcrumbs=0,
        traces_sample_rate=0.0,
        auto_session_tracking=False,
        before_send=without_secrets,
        before_send_transaction=lambda _event, _hint: None,
        integrations=[LoggingIntegration(level=None, event_level=logging.ERROR)],
    )


def without_secrets(event: Any, _hint: Any) -> Any:
    """The event as it may leave: what happened and where, not to whom."""
    kept = {name: value for name, value in event.items() if name not in DROPPED}
    if request := kept.get("request"):
        kept["request"] = {name: request[name] for name in REQUEST_KEPT if name in request}
    return redacted(kept)
