"""Admin of the alerts: Alerts > Notices, the log of who was told what, and why not."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from alerts.admin_views.cells import EXPORTED, NoticeColumns
from alerts.filters import NoticeFilters
from alerts.models import Notice
from amp.foundation.admin import RecordAdmin
from amp.foundation.lists.listed import Listed
from amp.foundation.pages import found


@admin.register(Notice)
class NoticeAdmin(NoticeColumns, Listed, RecordAdmin):
    """Alerts > Notices."""

    section = _("Alerts")
    list_title = _("Notices")
    filterset_class = NoticeFilters
    list_display = ("device_key", "service", "end", "before", "channel", "badge", "why", "due")
    extra_columns = ("enterprise", "done")
    list_select_related = ("device", "enterprise", "command")
    export_columns = EXPORTED
    sortable_by = ()
    empty_hint = _("Notices appear here when alerts are on, under System > Platform Configuration, and ends come near.")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Details are those of the device: its tab of notices."""
        pk = int(object_id) if object_id.isdecimal() else 0
        device_id = found(Notice.objects.all(), pk).device_id
        return redirect(f"{reverse('admin:device_details', args=[device_id])}?tab=notices#records")
