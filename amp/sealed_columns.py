"""Every column that holds sealed secrets: what a change of AMP_FIELD_KEY has to go through (X8)."""

from __future__ import annotations

from alerts.models import Webhook
from alerts.services.webhook_endpoints import owner_of as webhook_owner
from amp.foundation.models import Erasure, IdempotencyRecord
from amp.foundation.models.authenticators import Authenticator
from amp.foundation.models.authenticators import owner_of as authenticator_owner
from amp.foundation.services.idempotency import owner_of as answer_owner
from amp.foundation.services.resealing import SealedColumn
from amp.personal.erasing import owner_of as erasure_owner
from billing.models import MerchantAccount, PaymentAttempt, PaymentLink
from billing.services.account_changes import draft_owner
from billing.services.links import return_owner
from devices.models import ImportRow
from devices.services.import_work import owner_of as import_owner

SEALED_COLUMNS = (
    SealedColumn(Authenticator, "key", lambda device: authenticator_owner(device.user_id)),
    SealedColumn(Erasure, "sealed_traces", erasure_owner),
    SealedColumn(IdempotencyRecord, "answer", answer_owner),
    SealedColumn(ImportRow, "secret", lambda row: import_owner(row.job, row.line), related=("job",)),
    SealedColumn(MerchantAccount, "sealed_secret", lambda account: str(account.public_id)),
    SealedColumn(MerchantAccount, "sealed_draft", draft_owner),
    SealedColumn(PaymentLink, "sealed_token", lambda link: link.digest),
    SealedColumn(PaymentLink, "sealed_return_path", lambda link: return_owner(link.digest)),
    SealedColumn(Webhook, "secret", webhook_owner),
    SealedColumn(Webhook, "old_secret", webhook_owner),
    SealedColumn(PaymentAttempt, "sealed_return_path", lambda attempt: attempt.number),
)
