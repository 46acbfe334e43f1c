"""Secrets at rest: AES-256-GCM, bound to the row that owns them, so that a copied value opens nowhere else.

What is sealed is sealed with AMP_FIELD_KEY. The keys of AMP_FIELD_KEYS_BEFORE still open what they sealed, until
everything is sealed anew (X8).
"""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

NONCE_BYTES = 12


class SealBroken(Exception):
    """The secret was sealed with another key, or for another owner."""


def seal(secret: bytes, owner: str) -> str:
    """Encrypt `secret` for `owner` (any stable name, such as an account's public id); base64 text."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(settings.FIELD_KEY).encrypt(nonce, secret, owner.encode())).decode()


def unseal(sealed: str, owner: str) -> bytes:
    """The secret again. Raises SealBroken where key or owner differ."""
    for key in (settings.FIELD_KEY, *settings.FIELD_KEYS_BEFORE):
        secret = _opened(sealed, owner, key)
        if secret is not None:
            return secret
    raise SealBroken("The secret cannot be opened: AMP_FIELD_KEY is not the key it was sealed with.")


def sealed_anew(sealed: str, owner: str) -> str | None:
    """The same secret under the key in force; None where it is already. Raises SealBroken where no key opens it."""
    return None if _opened(sealed, owner, settings.FIELD_KEY) is not None else seal(unseal(sealed, owner), owner)


def _opened(sealed: str, owner: str, key: bytes) -> bytes | None:
    raw = base64.b64decode(sealed)
    try:
        return AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], owner.encode())
    except InvalidTag:
        return None
