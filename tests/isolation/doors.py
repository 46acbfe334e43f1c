"""Every address of the product, read from the URL conf, and what each is to a stranger.

`ROWS` says for each address with an id whose row it names; `LISTS` shows many rows; `TOKENS` are opened by a secret in
the address; `OPEN` shows nothing of any tenant; `PLATFORM` is for platform staff. An address in none of them, or in
two, fails the build.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django.contrib import admin
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from alerts.models import Notice, Webhook, WebhookDelivery
from amp.foundation.models import ApiKey, Enterprise, Event, Invitation, Membership, SavedView
from billing.models import (
    BankReceipt,
    Bill,
    BillFetch,
    BillRow,
    FapiaoRequest,
    MerchantAccount,
    MoneyEntry,
    Order,
    PaymentAttempt,
    PaymentException,
    Refund,
    RenewalSelection,
)
from catalog.models import Plan, Product, ServiceRule, ThingModel
from devices.models import Command, Device, DeviceService, Import, LockHold, PublicToken, Validity
from tests.isolation.tenants import Tenant


class Door(NamedTuple):
    """One address: its name and the pattern behind it."""

    name: str
    route: str
    pattern: URLPattern


Kwargs = dict[str, type[Model] | str]
"""What fills each part of an address: the row of that model, or these very words."""

BY_MODEL: dict[str, type[Model]] = {
    model._meta.label_lower.replace(".", "_"): model
    for model in (
        *(Bill, BillRow, FapiaoRequest, MoneyEntry),
        *(ApiKey, Device, DeviceService, Enterprise, Event, Import, Invitation, Membership, Order),
        *(Notice, PaymentAttempt, PaymentException, Plan, Product, Refund, ServiceRule, ThingModel, Validity),
        *(Webhook, WebhookDelivery),
    )
}
DEVICE: Kwargs = {"pk": Device}
ORDER: Kwargs = {"pk": Order}
ROWS: dict[str, Kwargs] = {
    **{
        f"admin:{name}_{verb}": {"object_id": model}
        for name, model in BY_MODEL.items()
        for verb in ("change", "delete", "history")
    },
    **{f"admin:device_{verb}": DEVICE for verb in (
        "details", "issue_link", "new_credential", "revoke_credential", "disconnect", "terminate",
        "transfer", "restart",
    )},
    "admin:device_revoke_link": {"pk": Device, "token": PublicToken},
    "admin:device_validity": {"pk": Device, "kind": "SIM"},
    "admin:device_resend": {"pk": Device, "command": Command},
    "admin:device_cancel": {"pk": Device, "command": Command},
    "admin:held_locks_decide": {"pk": LockHold},
    "admin:audit_entry": {"pk": Event},
    "admin:alert_change_channels": {"pk": Enterprise},
    "api:notice-detail": {"pk": Notice},
    "admin:product_rule": {"pk": Product},
    "admin:product_tsl": {"pk": Product},
    "admin:tsl_download": {"pk": ThingModel},
    **{f"admin:plan_{verb}": {"pk": Plan} for verb in ("edit", "publish", "withdraw")},
    "admin:enterprise_set_merchant": {"pk": Enterprise},
    "admin:enterprise_verify_merchant": {"pk": Enterprise},
    **{f"admin:member_{verb}": {"pk": Membership} for verb in ("remove", "switch", "reset_totp")},
    **{f"admin:invitation_{verb}": {"pk": Invitation} for verb in ("again", "withdraw")},
    "admin:api_key_revoke": {"pk": ApiKey},
    **{f"admin:webhook_{verb}": {"pk": Webhook} for verb in ("edit", "rotate", "switch", "test", "again", "remove")},
    "admin:webhook_delivery_again": {"pk": WebhookDelivery},
    **{f"admin:devices_import_{verb}": {"pk": Import} for verb in (
        "confirm", "cancel", "retry", "status", "credentials", "problems",
    )},
    **{f"admin:order_{verb}": ORDER for verb in (
        "status", "new_code", "cancel", "confirm_free", "retry", "lines_file", "receipt", "receipt_file", "fapiao",
        "refund", "transfer",
    )},
    **{f"admin:order_{name}": {"pk": RenewalSelection} for name in (
        "selection", "selection_file", "selection_unknown",
    )},
    **{f"admin:fapiao_{verb}": {"pk": FapiaoRequest} for verb in ("issue", "refuse")},
    "admin:bill_settle": {"pk": Bill},
    "admin:bill_fetch_retry": {"pk": BillFetch},
    "admin:bill_sandbox_file": {"pk": MerchantAccount},
    **{f"admin:refund_{verb}": {"pk": Refund} for verb in ("decide", "payout")},
    "admin:exception_resolve": {"pk": PaymentException},
    "admin:payment_receipt": {"pk": PaymentAttempt},
    "admin:payment_receipt_decide": {"pk": PaymentAttempt, "receipt_pk": BankReceipt},
    "admin:payment_accounts": {"pk": Enterprise},
    "admin:payment_account_change": {"pk": Enterprise, "account_pk": MerchantAccount},
    **{f"admin:{name}_drop_view": {"pk": SavedView} for name in (
        "devices_device", "devices_deviceservice", "devices_validity", "billing_order", "billing_paymentattempt",
        "billing_paymentexception", "billing_moneyentry", "billing_fapiaorequest", "billing_bill", "billing_billrow",
        "billing_refund", "alerts_notice", "alerts_webhookdelivery",
    )},
    "api:enterprise-detail": {"pk": Enterprise},
    **{f"api:product-{name}": {"pk": Product} for name in ("detail", "thing-model", "rule", "rule-preview")},
    **{f"api:plan-{name}": {"pk": Plan} for name in ("detail", "new-version", "publish", "withdraw")},
    **{f"api:device-{name}": DEVICE for name in (
        "detail", "issue-link", "presence", "revoke-credential", "rotate-credential", "terminate",
    )},
    **{f"api:device-service-{name}": {"pk": DeviceService} for name in ("detail", "history", "preview", "renew")},
    "api:device-validities": DEVICE,
    **{f"api:device-{name}": {"pk": Device, "kind": "SIM"} for name in ("validity", "validity-history")},
    **{f"api:command-{name}": {"pk": Command} for name in ("detail", "cancel", "resend")},
    **{f"api:order-{name}": ORDER for name in (
        "detail", "cancel", "payment", "lines", "receipt", "receipt-file", "refund", "fapiao",
    )},
    "api:fapiao-request-detail": {"pk": FapiaoRequest},
    **{f"api:refund-{name}": {"pk": Refund} for name in ("detail", "approve")},
    **{f"api:payment-exception-{name}": {"pk": PaymentException} for name in ("detail", "resolve")},
    **{f"api:webhook-{name}": {"pk": Webhook} for name in ("detail", "rotate", "enable", "disable", "redeliver")},
    **{f"api:webhook-delivery-{name}": {"pk": WebhookDelivery} for name in ("detail", "redeliver")},
}  # fmt: skip
LISTS = {
    "admin:index",
    "admin:search",
    "admin:audit",
    "admin:audit_export",
    "admin:organization",
    "admin:foundation_roles",
    "admin:payments_overview",
    *(f"admin:order_{verb}" for verb in ("renew", "select", "upload")),
    "admin:autocomplete",
    *(f"admin:{name}_choices" for name in ("enterprise", "product", "level", "merchant")),
    "admin:app_list",
    "admin:devices_import",
    "admin:devices_import_validities",
    "admin:billing_totals",
    "admin:held_locks",
    *(f"admin:alert_{name}" for name in ("channels", "inbox", "inbox_read", "inbox_unread")),
    "admin:bill_upload",
    "admin:bill_fetches",
    "admin:devices_stickers",
    "admin:devices_revoke_links",
    *(f"admin:{name}_{verb}" for name in BY_MODEL for verb in ("changelist", "add")),
    *(f"admin:{name}_{verb}" for name in (
        "devices_device", "devices_deviceservice", "devices_validity", "billing_order", "billing_paymentattempt",
        "billing_paymentexception", "billing_moneyentry", "billing_fapiaorequest", "billing_bill", "billing_billrow",
        "billing_refund", "alerts_notice", "alerts_webhookdelivery",
    ) for verb in ("keep_view", "export")),
    "api:me",
    *(f"api:{name}-list" for name in (
        *("enterprise", "product", "plan", "device", "device-service", "validity", "command", "order"),
        *("refund", "payment-exception", "fapiao-request", "notice", "webhook", "webhook-delivery"),
    )),
    "api:order-preview",
}  # fmt: skip
TOKENS = {
    *("accounts:join", "password_reset_confirm", "public:device", "public:pay", "public:result", "public:status"),
    *("public:receipt", "public:receipt_file", "public:fapiao", "public:pay_order"),
    *(f"paying:{name}" for name in ("page", "pay", "openid", "status", "script")),
    *("payment_notify", "payment_return", "sandbox_pay", "sandbox_gateway"),
    *("emqx_ingest", "emqx_authenticate", "emqx_authorize"),
}
OPEN = {
    *("admin:login", "admin:logout", "admin:password_change", "admin:password_change_done", "admin:jsi18n"),
    *("accounts:code", "accounts:enrol", "accounts:recovery_codes"),
    *("admin_password_reset", "password_reset_done", "password_reset_complete", "set_language"),
    *("admin:view_on_site",),  # Django's; answers 404 for every type, as no model has a page of its own
    *("api:schema", "api:docs", "api:problem"),
}
PLATFORM = {
    *("admin:operations", "admin:operations_retry", "admin:operations_queues", "admin:operations_sweep"),
    *("admin:operations_schedules", "admin:operations_schedule", "admin:operations_run"),
    *("admin:platform_configuration", "admin:retention", "admin:personal_data"),
}
UNNAMED = {
    "r/",  # the public page's two: codes are typed in, and whatever else is no code
    "r/<path:rest>",
    "p/",  # the same of pay pages
    "p/<path:rest>",
    "health/live",
    "health/ready",
    "metrics",
    "api/^(?P<path>.*)$",
    r"admin/(?P<url>.*)$",
    *(f"admin/{model._meta.app_label}/{model._meta.model_name}/<path:object_id>/" for model in BY_MODEL.values()),
}


def doors() -> list[Door]:
    """All addresses of this process."""
    return list(_walk(get_resolver(), "", ""))


def homeless(found: list[Door]) -> list[str]:
    """Addresses that nobody has said anything about, or too much."""
    named = [door for door in found if door.pattern.name]
    lost = [
        door.name for door in named if sum(door.name in kind for kind in (ROWS, LISTS, TOKENS, OPEN, PLATFORM)) != 1
    ]
    return [*lost, *(door.route for door in found if not door.pattern.name and door.route not in UNNAMED)]


def address(name: str, tenant: Tenant | None) -> str:
    """The address of a tenant's rows; of rows that don't exist without one."""
    kwargs = {
        part: what if isinstance(what, str) else tenant.row(what) if tenant else 10**12
        for part, what in ROWS[name].items()
    }
    return reverse(name, kwargs=kwargs)


def registered_models() -> list[type[Model]]:
    """Models of the product that the admin shows."""
    return [
        model
        for model in admin.site._registry
        if model._meta.app_label in {"foundation", "catalog", "devices", "billing", "alerts"}
    ]


def _walk(resolver: URLResolver, route: str, namespace: str) -> Iterator[Door]:
    for each in resolver.url_patterns:
        here = route + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _walk(each, here, namespace + (f"{each.namespace}:" if each.namespace else ""))
        else:
            yield Door(f"{namespace}{each.name}", here, each)
