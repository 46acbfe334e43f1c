"""Notices of gateways: verified on their raw bytes with the key of one account, then settled (F24, F28, F29)."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings

from amp.foundation.crashing import crash_point
from amp.foundation.models import Event
from amp.foundation.services.events import EventDraft, record_event
from billing.models import MerchantAccount, PaymentAttempt, Provider
from billing.providers.protocol import Acknowledgement, NoticeRefused
from billing.services.accounts import gateway_of
from billing.services.settlement import settle

log = logging.getLogger(__name__)

MAX_EVENTS_PER_MINUTE = 60
"""Forgeries may come by the thousand; the record keeps enough of them to see an attack."""


def take_notice(
    *, provider: str, account_id: uuid.UUID, headers: Mapping[str, str], body: bytes, now: datetime, wall: datetime
) -> Acknowledgement:
    """What to answer: the gateway's success answer, or a 4xx after which nothing has changed but the security record.

    The address says whose key verifies; the payment must have been asked for with that very account, and the order be
    sold by its merchant (F29). A repeated notice gets the same success (F24). Nonces need no memory: a replay within
    the ±300 s says what is known already. Runs in the system's scope.
    """
    crash_point("notice.received")
    account = _account(provider, account_id)
    if account is None:
        return _refuse(None, 404, "unknown account", now)
    gateway = gateway_of(account)
    try:
        facts = gateway.parse_notification(headers, body, wall=wall)
    except NoticeRefused as refused:
        return _refuse(account, 401, str(refused), now)
    attempt = PaymentAttempt.objects.filter(number=facts.number).select_related("order").first()
    if attempt is None or attempt.account_id != account.pk or attempt.order.merchant_id != account.merchant_id:
        return _refuse(account, 403, "signed by an account that this payment was not asked for with", now)
    crash_point("notice.verified")
    settle(attempt_id=attempt.pk, facts=facts, now=now)
    crash_point("notice.settled")
    return gateway.ack()


def _account(provider: str, account_id: uuid.UUID) -> MerchantAccount | None:
    """TEST money renews nothing where the sandbox is switched off, even if an account is left from before."""
    if provider == Provider.SANDBOX.value and not settings.SANDBOX_ENABLED:
        return None
    named = MerchantAccount.objects.filter(public_id=account_id, provider=provider)
    return named.select_related("merchant").first()


def _refuse(account: MerchantAccount | None, status: int, why: str, now: datetime) -> Acknowledgement:
    subject = f"account:{account.pk if account else 'unknown'}"
    log.warning("A payment notice for %s was refused: %s", subject, why)
    lately = now - timedelta(minutes=1)
    recent = Event.objects.filter(subject=subject, kind="payment.refused_notice", happened_at__gt=lately)
    if recent[:MAX_EVENTS_PER_MINUTE].count() < MAX_EVENTS_PER_MINUTE:
        enterprise_id = account.enterprise_id if account else None
        draft = EventDraft("payment.refused_notice", subject, enterprise_id, now, "gateway", why)
        record_event(draft, now=now)
    return Acknowledgement(status, "text/plain; charset=utf-8", b"refused")
