"""Transfer remaining service: the replacement by its key, both devices before and after, then the button (A26)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.pages import actor, done, ensure, found, needs, page
from amp.foundation.services.refusals import Refused
from devices.admin_views.words import state_word
from devices.models import Device
from devices.services.replacements import SENTENCES, replacement
from devices.services.transfer import TransferPreview, transfer_preview, transfer_service


@needs(Action.OPERATE_DEVICES)
def transfer(request: HttpRequest, pk: int) -> HttpResponse:
    """GET searches the replacement and shows what would happen; POST does what was shown.

    The role is needed in the enterprises of both devices.
    """
    source = found(Device.objects.select_related("enterprise", "product", "service"), pk)
    ensure(request, Action.OPERATE_DEVICES, source.enterprise)
    asked = request.POST if request.method == "POST" else request.GET
    key, reason = asked.get("to", "").strip()[:64], asked.get("reason", "")[:400]
    problems: list[str] = []
    target: Device | None = None
    preview: TransferPreview | None = None
    try:
        if key or request.method == "POST":
            target = replacement(source=source, key=key)
            ensure(request, Action.OPERATE_DEVICES, target.enterprise)
            if request.method == "POST":
                return _moved(request, source, target, reason)
    except Refused as refused:
        problems = [problem.message for problem in refused.problems]
    if target is not None:
        preview = transfer_preview(source_id=source.pk, target_id=target.pk, now=clock.now())
        if preview.refusal and not problems:
            problems = [str(SENTENCES[preview.refusal])]
    return _page(request, source, target, preview, problems, key, reason)


def _moved(request: HttpRequest, source: Device, target: Device, reason: str) -> HttpResponse:
    transfer_service(
        source_id=source.pk,
        target_id=target.pk,
        reason=reason,
        actor=actor(request),
        now=clock.now(),
        seen=request.POST.get("seen", ""),
    )
    done(request, _("%(target)s runs on; %(source)s is expired.") % {"target": target, "source": source})
    return redirect("admin:device_details", target.pk)


def _page(
    request: HttpRequest,
    source: Device,
    target: Device | None,
    preview: TransferPreview | None,
    problems: list[str],
    key: str,
    reason: str,
) -> HttpResponse:
    shown = [(source, preview.source), (target, preview.target)] if preview and not preview.refusal else []
    return page(
        request,
        "devices/transfer.html",
        _("Transfer the remaining service of %(device)s") % {"device": source},
        crumbs=[
            (_("Device List"), reverse("admin:devices_device_changelist")),
            (source.key, reverse("admin:device_details", args=[source.pk])),
        ],
        device=source,
        service=source.service,
        target=target,
        preview=preview,
        sides=[
            (device, change, state_word(change.before.state.value), state_word(change.after.state.value))
            for device, change in shown
            if device and change
        ],
        problems=problems,
        key=key,
        reason=reason,
        zone=source.enterprise.time_zone,
        status=422 if problems and request.method == "POST" else 200,
    )
