"""What processes write to their logs, and how: one line each, with the request's id and without secrets (X10, F83).

JSON in production, a line for people elsewhere (`AMP_LOG_FORMAT`). Records of the standard library, which is what
libraries and most of our modules write, go through the same processors as structlog's.
"""

from __future__ import annotations

import logging
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from amp.foundation.api.request_ids import current_request_id
from amp.redacting import redacted

LINE = ("time", "level", "logger", "request_id", "event", "exception", "stack")
"""What the line for people has a place for; the rest follows as name=value."""


def logging_settings(level: str, form: str) -> dict[str, Any]:
    """Django's LOGGING; `level` is DEBUG, INFO, WARNING or ERROR, `form` json or line."""
    renderer = _line if form == "line" else structlog.processors.JSONRenderer(serializer=_json)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"ours": {"()": "amp.logs.formatter", "renderer": renderer}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "ours"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "axes": {"level": "WARNING"},
            # urllib3 tells whole addresses at DEBUG, and WeChat wants the AppSecret in one (F83).
            "urllib3": {"level": "INFO"},
            # gunicorn and Django bring handlers of their own, with formats of their own.
            "gunicorn.error": {"handlers": [], "propagate": True, "level": "NOTSET"},
            "django": {"handlers": [], "propagate": True, "level": "NOTSET"},
            "django.server": {"handlers": [], "propagate": True, "level": "NOTSET"},
            # Each task is told once, when it ended, by amp.observing.
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
        },
    }


def formatter(renderer: Processor) -> logging.Formatter:
    """The formatter of every handler: whoever wrote the record, secrets are gone before it is rendered."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _without_secrets, renderer],
    )


def _with_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The request that this is about, also where a task goes on with it."""
    if name := current_request_id():
        event["request_id"] = name
    return event


def _without_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.pop("request", None)  # Django hands its own to its records; amp.access tells of requests
    cleaned: EventDict = redacted(event)
    return cleaned


def _json(event: EventDict, **_: Any) -> str:
    ordered = {name: event[name] for name in LINE if name in event}
    return orjson.dumps({**ordered, **event}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    rest = "".join(f" {name}={value}" for name, value in event.items() if name not in LINE)
    told = (
        f"{event['time']} {event['level'].upper()} {event['logger']} [{event.get('request_id', '-')}] {event['event']}"
    )
    return "\n".join([told + rest, *(str(event[name]) for name in ("exception", "stack") if event.get(name))])


SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    _with_ids,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
]

structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        *SHARED,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
