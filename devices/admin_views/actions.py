"""What people do to one device: links, credentials, commands, termination. All over POST, one service call each."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.pages import Crumb, actor, done, ensure, found, page, private, refuse
from amp.foundation.services.refusals import Refused
from devices.models import Command, Device, PublicToken
from devices.qr import qr_svg
from devices.services.credentials import rotate_credential
from devices.services.registration import terminate_device
from devices.services.staff_commands import cancel_command, resend_command
from devices.services.tokens import issue_token, link_of, revoke_token


@require_POST
def issue_link(request: HttpRequest, pk: int) -> HttpResponse:
    """A new renewal link with its QR code, shown on this answer only."""
    device = _device(request, pk)
    try:
        token = issue_token(device=device, actor=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
        return redirect("admin:device_details", pk)
    link = link_of(token)
    drawing = qr_svg(link, _("QR code of the renewal page"))
    title = _("Renewal link of %(device)s") % {"device": device}
    return private(
        page(request, "devices/link.html", title, crumbs=_crumbs(device), device=device, link=link, qr=drawing)
    )


@require_POST
def revoke_link(request: HttpRequest, pk: int, token: int) -> HttpResponse:
    """Switch one renewal link off for good."""
    device = _device(request, pk)
    revoke_token(token=found(PublicToken.objects.filter(device=device), token), actor=actor(request), now=clock.now())
    done(request, _("The link no longer works."))
    return redirect(f"{reverse('admin:device_details', args=[pk])}?tab=access")


@require_POST
def new_credential(request: HttpRequest, pk: int) -> HttpResponse:
    """A new password for the broker, shown on this answer only."""
    device = _device(request, pk)
    try:
        password = rotate_credential(device=device, actor=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
        return redirect("admin:device_details", pk)
    title = _("New credential of %(device)s") % {"device": device}
    return private(
        page(
            request,
            "devices/credential.html",
            title,
            crumbs=_crumbs(device),
            user_name=device.mqtt_user_name,
            password=password,
        )
    )


@require_POST
def terminate(request: HttpRequest, pk: int) -> HttpResponse:
    """End the service for good; the device's key has to be typed, so that nobody ends the wrong one."""
    device = _device(request, pk)
    if request.POST.get("key", "").strip() != device.key:
        refuse(request, Refused.because(_("Nothing was done: the key that you typed is not this device's.")))
        return redirect("admin:device_details", pk)
    terminate_device(device=device, actor=actor(request), now=clock.now())
    done(request, _("%(device)s is terminated.") % {"device": device})
    return redirect("admin:device_details", pk)


@require_POST
def resend(request: HttpRequest, pk: int, command: int) -> HttpResponse:
    """Send a command again."""
    return _on_command(request, pk, command, resend_command, _("The command is on its way again."))


@require_POST
def cancel(request: HttpRequest, pk: int, command: int) -> HttpResponse:
    """End a command that waits."""
    return _on_command(request, pk, command, cancel_command, _("The command is cancelled."))


def _on_command(
    request: HttpRequest, pk: int, command_id: int, service: Callable[..., None], sentence: str
) -> HttpResponse:
    device = _device(request, pk)
    command = found(Command.objects.filter(device=device), command_id)
    try:
        service(command=command, actor=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, sentence)
    return redirect(f"{reverse('admin:device_details', args=[pk])}?tab=commands")


def _device(request: HttpRequest, pk: int) -> Device:
    device = found(Device.objects.select_related("enterprise", "product"), pk)
    ensure(request, Action.OPERATE_DEVICES, device.enterprise)
    return device


def _crumbs(device: Device) -> list[Crumb]:
    return [
        (_("Device List"), reverse("admin:devices_device_changelist")),
        (device.key, reverse("admin:device_details", args=[device.pk])),
    ]
