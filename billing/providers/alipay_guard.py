"""python-alipay-sdk with its dangerous parts taken out.

Left of the SDK are parameters and RSA2. Replaced are its transport and its reading of answers, since by itself it

- finds the signed part of an answer by counting braces, also those within texts: a `}` in a subject breaks it;
- dates requests by the machine's local time, where Alipay wants Beijing's;
- names a product that doesn't exist in the link for phones (`billing.providers.alipay` names the right one);
- waits 15 s, follows redirects, and sends everything in the URL, token and signature included, which logs keep;
- puts the gateway's raw answer into its exceptions: about a bad signature, that holds all that was signed, also tokens;
- crashes on answers that are no JSON object, takes the last of two equal fields of a notice, and removes fields from
  the notice that it is given;
- configures logging anew as soon as it is imported, and switches off the handlers that are there.
"""

from __future__ import annotations

import binascii
import json
import logging.config
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl

from Cryptodome.PublicKey import RSA

from billing.providers.account_secrets import AlipaySecret
from billing.providers.calling import call
from billing.providers.keys import loaded_private
from billing.providers.protocol import GatewayRefused, GatewayTimeout


@contextmanager
def _logging_as_it_is() -> Iterator[None]:
    """While the SDK is imported: it calls `dictConfig`, which forgets every handler of the process."""
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None
    try:
        yield
    finally:
        logging.config.dictConfig = configure


with _logging_as_it_is():
    from alipay import AliPay

BEIJING = timezone(timedelta(hours=8))
MAX_FIELDS = 100
OK = "10000"
NO_BILL = "isp.bill_not_exist"
CLEAR = {NO_BILL}
"""Words of Alipay's own side that are an answer all the same."""
TRADE_CODE = re.compile(r"ACQ\.[A-Z_]{1,64}")
CODE = re.compile(r"[A-Za-z0-9._-]{1,80}")


class SignatureRefused(Exception):
    """Not signed by Alipay for this account."""


class Refusal(GatewayRefused):
    """Alipay said no; `code` is its word for why, such as ACQ.TRADE_NOT_EXIST."""

    def __init__(self, told: dict[str, Any]) -> None:
        code = str(told.get("sub_code") or told.get("code") or "")
        self.code = code if CODE.fullmatch(code) else "unknown"
        # Only what it says of trades is repeated: of signatures and tokens it says too much.
        message = str(told.get("sub_msg") or "")[:100] if TRADE_CODE.fullmatch(code) else ""
        super().__init__(f"Alipay refused: {self.code}{': ' if message else ''}{message}")


class GuardedAliPay(AliPay):
    """The SDK of one account at one moment; `wall` dates what it signs."""

    def __init__(self, secret: AlipaySecret, *, gateway_url: str, wall: datetime) -> None:
        super().__init__(
            appid=secret.app_id,
            app_private_key_string=secret.private_key,
            alipay_public_key_string=secret.alipay_public_key,
            sign_type="RSA2",
        )
        self._gateway = gateway_url
        self._token = secret.app_auth_token
        self._wall = wall

    def _load_key(self) -> None:
        """The SDK's own way checks the whole key each time, which takes longer than the call."""
        own = loaded_private(self._app_private_key_string).private_numbers()
        parts = (own.public_numbers.n, own.public_numbers.e, own.d, own.p, own.q)
        self._app_private_key = RSA.construct(parts, consistency_check=False)
        self._alipay_public_key = RSA.import_key(self._alipay_public_key_string)

    def build_body(self, method: str, biz_content: Any = None, **kwargs: Any) -> dict[str, Any]:
        """The SDK's parameters, on Beijing time, and for the merchant who let the application act for it."""
        body: dict[str, Any] = super().build_body(method, biz_content, **kwargs)
        body["timestamp"] = f"{self._wall.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"
        return body | ({"app_auth_token": self._token} if self._token else {})

    def verified_sync_response(self, data: dict[str, Any], response_type: str) -> dict[str, Any]:
        """The signed content of a success. Raises Refusal for a clear no, GatewayTimeout where nobody knows."""
        answer = call(
            "POST",
            self._gateway,
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8", "User-Agent": "amp"},
            body=self.sign_data(data).encode(),
        )
        if answer.status != 200:
            raise GatewayTimeout(f"Alipay could not answer (HTTP {answer.status}).")
        try:
            return self._content(answer.body.decode(), response_type)
        except (ValueError, TypeError, RecursionError):
            raise GatewayTimeout("Alipay's answer is not JSON, or lacks its content.") from None

    def notice(self, body: bytes) -> dict[str, str]:
        """The fields of a notice, verified. Raises SignatureRefused."""
        try:
            pairs = parse_qsl(
                body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS
            )
        except ValueError:
            raise SignatureRefused("The notice is not a form.") from None
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise SignatureRefused("The notice names a field twice.")
        if fields.pop("sign_type", "") != "RSA2":
            raise SignatureRefused("The signature is of another scheme.")
        signature = fields.pop("sign", "")
        if not self._is_signed("&".join(f"{name}={value}" for name, value in sorted(fields.items())), signature):
            raise SignatureRefused("The signature does not match.")
        return fields

    def _content(self, text: str, response_type: str) -> dict[str, Any]:
        parts = members(text)
        content = json.loads(parts.get(response_type) or parts.get("error_response") or "")
        if not isinstance(content, dict):
            raise TypeError
        if response_type not in parts or "sign" not in parts:
            raise _unsigned(content)
        if not self._is_signed(parts[response_type], str(json.loads(parts["sign"]))):
            raise GatewayTimeout("Alipay's answer is not signed by it.")
        if content.get("code") == OK:
            return content
        raise _refusal(content)

    def _is_signed(self, message: str, signature: str) -> bool:
        try:
            b64decode(signature, validate=True)
            return bool(self._verify(message, signature))
        except (binascii.Error, ValueError):
            return False


def members(text: str) -> dict[str, str]:
    """Each member of a JSON object as it was written, byte for byte: what a signature covers.

    Raises ValueError for anything but one object whose names differ.
    """
    decoder, found, at = json.JSONDecoder(), {}, _after(text, 0, "{")
    while True:
        name, at = decoder.raw_decode(text, _after(text, at, ""))
        start = _after(text, at, ":")
        _value, at = decoder.raw_decode(text, start)
        if not isinstance(name, str) or name in found:
            raise ValueError("not the name of a member")
        found[name] = text[start:at]
        at = _after(text, at, "")
        if text[at : at + 1] != ",":
            break
        at += 1
    if text[at:].strip() != "}":
        raise ValueError("not one object")
    return found


def _after(text: str, at: int, sign: str) -> int:
    """The place of the next word after blanks, `sign`, and blanks."""
    while text[at : at + 1].isspace():
        at += 1
    if not text.startswith(sign, at):
        raise ValueError(f"no {sign}")
    at += len(sign)
    while text[at : at + 1].isspace():
        at += 1
    return at


def _refusal(content: dict[str, Any]) -> Exception:
    """A clear no, or GatewayTimeout for what Alipay itself doesn't know."""
    refusal = Refusal(content)
    is_unsure = refusal.code.endswith("SYSTEM_ERROR") or refusal.code.startswith(("isp.", "aop."))
    is_unsure = is_unsure and refusal.code not in CLEAR
    if content.get("code") == "20000" or is_unsure or not str(content.get("code", "")).startswith(("2", "4")):
        return GatewayTimeout(f"Alipay could not answer ({refusal.code}).")
    return refusal


def _unsigned(content: dict[str, Any]) -> Exception:
    """Only a complaint about our own configuration comes without a signature; of trades it says nothing."""
    if str(content.get("sub_code", "")).startswith("isv."):
        return Refusal(content)
    return GatewayTimeout("Alipay's answer is not signed.")
