"""What an account at a real gateway consists of: parsed, checked field by field, and written as JSON to be sealed.

`fields` lists what a write-only form asks for, `parse` takes such a form's texts, `load` what `dump` wrote. Keys may be
pasted in any usual wrapping (PEM of either kind, or bare base64) and are kept in the one that the SDKs read.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple, Self

from billing.providers.keys import (
    KeyRefused,
    certificates_of,
    is_pair,
    private_pem,
    public_pem,
    serial_key,
)


class Flaw(StrEnum):
    """What is wrong with a field."""

    MISSING = "missing"
    UNKNOWN_FIELD = "unknown_field"
    NOT_DIGITS = "not_digits"
    NOT_A_WORD = "not_a_word"
    NOT_32_CHARACTERS = "not_32_characters"
    NOT_32_HEX = "not_32_hex"
    NOT_A_PRIVATE_KEY = "not_a_private_key"
    NOT_A_PUBLIC_KEY = "not_a_public_key"
    NOT_A_CERTIFICATE = "not_a_certificate"
    OWN_PUBLIC_KEY = "own_public_key"
    NO_VERIFYING_KEY = "no_verifying_key"


class SecretRefused(Exception):
    """Each field that is wrong, with its flaw; no value of any field."""

    def __init__(self, flaws: Mapping[str, Flaw]) -> None:
        super().__init__("; ".join(f"{name}: {flaw.value}" for name, flaw in flaws.items()))
        self.flaws = dict(flaws)


class Field(NamedTuple):
    """One input of the form. All are write-only; `is_long` asks for several lines."""

    name: str
    is_required: bool
    is_long: bool = False
    is_partner: bool = False
    """Belongs to partner mode alone: a service provider's keys, the enterprise's own number."""


DIGITS, WORD, TEXT_32 = re.compile(r"[0-9]{4,32}"), re.compile(r"[!-~]{1,256}"), re.compile(r"[!-~]{32}")
HEX_32 = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True, repr=False)
class AccountSecret(ABC):
    """What both gateways' secrets share. A repr names the class and nothing else."""

    fields: ClassVar[tuple[Field, ...]] = ()

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Self:
        """The secret that a form's texts make. Raises SecretRefused with all that is wrong."""
        texts = {name: str(value).strip() for name, value in given.items()}
        known = {field.name for field in cls.fields}
        flaws = dict.fromkeys(texts.keys() - known, Flaw.UNKNOWN_FIELD)
        required = (field.name for field in cls.fields if field.is_required)
        flaws |= {name: Flaw.MISSING for name in required if not texts.get(name)}
        values = {name: texts.get(name, "") for name in sorted(known)}
        for name in [name for name in known if values[name]]:
            try:
                values[name] = cls._checked(name, values[name])
            except KeyRefused as refused:
                flaws[name] = Flaw(refused.args[0])
        if not flaws:
            flaws |= dict(cls._at_odds(values))
        if flaws:
            raise SecretRefused(flaws)
        return cls(**values)

    @classmethod
    def load(cls, raw: bytes) -> Self:
        """What `dump` wrote, and so was checked before."""
        return cls(**json.loads(raw))

    def dump(self) -> bytes:
        """JSON, to be sealed."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @classmethod
    @abstractmethod
    def _checked(cls, name: str, text: str) -> str:
        """The text of one field as it is kept. Raises KeyRefused with its flaw."""

    @classmethod
    def _at_odds(cls, values: Mapping[str, str]) -> Iterator[tuple[str, Flaw]]:
        """Flaws of fields that are right each by itself."""
        yield from ()


@dataclass(frozen=True, slots=True, repr=False)
class WeChatSecret(AccountSecret):
    """A merchant's account at WeChat Pay (APIv3). With `sub_mchid` it is one under a service provider: partner mode.

    WeChat Pay signs with its public key (`public_key_id`, `public_key`) or with platform certificates that it replaces
    every five years; several certificates may stand one after the other, so that the next is known before it is used.
    `app_secret` belongs to the application in which payers are known, `payers_app`; without it nobody's openid can be
    asked, and nobody pays inside WeChat.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("mchid", True),
        Field("appid", True),
        Field("certificate_serial", True),
        Field("private_key", True, is_long=True),
        Field("apiv3_key", True),
        Field("app_secret", False),
        Field("public_key_id", False),
        Field("public_key", False, is_long=True),
        Field("platform_certificates", False, is_long=True),
        Field("sub_mchid", False, is_partner=True),
        Field("sub_appid", False, is_partner=True),
    )
    mchid: str
    appid: str
    certificate_serial: str
    private_key: str
    apiv3_key: str
    public_key_id: str
    public_key: str
    platform_certificates: str
    sub_mchid: str
    sub_appid: str
    app_secret: str = ""

    @property
    def payers_app(self) -> str:
        """The application by which payers are known: the enterprise's own, where it has one under the provider."""
        return self.sub_appid or self.appid

    @property
    def is_partner(self) -> bool:
        """Whether a service provider's keys are used for the merchant `sub_mchid`."""
        return bool(self.sub_mchid)

    def verifying_keys(self) -> dict[str, str]:
        """PEM public keys by the serial that WeChat Pay names beside a signature (`keys.serial_key`)."""
        known = dict(certificates_of(self.platform_certificates)) if self.platform_certificates else {}
        if self.public_key:
            known = {serial_key(self.public_key_id): self.public_key} | known
        return known

    @classmethod
    def _checked(cls, name: str, text: str) -> str:
        match name:
            case "private_key":
                return private_pem(text)
            case "public_key":
                return public_pem(text)
            case "platform_certificates":
                list(certificates_of(text))
                return text
            case "mchid" | "sub_mchid":
                return _matching(text, DIGITS, Flaw.NOT_DIGITS)
            case "apiv3_key":
                return _matching(text, TEXT_32, Flaw.NOT_32_CHARACTERS)
            case "app_secret":
                return _matching(text, HEX_32, Flaw.NOT_32_HEX)
        return _matching(text, WORD, Flaw.NOT_A_WORD)

    @classmethod
    def _at_odds(cls, values: Mapping[str, str]) -> Iterator[tuple[str, Flaw]]:
        if bool(values["public_key"]) != bool(values["public_key_id"]):
            yield "public_key" if values["public_key_id"] else "public_key_id", Flaw.MISSING
        elif not values["public_key"] and not values["platform_certificates"]:
            yield "public_key", Flaw.NO_VERIFYING_KEY
        if values["public_key"] and is_pair(values["private_key"], values["public_key"]):
            yield "public_key", Flaw.OWN_PUBLIC_KEY
        if values["sub_appid"] and not values["sub_mchid"]:
            yield "sub_mchid", Flaw.MISSING


@dataclass(frozen=True, slots=True, repr=False)
class AlipaySecret(AccountSecret):
    """A merchant's account at Alipay (RSA2 with public keys). `seller_id` is the number, 2088…, that is paid.

    Partner mode: a service provider's application acts for the merchant by `app_auth_token`, or for its sub-merchant
    `smid`.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("app_id", True),
        Field("seller_id", True),
        Field("private_key", True, is_long=True),
        Field("alipay_public_key", True, is_long=True),
        Field("app_auth_token", False, is_partner=True),
        Field("smid", False, is_partner=True),
        Field("service_provider_id", False, is_partner=True),
    )
    app_id: str
    seller_id: str
    private_key: str
    alipay_public_key: str
    app_auth_token: str
    smid: str
    service_provider_id: str

    @classmethod
    def _checked(cls, name: str, text: str) -> str:
        match name:
            case "private_key":
                return private_pem(text)
            case "alipay_public_key":
                return public_pem(text)
            case "app_auth_token":
                return _matching(text, WORD, Flaw.NOT_A_WORD)
        return _matching(text, DIGITS, Flaw.NOT_DIGITS)

    @classmethod
    def _at_odds(cls, values: Mapping[str, str]) -> Iterator[tuple[str, Flaw]]:
        if is_pair(values["private_key"], values["alipay_public_key"]):
            yield "alipay_public_key", Flaw.OWN_PUBLIC_KEY


def _matching(text: str, pattern: re.Pattern[str], flaw: Flaw) -> str:
    if not pattern.fullmatch(text):
        raise KeyRefused(flaw.value)
    return text
