"""What the list of devices can do with many rows: print their stickers, revoke their links."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from amp.foundation.access import Action, may_anywhere
from amp.foundation.pages import signed_in
from devices.admin_views import stickers
from devices.models import Device


class StickerActions:
    """Adds both actions and their pages to an admin of devices. Mix in before `Listed`."""

    actions: Any = ("print_stickers", "revoke_links")

    def get_urls(self) -> list[URLPattern]:
        """Pages about the devices that this list's filters leave."""
        guarded = self.admin_site.admin_view  # type: ignore[attr-defined]
        return [
            path("stickers/", guarded(partial(stickers.stickers, model_admin=self)), name="devices_stickers"),
            path("links/", guarded(partial(stickers.revoke_links, model_admin=self)), name="devices_revoke_links"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def has_link_permission(self, request: HttpRequest) -> bool:
        """By role; the page asks again for each enterprise."""
        return may_anywhere(signed_in(request), Action.OPERATE_DEVICES)

    @admin.action(description=_("Print stickers"), permissions=["link"])
    def print_stickers(self, request: HttpRequest, devices: QuerySet[Device]) -> HttpResponse | None:
        """To what is printed for the chosen devices."""
        return stickers.to_stickers(request, devices)

    @admin.action(description=_("Revoke renewal links"), permissions=["link"])
    def revoke_links(self, request: HttpRequest, devices: QuerySet[Device]) -> HttpResponse | None:
        """To what stops working for the chosen devices."""
        return stickers.to_revoke_links(request, devices)
