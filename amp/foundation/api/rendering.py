"""JSON in and out, by orjson: no NaN, no lone surrogates, UTC instants, bytes ready to send."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

MEDIA_TYPE = "application/json"


def to_json(value: Any, *, sort: bool = False) -> bytes:
    """`value` as JSON; `sort` for what is hashed."""
    option = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS | (orjson.OPT_SORT_KEYS if sort else 0)
    return orjson.dumps(value, default=_plain, option=option)


class Json(BaseRenderer):
    """Renders what endpoints and problems answer."""

    media_type = MEDIA_TYPE
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """Bytes; empty for no content."""
        return b"" if data is None else to_json(data)


class Pdf(BaseRenderer):
    """Lets an endpoint be asked for a document; what it answers as data, a problem say, stays JSON."""

    media_type = "application/pdf"
    format = "pdf"
    charset = None
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """Bytes as they are."""
        return data if isinstance(data, bytes) else b"" if data is None else to_json(data)


class JsonBody(BaseParser):
    """Reads a body, which the middleware has held to 1 MB."""

    media_type = MEDIA_TYPE

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """The decoded value. Raises ParseError."""
        try:
            return orjson.loads(stream.read())
        except orjson.JSONDecodeError as broken:
            where = {"line": broken.lineno, "column": broken.colno}
            raise ParseError(_("No JSON at line %(line)d, column %(column)d.") % where) from None


def _plain(value: Any) -> Any:
    match value:
        case Promise() | UUID() | Decimal():
            return str(value)
        case datetime():
            return value.isoformat()
        case Mapping():
            return dict(value)
    raise TypeError(type(value).__name__)
