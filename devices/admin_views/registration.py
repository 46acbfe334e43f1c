"""Registering one device by form; its password and its renewal link are shown once (F68, X4)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.pages import Crumb, actor, ensure, needs, page, private, show, signed_in
from amp.foundation.services.refusals import Refused
from devices.forms.registration import DeviceForm
from devices.services.registration import Registered, register_device
from devices.services.tokens import link_of


@needs(Action.REGISTER_DEVICES)
def add_device(request: HttpRequest) -> HttpResponse:
    """One device; its credential is on the answer to the POST and nowhere else."""
    initial = {"product": request.GET.get("product")}
    form = DeviceForm(request.POST or None, user=signed_in(request), initial=initial)
    if request.method == "POST" and form.is_valid():
        ensure(request, Action.REGISTER_DEVICES, form.cleaned_data["enterprise"])
        try:
            made = register_device(**form.cleaned_data, actor=actor(request), now=clock.now())
        except Refused as refused:
            show(form, refused)
        else:
            return _credentials(request, form, made)
    title = _("Register a device")
    return page(request, "admin/amp_form.html", title, crumbs=[_list()], form=form, submit=_("Register"))


def _credentials(request: HttpRequest, form: DeviceForm, made: Registered) -> HttpResponse:
    product = form.cleaned_data["product"]
    response = page(
        request,
        "devices/credentials.html",
        _("Keep these credentials now"),
        crumbs=[_list()],
        device=made.device,
        product=product,
        user_name=made.device.mqtt_user_name,
        password=made.password,
        link=link_of(made.renewal_token),
    )
    return private(response)


def _list() -> Crumb:
    return (_("Device List"), reverse("admin:devices_device_changelist"))
