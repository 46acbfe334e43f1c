"""Secrets at rest: AES-256-GCM, bound to the row that owns them, so that a copied value opens nowhere else."""

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
    raw = base64.b64decode(sealed)
    try:
        return AESGCM(settings.FIELD_KEY).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], owner.encode())
    except InvalidTag as refused:
        raise SealBroken("The secret cannot be opened: AMP_FIELD_KEY is not the key it was sealed with.") from refused
