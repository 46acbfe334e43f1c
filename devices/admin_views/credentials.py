"""What people do about a device's credential beside issuing a new one: take it away, end what is connected (X4)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.pages import actor, done, ensure, found, refuse
from amp.foundation.services.refusals import Refused
from devices.models import Device, Disconnect
from devices.services.credentials import revoke_credential
from devices.services.disconnects import ask_again


@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Take the device's password away."""
    device = _device(request, pk)
    try:
        revoke_credential(device=device, actor=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, _("The credential of %(device)s is revoked.") % {"device": device})
    return _to_access(pk)


@require_POST
def disconnect(request: HttpRequest, pk: int) -> HttpResponse:
    """Have the broker asked once more to end the device's connection."""
    ask_again(device=_device(request, pk), actor=actor(request), now=clock.now())
    done(request, _("The broker is asked again."))
    return _to_access(pk)


def last_disconnect(device: Device) -> Disconnect | None:
    """The latest connection that the broker was asked to end."""
    return Disconnect.objects.filter(device=device).order_by("-id").first()


def _device(request: HttpRequest, pk: int) -> Device:
    device = found(Device.objects.select_related("product", "enterprise"), pk)
    ensure(request, Action.OPERATE_DEVICES, device.enterprise)
    return device


def _to_access(pk: int) -> HttpResponse:
    return redirect(f"{reverse('admin:device_details', args=[pk])}?tab=access")
