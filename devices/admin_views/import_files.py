"""What an import leaves to download: credentials, once, and the rows that are bad (X4, F90)."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.cells import escaped
from amp.foundation.lists.sheets import csv_pieces
from amp.foundation.pages import actor, ensure, found, needs, private, refuse
from amp.foundation.services.refusals import Refused
from devices.forms.import_words import column_word, problem_sentence
from devices.models import Import, ImportRow, RowStatus
from devices.services.import_secrets import take_secrets
from devices.services.tokens import link_of


@require_POST
def credentials(request: HttpRequest, pk: int) -> HttpResponse:
    """Passwords and renewal links of the devices that were registered: this answer has them, no later one."""
    job = found(Import.objects.select_related("enterprise"), pk)
    ensure(request, Action.REGISTER_DEVICES, job.enterprise)
    try:
        secrets = take_secrets(job=job, actor=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
        return redirect("admin:devices_import_change", pk)
    rows = (
        (escaped(each.key), escaped(f"{each.product}/{each.key}"), each.password, link_of(each.renewal_token))
        for each in secrets
    )
    titles = ("key", "mqtt_user_name", "mqtt_password", "renewal_link")
    return private(_file(csv_pieces(titles, rows), f"credentials-{pk}.csv"))


@needs(Action.VIEW)
def problems(request: HttpRequest, pk: int) -> HttpResponse:
    """Bad rows as a file: what they say, what is wrong and what to do; corrected, it can be imported as it is."""
    job = found(Import.objects.all(), pk)
    titles = [*job.columns, "line", "problem"]
    rows = list(_problem_rows(job))
    return _file(csv_pieces(titles, rows), f"problems-{pk}.csv")


def _problem_rows(job: Import) -> Iterator[list[str | int]]:
    bad = ImportRow.objects.filter(job=job, status=RowStatus.BAD.value).order_by("line")
    for line, values, found_wrong in bad.values_list("line", "values", "problems").iterator(chunk_size=2_000):
        told = [f"{column_word(column)}: {problem_sentence(code, rest)}" for column, code, *rest in found_wrong]
        yield [*(escaped(values.get(name, "")) for name in job.columns), line, escaped(" ".join(told))]


def _file(pieces: Iterator[bytes], name: str) -> HttpResponse:
    answer = StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer  # type: ignore[return-value]
