"""RSA and AES-GCM as the gateways use them, made with `cryptography` alone."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID


def new_key() -> str:
    """An RSA private key of 2048 bits, PKCS#8 PEM."""
    key = generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def stranger() -> str:
    """The key of somebody who is no merchant and no gateway."""
    return new_key()


def public_of(private: str) -> str:
    """The public key, SPKI PEM."""
    spki = _private(private).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return spki.decode()


def certificate_of(private: str, *, serial: int) -> str:
    """A self-signed certificate, as a gateway's platform certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated platform")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    built = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=_private(private).public_key(),
        serial_number=serial,
        not_valid_before=start,
        not_valid_after=start + timedelta(days=36_500),
    )
    return built.sign(_private(private), SHA256()).public_bytes(Encoding.PEM).decode()


def sign(private: str, message: bytes) -> str:
    """SHA256 with RSA, base64."""
    return base64.b64encode(_private(private).sign(message, PKCS1v15(), SHA256())).decode()


def is_signed(public: str, message: bytes, signature: str) -> bool:
    """Whether the owner of the public key signed exactly this."""
    key = load_pem_public_key(public.encode())
    assert isinstance(key, RSAPublicKey)
    try:
        key.verify(base64.b64decode(signature, validate=True), message, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def seal(key: str, content: bytes, associated: str) -> dict[str, str]:
    """AEAD_AES_256_GCM as WeChat Pay encrypts what it notifies, and its certificates."""
    nonce = secrets.token_hex(6)
    sealed = AESGCM(key.encode()).encrypt(nonce.encode(), content, associated.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "nonce": nonce,
        "associated_data": associated,
        "ciphertext": base64.b64encode(sealed).decode(),
    }


@cache
def _private(pem: str) -> RSAPrivateKey:
    """Loading checks the whole key, which takes longer than everything else here."""
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    return key
