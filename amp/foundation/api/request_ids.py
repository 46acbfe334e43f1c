"""A name for each request: taken from X-Request-ID where it is harmless, else made; in the answer and in the logs.

Imported before Django's apps are loaded (the log's format needs it), so it knows nothing of them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """The id of the request being answered; "" outside of one."""
    return _current.get()


@contextmanager
def named_request(offered: str | None) -> Iterator[str]:
    """Run a request under its id: the offered one where it can't break a log line, else a new one."""
    name = offered if offered and HARMLESS.fullmatch(offered) else uuid.uuid4().hex
    token = _current.set(name)
    try:
        yield name
    finally:
        _current.reset(token)
