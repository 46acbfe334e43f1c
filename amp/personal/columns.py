"""Every column of text, and whether it may hold personal data: one place, which a test holds against the database (X6).

A new column fails the build until it is declared here. An erasure rewrites the columns of `PERSONAL`, an export
reads them.
"""

from __future__ import annotations

PERSONAL: dict[str, str] = {
    "foundation.User": "email full_name",
    "foundation.ApiKey": "name",
    "foundation.Event": "actor before after why",
    "foundation.Invitation": "email full_name send_failure",
    "foundation.SweepRun": "failed_because",
    "foundation.AlarmRow": "subject problem",
    "foundation.SavedView": "name query",
    "foundation.Erasure": "asked_by",
    "admin.LogEntry": "object_repr change_message",
    "axes.AccessFailureLog": "user_agent ip_address username http_accept path_info",
    "axes.AccessAttempt": "user_agent ip_address username http_accept path_info get_data post_data",
    "axes.AccessLog": "user_agent ip_address username http_accept path_info",
    "catalog.ThingModel": "created_by",
    "catalog.Plan": "created_by",
    "catalog.ServiceRule": "created_by",
    "devices.Device": "name",
    "devices.LockHold": "decided_by",
    "devices.Import": "file_name why problem created_by confirmed_by secrets_taken_by",
    "devices.ImportRow": "values problems",
    "devices.Validity": "set_by",
    "billing.MerchantAccount": "drafted_by",
    "billing.Order": "created_by",
    "billing.PaymentAttempt": "payer_id payer_ip code problem",
    "billing.PaymentException": "facts resolved_by resolution_reason",
    "billing.Bill": "file_name uploaded_by",
    "billing.BillRow": "detail",
    "billing.FapiaoRequest": "title tax_number email requested_by reason decided_by",
    "billing.Refund": "reason requested_by approved_by problem",
    "billing.RenewalSelection": "file_name",
    "billing.BankReceipt": "reference recorded_by confirmed_by rejected_by",
    "billing.BankPayout": "reference recorded_by confirmed_by rejected_by rejection",
    "alerts.DigestMail": "problem",
    "alerts.Webhook": "name created_by",
    "alerts.WebhookDelivery": "response_excerpt problem",
    "alerts.WebhookAttempt": "problem",
}
"""Table → columns that name a person, or that people and gateways fill with words."""

OWN: dict[str, str] = {
    "foundation.User": "email full_name",
    "foundation.Invitation": "email full_name",
    "billing.FapiaoRequest": "email title tax_number",
}
"""Columns that tell whose the row is: two people may have one name, so only the person's own rows change there."""

NOT_PERSONAL: dict[str, str] = {
    "foundation.Enterprise": "name path time_zone currency",
    "foundation.Merchant": "name merchant_id status",  # a legal person
    "foundation.User": "password language",
    "foundation.Membership": "role",
    "foundation.ApiKey": "prefix key_hash scopes",
    "foundation.Event": "kind subject",
    "foundation.Figure": "name bucket",
    "foundation.Tally": "group",
    "foundation.IdempotencyRecord": "method path key body_hash answer",  # sealed, and gone after a day
    "foundation.Invitation": "role language token_hash",
    "foundation.SweepRun": "name recent task",
    "foundation.AlarmRow": "key kind told",
    "foundation.Retention": "name",
    "foundation.SavedView": "list_name",
    "foundation.Erasure": "pseudonym sealed_traces",  # sealed, and emptied at the end of the erasure
    "admin.LogEntry": "object_id",
    "auth.Permission": "name codename",
    "auth.Group": "name",
    "contenttypes.ContentType": "app_label model",
    "sessions.Session": "session_key session_data",  # the number of a user
    "django_celery_beat.SolarSchedule": "event",
    "django_celery_beat.IntervalSchedule": "period",
    "django_celery_beat.CrontabSchedule": "minute hour day_of_month month_of_year day_of_week",
    "django_celery_beat.PeriodicTask": "name task args kwargs queue exchange routing_key headers description",
    "otp_totp.TOTPDevice": "name key",
    "otp_static.StaticDevice": "name",
    "otp_static.StaticToken": "token",
    "axes.AccessLog": "session_hash",
    "catalog.Product": "name key description",
    "catalog.ThingModel": "document",
    "catalog.ServiceLevel": "name",
    "catalog.Plan": "name plan_type currency status",
    "catalog.ServiceRule": "lock_action unlock_action",
    "devices.Device": "key serial iccid credential_hash",
    "devices.PublicToken": "digest",
    "devices.LockCount": "minutes",
    "devices.LockHold": "reason status",
    "devices.Command": "slot kind values status problem",
    "devices.Disconnect": "client_id status problem",
    "devices.Import": "kind state mode file_digest columns left_out",
    "devices.ImportRow": "status secret",
    "devices.Presence": "session",
    "devices.PresenceSession": "session",
    "devices.Bridge": "name last_dropped",
    "devices.DeviceService": "state desired_lock reported_lock",
    "devices.Period": "kind plan_name source",
    "devices.EarlyEnd": "source",
    "devices.StuckService": "problem",
    "devices.Validity": "kind",
    "billing.MerchantAccount": "provider sealed_secret sealed_draft ways",
    "billing.SandboxTrade": "number transaction_id second_transaction_id currency subject notify_url status "
    "refund_trouble",
    "billing.SandboxRefund": "number status",
    "billing.Order": "number kind channel status merchant_name plan_name currency left_out once_key",
    "billing.OrderLine": "status reason",
    "billing.PaymentAttempt": "provider number currency status way code_form transaction_id paid_currency"
    " sealed_return_path",
    "billing.PaymentException": "kind currency resolution",
    "billing.Bill": "digest",
    "billing.BillRow": "kind merchant_id number transaction_id currency result",
    "billing.BillFetch": "status problem detail",
    "billing.FapiaoRequest": "status currency number",
    "billing.MoneyEntry": "kind taken_from currency source",
    "billing.PaymentLink": "digest sealed_token sealed_return_path",
    "billing.Refund": "number currency effect status once_key once_content",
    "billing.RenewalSelection": "source",
    "billing.SelectedDevice": "key product_key problem",
    "billing.BankReceipt": "number currency",
    "billing.BankPayout": "number refund_number",
    "alerts.Notice": "service channel status reason detail",
    "alerts.Watch": "service",
    "alerts.DigestMail": "counts status",
    "alerts.InboxEntry": "service",
    "alerts.Webhook": "url types state state_why secret old_secret",
    "alerts.WebhookDelivery": "type status",
}
"""Table → columns of codes, keys, hashes, sealed secrets, and names of things."""

BESIDE: dict[str, str] = {
    "foundation.User": "created_at is_active last_login language",
    "foundation.Event": "kind subject happened_at",
    "foundation.Invitation": "role created_at accepted_at",
    "foundation.ApiKey": "prefix created_at expires_at revoked_at",
    "axes.AccessAttempt": "attempt_time",
    "billing.Order": "number status total currency created_at paid_at",
    "billing.PaymentAttempt": "number provider status amount currency created_at",
    "billing.FapiaoRequest": "number status amount currency requested_at",
    "billing.Refund": "number status amount currency created_at",
}
"""What an export tells beside the personal columns of a row, so that it means something."""
