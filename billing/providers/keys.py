"""RSA keys and certificates as people paste them, turned into the one wrapping that the SDKs read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

MIN_BITS = 2048
BROKEN = (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error)


class KeyRefused(Exception):
    """The text is no such key; the argument names the flaw, never the text."""


def private_pem(text: str) -> str:
    """An RSA private key as PKCS#8 PEM: the only kind that wechatpayv3 reads. Raises KeyRefused."""
    try:
        key = load_pem_private_key(text.encode(), None) if _is_pem(text) else load_der_private_key(_der(text), None)
    except BROKEN:
        raise KeyRefused("not_a_private_key") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_BITS:
        raise KeyRefused("not_a_private_key")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(text: str) -> str:
    """An RSA public key as SPKI PEM, also out of a certificate. Raises KeyRefused."""
    try:
        if "BEGIN CERTIFICATE" in text:
            return _spki(x509.load_pem_x509_certificate(text.encode()).public_key())
        return _spki(load_pem_public_key(text.encode()) if _is_pem(text) else load_der_public_key(_der(text)))
    except BROKEN:
        raise KeyRefused("not_a_public_key") from None


def certificates_of(text: str) -> Iterator[tuple[str, str]]:
    """(serial, PEM public key) of each certificate in `text`. Raises KeyRefused."""
    try:
        for certificate in x509.load_pem_x509_certificates(text.encode()):
            yield serial_key(f"{certificate.serial_number:X}"), _spki(certificate.public_key())
    except BROKEN:
        raise KeyRefused("not_a_certificate") from None


def serial_key(serial: str) -> str:
    """A serial for comparing: hexadecimal in capitals without leading zeros; other names as they are."""
    return serial.strip().upper().lstrip("0")


def loaded_private(pem: str) -> RSAPrivateKey:
    """A key that `private_pem` has checked. Checking it again takes 40 ms, and so would each call to a gateway."""
    key = load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, RSAPrivateKey)  # noqa: S101, nothing else was ever sealed
    return key


def is_pair(private: str, public: str) -> bool:
    """Whether the two PEM keys belong together: then somebody pasted the own public key for the gateway's."""
    own = loaded_private(private).public_key()
    return own == load_pem_public_key(public.encode())


def _spki(key: object) -> str:
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_BITS:
        raise KeyRefused("not_a_public_key")
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _is_pem(text: str) -> bool:
    return "-----BEGIN" in text


def _der(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)
