"""Admin of enterprises and the audit, and the classes that all admins share: one table of roles decides for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext
from unfold.admin import ModelAdmin

from amp.foundation import clock, key_views, staff_views, views
from amp.foundation.access import NEEDS_TOTP, Action, may, may_anywhere
from amp.foundation.models import ApiKey, Enterprise, Event, Invitation, Membership, Role
from amp.foundation.templatetags.amp_display import badge_html, second

Page = Callable[..., HttpResponse]


class MemberAdmin(ModelAdmin):
    """Rows of the user's scope; adding and changing by role, deleting never, another tenant's row is a 404.

    Where seeing asks for more than `VIEW`, `view_action` says what; `get_queryset` then shows the rows of those places
    only.
    """

    view_action: ClassVar[Action] = Action.VIEW
    add_action: ClassVar[Action | None] = None
    change_action: ClassVar[Action | None] = None
    # Pages of our own in the place of Django's forms, and further ones below the list's address.
    creation: ClassVar[Page | None] = None
    details: ClassVar[Page | None] = None
    further: ClassVar[tuple[tuple[str, str, Page], ...]] = ()
    # Buttons above the list beside "add": (title, icon, name of the page, action it needs).
    tools: ClassVar[tuple[tuple[Any, str, str, Action], ...]] = ()
    # Where the list is in the sidebar, and what it is called there.
    section: ClassVar[Any] = None
    list_title: ClassVar[Any] = None
    add_title: ClassVar[Any] = None
    empty_hint: ClassVar[Any] = None

    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each would count a whole table
    ordering = ("-id",)
    actions = None
    list_fullwidth = True

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Members see the list, by role where it asks for more; its rows are those of their enterprises."""
        return may_anywhere(request.user, self.view_action)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As the list: the scope has already decided about the row."""
        return may_anywhere(request.user, self.view_action)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """By role."""
        return self.add_action is not None and may_anywhere(request.user, self.add_action)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """By role in the row's own enterprise: what is only readable upward can't be changed (E1)."""
        if self.change_action is None:
            return False
        if obj is None:
            return may_anywhere(request.user, self.change_action)
        owner = obj if isinstance(obj, Enterprise) else obj.enterprise  # type: ignore[attr-defined]
        return may(request.user, self.change_action, owner)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing is deleted: things are withdrawn, terminated, cancelled."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Further pages before Django's own."""
        further = [path(route, self.admin_site.admin_view(page), name=name) for route, name, page in self.further]
        return [*further, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Our own page where there is one."""
        creation = type(self).creation
        return creation(request) if creation else super().add_view(request, form_url, extra_context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Our own page where there is one."""
        details = type(self).details
        if details is None:
            return super().change_view(request, object_id, form_url, extra_context)
        if not object_id.isdecimal():
            raise Http404
        return details(request, int(object_id))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list with its buttons."""
        tools = [
            {"title": title, "icon": icon, "url": reverse(name)}
            for title, icon, name, action in self.tools
            if may_anywhere(request.user, action)
        ]
        frame = {
            "title": self.list_title or self.opts.verbose_name_plural,
            "amp_section": self.section,
            "amp_tools": tools,
            "add_title": self.add_title,
            "empty_hint": self.empty_hint,
        }
        return super().changelist_view(request, {**frame, **(extra_context or {})})

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        raise Http404


class RecordAdmin(MemberAdmin):
    """Rows that events make: they are looked at, never typed."""


@admin.register(Enterprise)
class EnterpriseAdmin(MemberAdmin):
    """Forms of enterprises; Enterprise > Organization itself, the tree, is put together at the roof (G4)."""

    add_action = Action.EDIT_ENTERPRISE
    change_action = Action.EDIT_ENTERPRISE
    creation = staticmethod(views.add_enterprise)
    details = staticmethod(views.enterprise_page)
    further = (("choices/", "enterprise_choices", views.enterprise_choices),)
    search_fields = ("name",)
    ordering = ("path",)


@admin.register(Membership)
class MembershipAdmin(MemberAdmin):
    """Enterprise > Members: who has which role in the enterprises of the reader (E1, X2)."""

    add_action = Action.MANAGE_MEMBERS
    change_action = Action.MANAGE_MEMBERS
    creation = staticmethod(staff_views.invite)
    details = staticmethod(staff_views.member_page)
    further = (
        ("roles/", "foundation_roles", staff_views.roles_page),
        ("<int:pk>/remove/", "member_remove", staff_views.remove),
        ("<int:pk>/switch/", "member_switch", staff_views.switch),
        ("<int:pk>/totp/", "member_reset_totp", staff_views.reset_totp),
    )
    tools = (
        (_("Invitations"), "mail", "admin:foundation_invitation_changelist", Action.VIEW),
        (_("Roles"), "checklist", "admin:foundation_roles", Action.VIEW),
    )
    section = _("Enterprise")
    list_title = _("Members")
    add_title = _("Invite a member")
    list_display = ("person", "email", "role", "enterprise", "account", "two_step", "last_sign_in")
    list_select_related = ("user", "enterprise")
    list_filter = ("role", "user__is_active")
    search_fields = ("user__email__startswith", "user__full_name__icontains")
    search_help_text = _("Name, or how the e-mail address begins")
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> Any:
        """Members of the enterprises in scope: the table itself is read before there is a scope."""
        return super().get_queryset(request).filter(enterprise__in=Enterprise.objects.all())

    @admin.display(description=_("name"))
    def person(self, member: Membership) -> str:
        """The person."""
        return str(member.user)

    @admin.display(description=_("e-mail"))
    def email(self, member: Membership) -> str:
        """The address, by which the person signs in."""
        return member.user.email

    @admin.display(description=_("account"))
    def account(self, member: Membership) -> str:
        """Whether the person can sign in."""
        return (
            badge_html(pgettext("account", "Active"), "green")
            if member.user.is_active
            else badge_html(_("Off"), "grey")
        )

    @admin.display(description=_("two-step sign-in"))
    def two_step(self, member: Membership) -> str:
        """Whether an authenticator is enrolled; a role that needs one waits for it."""
        if member.user.uses_totp:
            return badge_html(_("On"), "green")
        return badge_html(_("Not set up"), "amber") if Role(member.role) in NEEDS_TOTP else "—"

    @admin.display(description=_("last sign-in"))
    def last_sign_in(self, member: Membership) -> str:
        """In the reader's zone."""
        return second(member.user.last_login)


@admin.register(Invitation)
class InvitationAdmin(RecordAdmin):
    """Enterprise > Members > Invitations: what became of each mail (X1)."""

    add_action = Action.MANAGE_MEMBERS
    creation = staticmethod(staff_views.invite)
    details = staticmethod(staff_views.invitation_page)
    further = (
        ("<int:pk>/again/", "invitation_again", staff_views.send_again),
        ("<int:pk>/withdraw/", "invitation_withdraw", staff_views.withdraw),
    )
    section = _("Enterprise")
    list_title = _("Invitations")
    add_title = _("Invite a member")
    list_display = ("email", "role", "enterprise", "state", "invited", "invited_by")
    list_select_related = ("enterprise", "invited_by")
    list_filter = ("role",)
    search_fields = ("email__startswith",)
    sortable_by = ()
    empty_hint = _("Nobody was invited yet.")

    @admin.display(description=_("state"))
    def state(self, invitation: Invitation) -> str:
        """Accepted, withdrawn, ended, failed, or on its way."""
        return badge_html(*invitation_state(invitation, clock.wall()))

    @admin.display(description=_("invited"))
    def invited(self, invitation: Invitation) -> str:
        """In the reader's zone."""
        return second(invitation.created_at)


def invitation_state(invitation: Invitation, wall: datetime) -> tuple[Any, str]:
    """Word and colour of an invitation at `wall`."""
    if invitation.accepted_at:
        return _("Accepted"), "green"
    if invitation.voided_at:
        return pgettext("mail", "Withdrawn"), "grey"
    if not invitation.is_open(wall):
        return _("Ended"), "grey"
    return (_("Mail failed"), "red") if invitation.send_failure else (_("Waits for an answer"), "blue")


@admin.register(Event)
class EventAdmin(RecordAdmin):
    """Names the table to the admin; System > Audit itself is put together at the roof, whose addresses come first."""


@admin.register(ApiKey)
class ApiKeyAdmin(MemberAdmin):
    """System > API keys, for those who manage them; nobody else learns that they exist (F83)."""

    view_action = add_action = Action.MANAGE_API_KEYS
    creation = staticmethod(key_views.add_key)
    details = staticmethod(key_views.key_page)
    further = (("<int:pk>/revoke/", "api_key_revoke", key_views.revoke_key),)
    section = _("System")
    list_title = _("API keys")
    add_title = _("Add API key")
    list_display = (
        *("name", key_views.begins_with, "enterprise", key_views.state),
        *(key_views.may_do, key_views.expiry, key_views.last_use),
    )
    list_select_related = ("enterprise",)
    search_fields = ("name__istartswith", "prefix__exact")
    sortable_by = ()
    empty_hint = _("A program that works for you needs a key of the API. Add one.")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Keys of the enterprises whose keys the user manages."""
        return key_views.managed(super().get_queryset(request), request)
