"""The sandbox gateway's wire: JSON bodies, HMAC-SHA256 over raw bytes, one purpose per signature.

A signature covers purpose, account, timestamp, nonce and the body as it was sent. The purpose keeps a pay link from
being shown as a notice, and an answer from being shown to another question. Timestamps are real time, ±300 s (F28).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

WINDOW_SECONDS = 300
PREFIX = "X-Sandbox-"
NONCE = re.compile(r"[0-9a-f]{32}")
TIMESTAMP = re.compile(r"[0-9]{1,12}")
LINK_SIGNATURE_BYTES = 16
"""128 bits are beyond guessing and keep the QR code small."""


class SignatureRefused(Exception):
    """Not signed by the account's secret for this purpose, or outside the ±300 s."""


class Ticket(NamedTuple):
    """What a pay link says. `account` is a public id as 32 hex digits, `amount` minor units."""

    account: str
    number: str
    amount: int
    currency: str
    subject: str
    return_path: str
    expires_at: datetime


def signed_headers(secret: bytes, *, purpose: str, account: str, body: bytes, wall: datetime) -> dict[str, str]:
    """Headers that go with `body`; each call has a nonce of its own."""
    timestamp, nonce = str(int(wall.timestamp())), secrets.token_hex(16)
    return {
        f"{PREFIX}Account": account,
        f"{PREFIX}Timestamp": timestamp,
        f"{PREFIX}Nonce": nonce,
        f"{PREFIX}Signature": _mac(secret, purpose, account, timestamp, nonce, body).hex(),
    }


def check_headers(
    secret: bytes, headers: Mapping[str, str], *, purpose: str, account: str, body: bytes, wall: datetime
) -> None:
    """Raise SignatureRefused unless the headers sign exactly `body` for `purpose` and `account`, now.

    The signature is compared before anything else is believed, in constant time.
    """
    timestamp, nonce = headers.get(f"{PREFIX}Timestamp", ""), headers.get(f"{PREFIX}Nonce", "")
    try:
        given = bytes.fromhex(headers.get(f"{PREFIX}Signature", ""))
    except ValueError:
        raise SignatureRefused("The signature is not hexadecimal.") from None
    if not hmac.compare_digest(given, _mac(secret, purpose, account, timestamp, nonce, body)):
        raise SignatureRefused("The signature does not match.")
    if headers.get(f"{PREFIX}Account", "") != account or not NONCE.fullmatch(nonce):
        raise SignatureRefused("The account or the nonce does not match.")
    if not TIMESTAMP.fullmatch(timestamp) or abs(int(timestamp) - wall.timestamp()) > WINDOW_SECONDS:
        raise SignatureRefused("The timestamp is outside the window.")


def write_ticket(secret: bytes, ticket: Ticket) -> str:
    """The last part of a pay link: what is to be paid, then its signature. The same ticket gives the same text."""
    body = dump([*ticket[:-1], int(ticket.expires_at.timestamp())])
    return f"{_text(body)}.{_text(_link_mac(secret, ticket.account, body))}"


def claimed_account(written: str) -> str:
    """The account that a pay link names, not yet verified. Raises SignatureRefused."""
    return _ticket(_parts(written)[0]).account


def read_ticket(secret: bytes, written: str) -> Ticket:
    """What a pay link says, verified. Raises SignatureRefused."""
    body, given = _parts(written)
    ticket = _ticket(body)
    if not hmac.compare_digest(given, _link_mac(secret, ticket.account, body)):
        raise SignatureRefused("The signature does not match.")
    return ticket


def dump(content: Any) -> bytes:
    """JSON as it is signed and sent."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()


def load(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises SignatureRefused for anything else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise SignatureRefused("The body is not JSON.") from None
    if not isinstance(content, dict):
        raise SignatureRefused("The body is not a JSON object.")
    return content


def _mac(secret: bytes, purpose: str, account: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    head = "\n".join([purpose, account, timestamp, nonce, ""]).encode()
    return hmac.new(secret, head + body, hashlib.sha256).digest()


def _link_mac(secret: bytes, account: str, body: bytes) -> bytes:
    return _mac(secret, "link", account, "", "", body)[:LINK_SIGNATURE_BYTES]


def _parts(written: str) -> tuple[bytes, bytes]:
    body, point, signature = written.partition(".")
    try:
        if not point or len(written) > 2_000:
            raise ValueError
        return _bytes(body), _bytes(signature)
    except (ValueError, binascii.Error):
        raise SignatureRefused("This is not a pay link.") from None


def _ticket(body: bytes) -> Ticket:
    try:
        account, number, amount, currency, subject, return_path, expires = json.loads(body)
        return Ticket(
            str(account),
            str(number),
            int(amount),
            str(currency),
            str(subject),
            str(return_path),
            datetime.fromtimestamp(int(expires), UTC),
        )
    except (ValueError, TypeError, OverflowError, OSError, RecursionError):
        raise SignatureRefused("This is not a pay link.") from None


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
