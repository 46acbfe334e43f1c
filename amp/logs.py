"""What processes write to their logs, and how: one line each, with the request's id and without secrets (F83)."""

from __future__ import annotations

from typing import Any


def logging_settings(level: str) -> dict[str, Any]:
    """Django's LOGGING; `level` is DEBUG, INFO, WARNING or ERROR."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": "amp.foundation.api.request_ids.RequestLine",
                "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": level},
        # urllib3 tells whole addresses at DEBUG, and WeChat wants the AppSecret in one (F83).
        "loggers": {"axes": {"level": "WARNING"}, "urllib3": {"level": "INFO"}},
    }
