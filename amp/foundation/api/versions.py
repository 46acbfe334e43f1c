"""Which version of a resource somebody read: ETag, If-None-Match, If-Match (F99, RFC 9110 section 13)."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from rest_framework.request import Request

from amp.foundation.api.problems import ApiProblem
from amp.foundation.api.rendering import to_json

TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')


def etag_of(representation: Any) -> str:
    """A strong tag of what is shown: two readers who see the same have the same one."""
    return f'"{hashlib.blake2b(to_json(representation, sort=True), digest_size=16).hexdigest()}"'


def is_known(request: Request, etag: str) -> bool:
    """Whether If-None-Match names this version: the answer is 304, without a body."""
    header = request.headers.get("If-None-Match", "")
    return header.strip() == "*" or etag in [tag.removeprefix("W/") for tag in TAG.findall(header)]


def check_match(request: Request, representation: Any, *, required: bool) -> None:
    """Refuse a change of what its author hasn't seen. `If-Match: *` says that they don't mind.

    Call it under the row's lock, in the transaction of the change: nobody comes between the look and the change.
    """
    header = request.headers.get("If-Match", "").strip()
    if not header:
        if required:
            raise ApiProblem("precondition_required")
        return
    # Weak tags never match here (RFC 9110, 13.1.1): TAG keeps their W/, which no tag of ours has.
    if header != "*" and etag_of(representation) not in TAG.findall(header):
        raise ApiProblem("precondition_failed")
