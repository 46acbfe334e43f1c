"""What anybody may read about the API: its description, its documentation, what each code means; 404 for the rest.

None of it says anything about a tenant. The documentation's assets are our own static files: it works offline.
"""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.encoding import force_str
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from amp.foundation.api.problems import MEDIA_TYPE, TABLE, problem
from amp.foundation.api.rendering import MEDIA_TYPE as JSON
from amp.foundation.api.rendering import to_json
from amp.foundation.api.schema import described


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document; made once by each process."""
    return HttpResponse(schema_bytes(), content_type=JSON)


@lru_cache(maxsize=1)
def schema_bytes() -> bytes:
    """What `make schema` writes, without the blanks."""
    return to_json(described())


@require_safe
def documentation(request: HttpRequest) -> HttpResponse:
    """Every endpoint, to read and to try with a key."""
    return render(request, "api/docs.html", {"base_url": settings.BASE_URL})


@require_safe
def meaning(request: HttpRequest, code: str) -> HttpResponse:
    """What a code means: where the `type` of a problem leads."""
    if code not in TABLE:
        return nowhere(request)
    kind = TABLE[code]
    told = {"code": code, "status": kind.status, "title": force_str(kind.title), "remedy": force_str(kind.remedy)}
    return HttpResponse(to_json(told), content_type=JSON)


@csrf_exempt
def nowhere(request: HttpRequest, path: str = "") -> HttpResponse:
    """No such address."""
    return HttpResponse(to_json(problem("not_found")), status=404, content_type=MEDIA_TYPE)
