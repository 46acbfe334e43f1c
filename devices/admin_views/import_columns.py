"""Columns of the lists of imports and of SIM and RTK services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from amp.foundation import clock
from amp.foundation.lists.columns import Column
from amp.foundation.pages import found
from amp.foundation.templatetags.amp_display import actor_name, badge_html, moment
from devices.admin_views.cells import left, named
from devices.admin_views.imports import STATE_TONES
from devices.admin_views.validities import standing
from devices.models import Import, Validity
from devices.models.validities import SERVICE_CHOICES

VALIDITY_COLUMNS = (
    Column(_("device key"), "device__key"),
    Column(_("product key"), "product__key"),
    Column(_("enterprise"), "enterprise__name"),
    Column(_("service"), "kind", choices=SERVICE_CHOICES),
    Column(_("valid from"), "starts_at"),
    Column(_("valid until"), "ends_at"),
    Column(_("set"), "set_at"),
    Column(_("set by"), "set_by", names_actor=True),
)


class ImportColumns:
    """Cells of an import."""

    @admin.display(description=_("file"))
    def file(self, job: Import) -> str:
        """Its name, as it was uploaded."""
        return job.file_name

    @admin.display(description=_("state"))
    def badge(self, job: Import) -> str:
        """A dot and the word."""
        return badge_html(job.get_state_display(), STATE_TONES.get(job.state, "grey"))

    @admin.display(description=_("done"))
    def done(self, job: Import) -> str:
        """Of how many rows."""
        total = job.rows_new + job.rows_done
        return format_html('<span class="amp-number">{} / {}</span>', job.rows_done, total)

    @admin.display(description=_("by"))
    def by(self, job: Import) -> str:
        """Who uploaded it."""
        return actor_name(job.created_by)

    @admin.display(description=_("uploaded"))
    def uploaded(self, job: Import) -> str:
        """The minute."""
        return moment(job.created_at)


class ValidityColumns:
    """Cells of a validity, which leads to its device."""

    @admin.display(description=_("device"))
    def device_key(self, validity: Validity) -> str:
        """The key, and what else it is called."""
        return named(validity.device)

    @admin.display(description=_("state"))
    def badge(self, validity: Validity) -> str:
        """A dot and the word."""
        tone, word = standing(validity, clock.now())
        return badge_html(word, tone)

    @admin.display(description=_("valid until"))
    def until(self, validity: Validity) -> str:
        """The minute."""
        return moment(validity.ends_at)

    @admin.display(description=_("time left"))
    def time_left(self, validity: Validity) -> str:
        """Until that end."""
        return left(validity.ends_at, clock.now())

    @admin.display(description=_("valid from"))
    def since(self, validity: Validity) -> str:
        """The minute; a dash for always."""
        return moment(validity.starts_at)

    @admin.display(description=_("set by"))
    def set_by_whom(self, validity: Validity) -> str:
        """A person, a key of the API, or a file."""
        return actor_name(validity.set_by)

    @admin.display(description=_("set"))
    def set_when(self, validity: Any) -> str:
        """The minute."""
        return moment(validity.set_at)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Details are those of the device: its tab of services."""
        pk = int(object_id) if object_id.isdecimal() else 0
        device_id = found(Validity.objects.all(), pk).device_id
        return redirect(f"{reverse('admin:device_details', args=[device_id])}?tab=services")
