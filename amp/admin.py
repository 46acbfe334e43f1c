"""The admin site: its navigation, its badge, and the pages that only the roof can put together."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import URLPattern, path, reverse, reverse_lazy
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin as UnfoldModelAdmin
from unfold.sites import UnfoldAdminSite

from amp.dashboard.brakes import brakes_on
from amp.foundation.access import Action, may_anywhere
from amp.foundation.models import User
from amp.foundation.pages import signed_in

Item = dict[str, Any]


class AmpAdminSite(UnfoldAdminSite):
    """The admin for members of enterprises: who has no membership sees nothing."""

    index_title = _("Overview")
    enable_nav_sidebar = True
    empty_value_display = "—"

    def has_permission(self, request: HttpRequest) -> bool:
        """Signed in, active, and a member somewhere: the roles table decides the rest."""
        user = request.user
        return isinstance(user, User) and user.is_active and user.is_staff and may_anywhere(user, Action.VIEW)

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Screens that libraries bring (keys of authenticators, schedules) don't know tenants: they are left out."""
        if admin_class is not None and issubclass(admin_class, UnfoldModelAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def extra_urls(self) -> list[URLPattern]:
        """Pages of the roof; they come before those of the models."""
        from alerts.admin_views import channels, inbox
        from amp import configuration, organization, panels
        from amp.audit import pages as audit
        from amp.personal.pages import personal_data
        from billing.admin_views import accounts, backlog
        from billing.admin_views.books import totals_page
        from devices.admin_views import lock_holds
        from devices.admin_views.rules import product_rule

        return [
            path("devices/device/<int:pk>/change/", self.admin_view(panels.device_details), name="device_details"),
            path("catalog/product/<int:pk>/device-service/", self.admin_view(product_rule), name="product_rule"),
            path("foundation/event/", self.admin_view(audit.audit), name="audit"),
            path("foundation/event/export/", self.admin_view(audit.export), name="audit_export"),
            path("foundation/event/<int:pk>/change/", self.admin_view(audit.entry), name="audit_entry"),
            path(
                "configuration/", self.admin_view(configuration.platform_configuration), name="platform_configuration"
            ),
            path("configuration/retention/", self.admin_view(configuration.configure_retention), name="retention"),
            path("foundation/enterprise/", self.admin_view(organization.organization), name="organization"),
            path(
                "foundation/enterprise/<int:pk>/merchant/",
                self.admin_view(organization.set_merchant),
                name="enterprise_set_merchant",
            ),
            path(
                "foundation/enterprise/<int:pk>/merchant/verify/",
                self.admin_view(organization.verify_merchant),
                name="enterprise_verify_merchant",
            ),
            path("billing/totals/", self.admin_view(totals_page), name="billing_totals"),
            path(
                "foundation/enterprise/<int:pk>/accounts/",
                self.admin_view(accounts.payment_accounts),
                name="payment_accounts",
            ),
            path(
                "foundation/enterprise/<int:pk>/accounts/<int:account_pk>/",
                self.admin_view(accounts.change_account),
                name="payment_account_change",
            ),
            path("billing/overview/", self.admin_view(backlog.payments_overview), name="payments_overview"),
            path("devices/held_locks/", self.admin_view(lock_holds.held_locks), name="held_locks"),
            path("devices/held_locks/<int:pk>/", self.admin_view(lock_holds.decide_hold), name="held_locks_decide"),
            path("alerts/channels/", self.admin_view(channels.channels), name="alert_channels"),
            path("alerts/channels/<int:pk>/", self.admin_view(channels.change_channels), name="alert_change_channels"),
            path("alerts/inbox/", self.admin_view(inbox.inbox), name="alert_inbox"),
            path("alerts/inbox/read/", self.admin_view(inbox.read_all), name="alert_inbox_read"),
            path("alerts/inbox/unread/", self.admin_view(inbox.count_unread), name="alert_inbox_unread"),
            path("personal-data/", self.admin_view(personal_data), name="personal_data"),
            *self._operations(),
        ]

    def _operations(self) -> list[URLPattern]:
        from amp.operations import pages

        return [
            path("operations/", self.admin_view(pages.operations), name="operations"),
            path("operations/retry/", self.admin_view(pages.retry), name="operations_retry"),
            path("operations/queues/", self.admin_view(pages.queues), name="operations_queues"),
            path("operations/sweeps/<str:name>/", self.admin_view(pages.sweep), name="operations_sweep"),
            path("operations/schedules/", self.admin_view(pages.schedules), name="operations_schedules"),
            path("operations/schedules/<int:pk>/", self.admin_view(pages.schedule), name="operations_schedule"),
            path("operations/schedules/<int:pk>/run/", self.admin_view(pages.run_schedule), name="operations_run"),
        ]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Signing in, unless too many accounts were tried from this address (F94)."""
        from amp.accounts.lockout import closed_to_address

        closed = closed_to_address(request) if request.method == "POST" else None
        return closed or super().login(request, extra_context)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The theme's page with a form of ours, whose change is on the record (R9)."""
        from django.contrib.auth.views import PasswordChangeView

        from amp.accounts.forms import ChangePasswordForm

        request.current_app = self.name
        view = PasswordChangeView.as_view(
            form_class=ChangePasswordForm,
            success_url=reverse(f"{self.name}:password_change_done"),
            extra_context={**self.each_context(request), **(extra_context or {})},
            template_name=self.password_change_template or "registration/password_change_form.html",
        )
        return cast(HttpResponse, view(request))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The overview: figures counted ahead, each a link to the rows behind it."""
        from amp.dashboard.overview import overview

        return super().index(request, {**overview(signed_in(request)), **(extra_context or {})})


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar, in the order of the spec; entries that the user's roles don't reach are left out."""
    platform = may_anywhere(signed_in(request), Action.OPERATE_PLATFORM)
    keys = may_anywhere(signed_in(request), Action.MANAGE_API_KEYS)
    books = may_anywhere(signed_in(request), Action.KEEP_BOOKS)
    hooks = may_anywhere(signed_in(request), Action.MANAGE_WEBHOOKS)
    return [
        _group("", _item(_("Overview"), "space_dashboard", "admin:index")),
        _group(
            _("Enterprise"),
            _item(_("Organization"), "account_tree", "admin:foundation_enterprise_changelist"),
            _item(_("Members"), "group", "admin:foundation_membership_changelist"),
        ),
        _group(
            _("Product"),
            _item(_("Products"), "inventory_2", "admin:catalog_product_changelist"),
            _item("TSL", "data_object", "admin:catalog_thingmodel_changelist"),
            _item(_("Device Service"), "tune", "admin:catalog_servicerule_changelist"),
        ),
        _group(
            _("Device"),
            _item(_("Device List"), "router", "admin:devices_device_changelist"),
            _item(_("SIM and RTK services"), "sim_card", "admin:devices_validity_changelist"),
            _item(_("Imports"), "upload_file", "admin:devices_import_changelist"),
            _held_locks(),
        ),
        _group(
            _("Plan"),
            _item(_("Plans"), "sell", "admin:catalog_plan_changelist"),
            _item(_("Device Service"), "autorenew", "admin:devices_deviceservice_changelist"),
        ),
        _group(
            _("Payments"),
            _item(_("At a glance"), "speed", "admin:payments_overview"),
            _item(_("Orders"), "receipt_long", "admin:billing_order_changelist"),
            _item(_("Payments"), "payments", "admin:billing_paymentattempt_changelist"),
            _item(_("Refunds"), "undo", "admin:billing_refund_changelist"),
            _item(_("Exceptions"), "report", "admin:billing_paymentexception_changelist"),
            *(_book_items() if books else []),
        ),
        _group(
            _("Alerts"),
            _item(_("Inbox"), "notifications", "admin:alert_inbox"),
            _item(_("Notices"), "campaign", "admin:alerts_notice_changelist"),
            _item(_("Channels"), "share", "admin:alert_channels"),
            *(_hook_items() if hooks else []),
        ),
        _group(
            _("System"),
            _item(_("Audit"), "history", "admin:audit"),
            *([_item(_("API keys"), "key", "admin:foundation_apikey_changelist")] if keys else []),
            *(_platform_items() if platform else []),
        ),
    ]


def _book_items() -> list[Item]:
    return [
        _item(_("Totals"), "functions", "admin:billing_totals"),
        _item(_("Money ledger"), "account_balance", "admin:billing_moneyentry_changelist"),
        _item(_("Fapiao requests"), "request_quote", "admin:billing_fapiaorequest_changelist"),
        _item(_("Gateway bills"), "rule", "admin:billing_bill_changelist"),
    ]


def _hook_items() -> list[Item]:
    return [
        _item(_("Webhooks"), "webhook", "admin:alerts_webhook_changelist"),
        _item(_("Deliveries"), "list_alt", "admin:alerts_webhookdelivery_changelist"),
    ]


def _held_locks() -> Item:
    item = _item(_("Held locks"), "lock_clock", "admin:held_locks")
    waiting = brakes_on()
    return {**item, "badge": waiting, "badge_variant": "danger"} if waiting else item


def _platform_items() -> list[Item]:
    return [
        _item(_("Platform Configuration"), "settings", "admin:platform_configuration"),
        _item(_("Personal Data"), "person_off", "admin:personal_data"),
        _item(_("Operations"), "monitor_heart", "admin:operations"),
    ]


def environment(request: HttpRequest) -> tuple[str, str] | None:
    """The badge beside each title: nobody mistakes a demo or a test for the real thing."""
    if settings.IS_PRODUCTION:
        return None
    return ("DEMO", "warning") if settings.IS_DEMO else ("TEST", "info")


def stylesheet(request: HttpRequest) -> str:
    """Our own styles, on top of the theme's."""
    return static("amp/admin.css")


def icon(request: HttpRequest) -> str:
    """The small picture in the browser's tab."""
    return static("amp/favicon.svg")


def script(request: HttpRequest) -> str:
    """Copying ids, confirming, adding rows."""
    return static("amp/admin.js")


def _group(title: Any, *items: Item) -> dict[str, Any]:
    return {"title": title, "items": list(items)}


def _item(title: Any, icon: str, name: str) -> Item:
    return {"title": title, "icon": icon, "link": reverse_lazy(name)}
