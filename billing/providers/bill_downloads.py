"""Files that gateways offer for download: from their own addresses only, unpacked within bounds (F87, F92)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from billing.bill_files import MAX_BYTES
from billing.providers.protocol import GatewayTimeout

WECHAT = ("https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com")
GZIP = 31
"""zlib's word for: with the head and the end of a gzip file."""


def is_below(url: str, base: str) -> bool:
    """Whether `url` leads to the host of `base`, and there below its path; whatever a URL can hide.

    >>> is_below("https://pay.example.evil.com/v3/file", "https://pay.example/v3/")
    False
    """
    found, wanted = urlsplit(url), urlsplit(base)
    same = (found.scheme, found.netloc) == (wanted.scheme, wanted.netloc)
    return same and found.path.startswith(wanted.path) and ".." not in found.path


def unpacked(packed: bytes) -> bytes:
    """The content of a gzip file, one byte more than is read of a bill at most. Raises GatewayTimeout.

    What isn't packed is handed back as it is; a few bytes that unpack to gigabytes cost no more than a large bill.
    """
    if not packed.startswith(b"\x1f\x8b"):
        return packed
    machine = zlib.decompressobj(GZIP)
    try:
        content = machine.decompress(packed, MAX_BYTES + 1)
    except zlib.error:
        raise GatewayTimeout("The bill can't be unpacked.") from None
    if not machine.eof and len(content) <= MAX_BYTES:
        raise GatewayTimeout("The bill was cut off.")
    return content


def wechat_address(told: Mapping[str, Any], gateway: str) -> str:
    """Where the bill is, at the host that we call anyway: WeChat Pay has two, and names either.

    Raises GatewayTimeout for anything else: our signature would go there (F87).
    """
    url = str(told.get("download_url", ""))
    hosts = (gateway, *WECHAT)
    if told.get("hash_type") != "SHA1" or not any(is_below(url, f"{host}/v3/billdownload/") for host in hosts):
        raise GatewayTimeout("WeChat Pay's answer names no bill.")
    found = urlsplit(url)
    return f"{gateway}{found.path}?{found.query}"
