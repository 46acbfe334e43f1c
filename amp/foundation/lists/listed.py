"""`Listed`: the mixin of an admin whose list people work in.

class DeviceAdmin(Listed, MemberAdmin):
    filterset_class = DeviceFilters
    orderings = (Ordering("registered", _("Registered, newest first"), "created_at"),)
    list_display = ("key", "state")        # shown at first; the first one leads to the details and always shows
    extra_columns = ("serial",)            # may be chosen too
    export_columns = (Column(_("device key"), "key"),)
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from amp.foundation.lists.changelist import KeysetChangeList
from amp.foundation.lists.exporting import Exportable
from amp.foundation.lists.filters import ListFilterSet
from amp.foundation.lists.keyset import Ordering
from amp.foundation.lists.saving import drop_view, keep_view, may_share, tabs


class Listed(Exportable):
    """A list by keyset with a FilterSet, chosen columns, saved views and exports. Mix in before `MemberAdmin`."""

    filterset_class: ClassVar[type[ListFilterSet]]
    orderings: ClassVar[tuple[Ordering, ...]] = ()
    extra_columns: ClassVar[tuple[str, ...]] = ()
    change_list_template = "admin/amp_list.html"
    search_fields = ()
    ordering = ("-pk",)
    list_filter = ()

    def all_columns(self) -> tuple[str, ...]:
        """Columns that can be shown."""
        return (*self.list_display, *self.extra_columns)  # type: ignore[attr-defined]

    def filterset(self, request: HttpRequest, rows: QuerySet[Any]) -> ListFilterSet:
        """The filters of this request over the list's rows."""
        return self.filterset_class(request.GET, rows)

    def get_changelist(self, _request: HttpRequest, **_options: Any) -> type[KeysetChangeList]:
        """Ours."""
        return KeysetChangeList

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """The columns that were chosen, in their usual order."""
        first, *others = self.all_columns()
        chosen = set(request.GET.getlist("columns")) & {first, *others}
        if not chosen:
            return list(self.list_display)  # type: ignore[attr-defined]
        return [first, *(name for name in others if name in chosen)]

    def get_urls(self) -> list[URLPattern]:
        """Where views are kept and dropped."""
        admin: Any = self
        name, guarded = f"{admin.opts.app_label}_{admin.opts.model_name}", admin.admin_site.admin_view
        return [
            path("views/", guarded(partial(keep_view, model_admin=self)), name=f"{name}_keep_view"),
            path("views/<int:pk>/delete/", guarded(partial(drop_view, model_admin=self)), name=f"{name}_drop_view"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list with its saved views; 400 where a parameter can't be understood."""
        options: Any = self.opts  # type: ignore[attr-defined]
        views = tabs(request, self)
        frame = {
            "amp_views": views,
            "amp_open_view": next((view.name for view in views if view.is_open), ""),
            "amp_own_view": next((view for view in views if view.is_open and view.delete), None),
            "amp_may_share": may_share(request),
            "amp_keep_view": f"admin:{options.app_label}_{options.model_name}_keep_view",
        }
        answer = super().changelist_view(request, {**frame, **(extra_context or {})})
        changelist = (getattr(answer, "context_data", None) or {}).get("cl")
        if changelist is not None and changelist.problems:
            answer.status_code = 400
        return answer
