"""wechatpayv3 with its dangerous parts taken out.

Left of the SDK are paths, parameters, RSA and AES. Replaced are its transport and its trust, since by itself it

- never looks at a signature's timestamp, so that an old notice can be replayed for ever;
- downloads certificates when a signature names a serial that it doesn't know, and forgets those it had first: one
  forged notice makes us call out, and a failed download makes every true notice fail;
- verifies the text that it decoded, not the bytes that came; raises whatever on malformed headers;
- has no timeout, follows redirects, and lets a `.netrc` replace the Authorization header;
- writes headers, bodies and decrypted notices to the logger that it is given: it gets none.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.core import Core
from wechatpayv3.type import RequestType
from wechatpayv3.utils import aes_decrypt, load_public_key, rsa_sign

from billing.bill_files import MAX_BYTES
from billing.providers.account_secrets import WeChatSecret
from billing.providers.calling import FILE_SECONDS, READ_SECONDS, call
from billing.providers.keys import loaded_private, serial_key
from billing.providers.protocol import GatewayTimeout

WINDOW_SECONDS = 300
SCHEME = "WECHATPAY2-SHA256-RSA2048"
PROBE = "WECHATPAY/SIGNTEST/"
"""WeChat Pay signs wrongly on purpose now and then, to see whether we look."""
NOT_YET = ""
"""The SDK would check the whole key at each call, which takes longer than the call; ours was checked when it came."""
TIMESTAMP = re.compile(r"[0-9]{1,12}")


class SignatureRefused(Exception):
    """Not signed by WeChat Pay for this account, or not now; or not what is encrypted for it."""


def guarded_sdk(secret: WeChatSecret, *, gateway_url: str, wall: datetime) -> WeChatPay:
    """The SDK of one account at one moment, speaking through `GuardedCore`."""
    serial, pem = next(iter(secret.verifying_keys().items()))
    sdk = WeChatPay(
        wechatpay_type=WeChatPayType.NATIVE,
        mchid=secret.mchid,
        private_key=NOT_YET,
        cert_serial_no=secret.certificate_serial,
        appid=secret.appid,
        apiv3_key=secret.apiv3_key,
        partner_mode=secret.is_partner,
        timeout=READ_SECONDS,
        public_key=pem,
        public_key_id=serial,
    )
    sdk._core = GuardedCore(secret, gateway_url=gateway_url, wall=wall)
    return sdk


class GuardedCore(Core):
    """The SDK's core; `wall` dates what it signs, and judges what it verifies."""

    def __init__(self, secret: WeChatSecret, *, gateway_url: str, wall: datetime) -> None:
        self._keys = {serial: load_public_key(pem) for serial, pem in secret.verifying_keys().items()}
        serial, pem = next(iter(secret.verifying_keys().items()))
        super().__init__(
            mchid=secret.mchid,
            cert_serial_no=secret.certificate_serial,
            private_key=NOT_YET,
            apiv3_key=secret.apiv3_key,
            timeout=READ_SECONDS,
            public_key=pem,
            public_key_id=serial,
        )
        self._private_key = loaded_private(secret.private_key)
        self._gate_way = gateway_url.rstrip("/")
        self._wall = wall
        # Asks to be answered by that key. Of certificates WeChat Pay chooses the one in force by itself.
        self._wanted = {"Wechatpay-Serial": secret.public_key_id} if secret.public_key_id else {}

    def request(
        self, path: str, method: RequestType = RequestType.GET, data: Any = None, skip_verify: bool = False
    ) -> tuple[int, Any]:
        """(status, JSON object) of one call. Raises GatewayTimeout for an answer that can't be trusted.

        The SDK skips verifying for files alone, which WeChat Pay doesn't sign: then it is (status, bytes).
        """
        if skip_verify:
            return self._file(path)
        body = json.dumps(data) if data else ""
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "amp",
            "Authorization": self._authorization(method.value, path, body),
        } | self._wanted
        answer = call(method.value, self._gate_way + path, headers=headers, body=body.encode() or None)
        if 200 <= answer.status < 300:
            try:
                self._verify_signature(answer.headers, answer.body)
            except SignatureRefused as refused:
                raise GatewayTimeout(f"WeChat Pay's answer proves nothing: {refused}") from None
        return answer.status, _object(answer.body, is_needed=answer.status == 200)

    def _file(self, path: str) -> tuple[int, bytes]:
        headers = {"Accept": "*/*", "User-Agent": "amp", "Authorization": self._authorization("GET", path, "")}
        url = self._gate_way + path
        answer = call("GET", url, headers=headers, body=None, most=MAX_BYTES, seconds=FILE_SECONDS)
        return answer.status, answer.body

    def opened(self, headers: Mapping[str, str], body: bytes) -> tuple[str, dict[str, Any]]:
        """(event type, decrypted content) of a notice. Raises SignatureRefused."""
        self._verify_signature(headers, body)
        try:
            notice = json.loads(body)
            sealed = notice["resource"]
            parts = [sealed["nonce"], sealed["ciphertext"], sealed.get("associated_data") or ""]
            if sealed["algorithm"] != "AEAD_AES_256_GCM" or not all(isinstance(part, str) for part in parts):
                raise ValueError
            text = aes_decrypt(parts[0], parts[1], parts[2], self._apiv3_key)
            content = json.loads(text or "")
            if not isinstance(content, dict):
                raise TypeError
            return str(notice["event_type"]), content
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            raise SignatureRefused("The notice is not one that is encrypted for this account.") from None

    def _verify_signature(self, headers: Mapping[str, str], body: bytes) -> bool:
        """True, or SignatureRefused. The signature is checked before anything else is believed."""
        signature = headers.get("Wechatpay-Signature", "")
        stamp, nonce = headers.get("Wechatpay-Timestamp", ""), headers.get("Wechatpay-Nonce", "")
        key = self._keys.get(serial_key(headers.get("Wechatpay-Serial", "")))
        if headers.get("Wechatpay-Signature-Type", SCHEME) != SCHEME:
            raise SignatureRefused("The signature is of another scheme.")
        if key is None:
            raise SignatureRefused("The signature names a key that this account does not know.")
        if signature.startswith(PROBE):
            raise SignatureRefused("A probe: a wrong signature on purpose.")
        try:
            message = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
            key.verify(base64.b64decode(signature, validate=True), message, PKCS1v15(), SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            raise SignatureRefused("The signature does not match.") from None
        if not TIMESTAMP.fullmatch(stamp) or abs(int(stamp) - self._wall.timestamp()) > WINDOW_SECONDS:
            raise SignatureRefused("The timestamp is outside the window.")
        return True

    def _update_certificates(self) -> None:
        """Never: which keys verify is the account's own business (F29)."""

    def _authorization(self, method: str, path: str, body: str) -> str:
        stamp, nonce = str(int(self._wall.timestamp())), secrets.token_hex(16)
        signature = rsa_sign(self._private_key, f"{method}\n{path}\n{stamp}\n{nonce}\n{body}\n")
        return (
            f'{SCHEME} mchid="{self._mchid}",nonce_str="{nonce}",signature="{signature}",'
            f'timestamp="{stamp}",serial_no="{self._cert_serial_no}"'
        )


def _object(body: bytes, *, is_needed: bool) -> dict[str, Any]:
    """A JSON object; where none is needed, an empty one for anything else."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict):
        return told
    if is_needed:
        raise GatewayTimeout("WeChat Pay's answer is not JSON.")
    return {}
