"""What happened, in words: one sentence for each kind of event that any app records, and the groups of the filter."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models.users import ROLE_CHOICES
from billing.models import Order, PaymentException, Refund
from devices.admin_views.words import command_event_word, event_word, reason_word, state_word
from devices.models.lock_holds import REASON_CHOICES
from devices.models.service import LOCK_CHOICES

WORDS = {
    "device.edited": _("Device edited"),
    "import.staged": _("Import read"),
    "import.confirmed": _("Import confirmed"),
    "import.done": _("Import done"),
    "import.refused": _("Import refused"),
    "import.cancelled": _("Import cancelled"),
    "import.failed": _("Import failed"),
    "import.retried": _("Import tried again"),
    "import.credentials_taken": _("Credentials of an import downloaded"),
    "import.credentials_deleted": _("Credentials of an import deleted"),
    "order.created": _("Order made"),
    "order.paid": _("Order paid"),
    "order.fulfilled": _("Order fulfilled"),
    "order.partially_fulfilled": _("Order fulfilled in part"),
    "order.expired": _("Order expired: not paid in time"),
    "order.cancelled": _("Order cancelled"),
    "order.retried": _("Order tried again by staff"),
    "order.stuck": _("Order could not be fulfilled"),
    "order.refunded": _("Refund paid back"),
    "order.refunded_in_full": _("Order refunded in full"),
    "refund.requested": _("Refund asked for"),
    "refund.taken_up": _("Proposed refund taken up"),
    "refund.approved": _("Refund approved"),
    "refund.rejected": _("Refund rejected"),
    "refund.sent": _("Refund sent to the gateway"),
    "refund.failed": _("Refund failed"),
    "refund.retried": _("Refund tried again by staff"),
    "refund.stuck": _("Devices of a refund could not be shortened"),
    "refund.paid_out": _("Refund paid out by bank transfer"),
    "refund.payout_confirmed": _("Payout of a refund confirmed"),
    "refund.payout_rejected": _("Payout of a refund rejected"),
    "payment.exception": _("Payment needs a person"),
    "payment.exception_resolved": _("Payment exception resolved"),
    "payment.receipt_recorded": _("Bank transfer recorded"),
    "payment.receipt_confirmed": _("Bank transfer confirmed"),
    "payment.receipt_rejected": _("Bank transfer rejected"),
    "payment.refused_notice": _("Notice of a gateway refused"),
    "fapiao.requested": _("Fapiao requested"),
    "fapiao.issued": _("Fapiao issued"),
    "fapiao.refused": _("Fapiao refused"),
    "bill.imported": _("Bill of a gateway read"),
    "bill.settled": _("Payments of a bill booked"),
    "bill.retried": _("Fetching of a bill tried again"),
    "product.created": _("Product added"),
    "product.edited": _("Product edited"),
    "tsl.imported": _("TSL imported"),
    "rule.saved": _("Device service rule saved"),
    "plan.drafted": _("Plan drafted"),
    "plan.published": _("Plan published"),
    "plan.withdrawn": _("Plan withdrawn"),
    "enterprise.created": _("Enterprise added"),
    "enterprise.edited": _("Enterprise edited"),
    "merchant.set": _("Merchant set"),
    "merchant.proposed": _("Change of merchant proposed"),
    "merchant.verified": _("Change of merchant verified"),
    "merchant.dropped": _("Change of merchant dropped"),
    "merchant.account_opened": _("Account at a gateway opened"),
    "merchant.account_closed": _("Account at a gateway closed"),
    "merchant.secret_proposed": _("New secret of a gateway proposed"),
    "merchant.account_rekeyed": _("Keys of an account at a gateway replaced"),
    "member.added": _("Member added"),
    "member.removed": _("Member removed"),
    "member.role_changed": _("Role changed"),
    "member.invited": _("Member invited"),
    "member.invitation_voided": _("Invitation withdrawn"),
    "user.activated": _("Person may sign in again"),
    "user.deactivated": _("Person may no longer sign in"),
    "user.password_chosen": _("Password chosen"),
    "user.password_changed": _("Password changed"),
    "user.password_reset": _("Password chosen anew by the link of a mail"),
    "user.totp_enrolled": _("Two-step sign-in set up"),
    "user.totp_reset": _("Two-step sign-in reset"),
    "user.recovery_code_used": _("Signed in by a recovery code"),
    "user.recovery_codes_renewed": _("Recovery codes renewed"),
    "api_key.created": _("API key made"),
    "api_key.revoked": _("API key revoked"),
    "webhook.added": _("Webhook added"),
    "webhook.edited": _("Webhook edited"),
    "webhook.secret_rotated": _("Secret of a webhook replaced"),
    "webhook.enabled": _("Webhook enabled"),
    "webhook.disabled": _("Webhook disabled"),
    "webhook.removed": _("Webhook removed"),
    "webhook.test": _("Webhook tested"),
    "webhook.redelivered": _("Webhook deliveries sent again"),
    "list.export_started": _("Export begun"),
    "list.exported": _("Export ended"),
    "saved_view.saved": _("View of a list saved"),
    "saved_view.deleted": _("View of a list deleted"),
    "clock.moved": _("Test clock moved"),
    "lock_hold.began": _("Locks are held from now on"),
    "lock_hold.released": _("Held locks released"),
    "lock_hold.cancelled": _("Held locks cancelled"),
    "enterprise.channels_set": _("Channels of an enterprise set"),
    "digest.retried": _("Mail about expiry tried again by staff"),
    "platform.configured": _("Platform configuration changed"),
    "platform.rows_removed": _("Rows deleted that are kept no longer"),
    "platform.person_erased": _("Personal data erased"),
    "platform.person_exported": _("Personal data exported"),
    "schedule.changed": _("Schedule changed"),
    "schedule.run": _("Sweep started by hand"),
    "platform.restored": _("Database restored from a backup"),
}
"""Kinds that devices' timeline has no words for."""

GROUPS = {
    "service": (_("Device services"), ("device_service.",)),
    "command": (_("Commands"), ("command.", "lock_hold.")),
    "device": (_("Devices"), ("device.",)),
    "order": (_("Orders and payments"), ("order.", "payment.", "refund.", "fapiao.", "bill.")),
    "catalog": (_("Products, rules and plans"), ("product.", "tsl.", "rule.", "plan.")),
    "enterprise": (_("Enterprises and merchants"), ("enterprise.", "merchant.")),
    "people": (_("People and keys"), ("member.", "user.", "api_key.", "webhook.")),
    "platform": (
        _("Platform, imports and exports"),
        ("platform.", "clock.", "import.", "list.", "saved_view.", "digest.", "lock_hold."),
    ),
}
"""Value of the filter → its name, and how the kinds of the group begin."""

FIELDS = {
    "state": _("Service"),
    "ends_at": _("Ends"),
    "starts_at": _("Starts"),
    "amount": _("Amount, minor units"),
    "total": _("Total, minor units"),
    "currency": _("Currency"),
    "status": _("Status"),
    "name": _("Name"),
    "version": _("Version"),
    "command": _("Command"),
    "generation": _("Generation"),
    "number": _("Number"),
    "payment": _("Payment"),
    "unapplied": _("Not applied"),
    "shift_seconds": _("Ahead of real time"),
    "desired_lock": _("Lock wanted"),
    "reported_lock": _("Lock reported"),
    "level": _("Service level"),
    "months": _("Months"),
    "merchant_id": _("Merchant ID"),
    "time_zone": _("Time zone"),
    "role": _("Role"),
    "paid_mode": _("Paid service"),
    "devices": _("Devices"),
    "key": _("Key"),
    "serial": _("Serial number"),
    "plan": _("Plan"),
    "life": _("Life"),
    "gateway": _("Gateway"),
    "format": _("Format"),
    "filter": _("Filter"),
    "rows": _("Rows"),
    "day": _("Day"),
    "reason": _("Why"),
    "allowance": _("Allowed in an hour"),
    "locks": _("Locks"),
    "lock_settle_minutes": _("Minutes that locks settle after an outage"),
    "lock_allowance": _("Locks an hour without a person, at least"),
    "lock_allowance_percent": _("Locks an hour, percent of the devices"),
    "older_links": _("Older links"),
    "order_minutes": _("Minutes to pay an order"),
    "refund": _("Refund"),
    "reference": _("Bank reference"),
    "resolution": _("Resolution"),
    "in_full": _("In full"),
    "refund_threshold": _("Refunds without a second person, minor units"),
    "user": _("Person"),
    "product": _("Product"),
    "parent": _("Parent enterprise"),
    "kind": _("Kind"),
    "merchant": _("Merchant"),
    "list": _("List"),
    "shared": _("Shared"),
    "attempts": _("Attempts"),
    "sale_from": _("On sale from"),
    "sale_until": _("On sale until"),
    "trial_start_seconds": _("Trial starts after"),
    "trial_end_seconds": _("Trial ends after"),
    "auto_subscribe": _("Auto-subscription upon trial expiration"),
    "auto_plan_id": _("Included plan"),
    "renewal_before_trial_end": _("Allow renewal before trial ends"),
    "lock_action": _("Lock"),
    "unlock_action": _("Unlock"),
    "cache_seconds": _("Keep commands for"),
    "heartbeat_seconds": _("Heartbeat"),
    "ticket": _("Ticket"),
    "host": _("Host"),
    "types": _("Events"),
    "includes_descendants": _("With the enterprises below"),
    "why": _("Why"),
    "overlap_hours": _("Hours in which both secrets sign"),
    "deliveries": _("Deliveries"),
}
"""Names of recorded facts; others are shown as they are stored."""


CODED = frozenset({"command", "desired_lock", "reported_lock", "status", "role", "resolution", "reason"})
CODES = {
    **dict([*ROLE_CHOICES, *LOCK_CHOICES]),
    **dict(Order._meta.get_field("status").choices or ()),
    **dict(Refund._meta.get_field("status").choices or ()),
    **dict(PaymentException._meta.get_field("resolution").choices or ()),
    **dict(REASON_CHOICES),
    "LOCK": _("Lock"),
    "UNLOCK": _("Unlock"),
    "DRAFT": _("Draft"),
    "PUBLISHED": _("Published"),
    "WITHDRAWN": _("Withdrawn"),
    "VERIFIED": _("Verified"),
    "RETIRED": _("Retired"),
}
"""Words of the codes that facts in `CODED` are recorded with."""


def kind_word(kind: str, command: str = "") -> str:
    """What happened; `command` is LOCK or UNLOCK for events of commands. An unknown kind speaks for itself."""
    known = WORDS.get(kind)
    return str(known) if known else command_event_word(kind, command) or event_word(kind)


def why_word(why: str) -> str:
    """Why it happened; empty where nobody said."""
    return reason_word(why) if why else ""


def field_word(name: str) -> str:
    """A fact's name."""
    return str(FIELDS.get(name) or name.replace("_", " "))


def value_word(name: str, value: str) -> str:
    """A code of ours as people call it."""
    if name == "state":
        return state_word(value)
    return str(CODES.get(value, value)) if name in CODED else value


def in_group(group: str) -> Q:
    """Events of that group. What isn't born in bulk names it so, for an index covers just these rows."""
    kinds = Q()
    for prefix in GROUPS[group][1]:
        kinds |= Q(kind__startswith=prefix)
    return kinds & NOT_IN_BULK if group not in {"service", "command", "device"} else kinds


NOT_IN_BULK = ~Q(kind__startswith="device") & ~Q(kind__startswith="command.")
