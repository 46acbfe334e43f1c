"""Secrets of merchant accounts as a form gives them: which fields there are, and each refusal beside its field."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from django.utils.translation import gettext as _

from amp.foundation.services.refusals import Problem, Refused
from billing.models import Provider
from billing.providers.account_secrets import Field, Flaw, SecretRefused
from billing.providers.registry import SECRETS


class AccountRefused(Refused):
    """The merchant can't have such an account, or has none to be paid through."""


def secret_fields(provider: Provider) -> tuple[Field, ...]:
    """What a write-only form asks for; none for the sandbox, whose secret nobody types, and for bank transfers."""
    return SECRETS[provider.value].fields if provider.value in SECRETS else ()


def secret_of(provider: Provider, typed: Mapping[str, str]) -> bytes | Mapping[str, str]:
    """The secret that a form's texts make; the sandbox's is made by itself, a bank transfer has none."""
    if provider is Provider.SANDBOX:
        return secrets.token_bytes(32)
    if provider is Provider.OFFLINE:
        return b""
    return {name: text for name, text in typed.items() if text}


def checked_secret(provider: Provider, secret: bytes | Mapping[str, str]) -> bytes:
    """The bytes to be sealed. Raises AccountRefused, which names each wrong field and none of its text."""
    if provider is Provider.OFFLINE:
        if secret:
            raise AccountRefused.because(_("Bank transfers have no secret."))
        return b""
    if provider.value not in SECRETS:
        if not isinstance(secret, bytes) or len(secret) < 32:
            raise AccountRefused.because(_("The sandbox's secret is at least 32 random bytes."))
        return secret
    if isinstance(secret, bytes):
        raise AccountRefused.because(_("This gateway's account consists of several fields."))
    try:
        return SECRETS[provider.value].parse(secret).dump()
    except SecretRefused as refused:
        flaws = refused.flaws.items()
        raise AccountRefused([Problem(name, f"{name}: {_sentence(flaw)}") for name, flaw in flaws]) from None


def _sentence(flaw: Flaw) -> str:
    return {
        Flaw.MISSING: _("Fill this in."),
        Flaw.UNKNOWN_FIELD: _("There is no such field."),
        Flaw.NOT_DIGITS: _("Give the number as the gateway shows it: digits only."),
        Flaw.NOT_A_WORD: _("Give it as the gateway shows it: letters, digits and signs without spaces."),
        Flaw.NOT_32_CHARACTERS: _("The APIv3 key has exactly 32 characters."),
        Flaw.NOT_32_HEX: _("An AppSecret has exactly 32 characters, 0 to 9 and a to f."),
        Flaw.NOT_A_PRIVATE_KEY: _("This is no RSA private key of at least 2048 bits without a passphrase."),
        Flaw.NOT_A_PUBLIC_KEY: _("This is no RSA public key of at least 2048 bits."),
        Flaw.NOT_A_CERTIFICATE: _("This is no certificate in PEM form."),
        Flaw.OWN_PUBLIC_KEY: _("This is your own public key. Paste the gateway's, which its console shows."),
        Flaw.NO_VERIFYING_KEY: _("Give WeChat Pay's public key with its id, or its platform certificates."),
    }[flaw]
