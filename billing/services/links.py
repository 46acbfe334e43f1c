"""Links to the pay page of one order: made when somebody wants to pay, found by their token, dead with the order."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation.scoping import system_scope
from amp.foundation.sealed import seal, unseal
from billing.models import Order, OrderStatus, PaymentLink
from billing.services.ordering import OrderRefused

TOKEN_BYTES = 24
"""192 random bits: more than the 128 that ASVS 11.5.1 asks for, and a QR code with large modules."""
AFTERWARDS = timedelta(days=1)
"""A payer who comes back within a day still finds that the payment has arrived."""


@transaction.atomic
def link_to(*, order: Order, now: datetime, return_path: str = "") -> str:
    """The token of the order's link for payers who go to `return_path` afterwards; made where there is none.

    Raises OrderRefused unless the order waits for payment.
    """
    with system_scope():
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        if locked.status != OrderStatus.PENDING.value or locked.expires_at <= now or not locked.total:
            raise OrderRefused.because(_("This order no longer waits for payment. Reload the page."))
        if known := _token(locked, return_path):
            return known
        token = secrets.token_urlsafe(TOKEN_BYTES)
        digest = digest_of(token)
        PaymentLink.objects.create(
            enterprise_id=locked.enterprise_id,
            order=locked,
            digest=digest,
            sealed_token=seal(token.encode(), digest),
            sealed_return_path=seal(return_path.encode(), return_owner(digest)) if return_path else "",
            created_at=now,
        )
        return token


def token_of(order: Order, *, return_path: str = "") -> str:
    """The token of a link that was made before: what a screen shows, or one that leads to `return_path` afterwards.

    "" where nobody has asked for one. Makes nothing.
    """
    with system_scope():
        return _token(order, return_path)


def link_for_token(token: str, *, now: datetime) -> PaymentLink | None:
    """The link with its order; None where there is none, or where the order ended unpaid or was paid long ago.

    As with a device's link, the visitor has no scope: the link is the permission, for this one order.
    """
    with system_scope():
        rows = PaymentLink.objects.filter(digest=digest_of(token))
        link: PaymentLink | None = rows.select_related("order__enterprise", "order__merchant__enterprise").first()
    return link if link and _is_alive(link.order, now) else None


def return_path_of_link(link: PaymentLink) -> str:
    """Where payers go afterwards; "" where they stay on the pay page."""
    return unseal(link.sealed_return_path, return_owner(link.digest)).decode() if link.sealed_return_path else ""


def address_of_link(token: str) -> str:
    """What the QR code holds, from the configured base (F96); the page starts paying where it finds itself so."""
    return f"{settings.BASE_URL}/p/{token}#go"


def digest_of(token: str) -> str:
    """What a token is looked up by; a plain hash is enough, since the token is random and long."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def return_owner(digest: str) -> str:
    """A sealed path can't be put in the place of the token by moving a column."""
    return f"{digest}:return"


def _token(order: Order, return_path: str) -> str:
    links = PaymentLink.objects.filter(order=order).order_by("pk")
    found = next((link for link in links if return_path_of_link(link) == return_path), None)
    return unseal(found.sealed_token, found.digest).decode() if found else ""


def _is_alive(order: Order, now: datetime) -> bool:
    if order.status == OrderStatus.PENDING.value:
        return bool(order.expires_at > now)
    return order.paid_at is not None and now < order.paid_at + AFTERWARDS
