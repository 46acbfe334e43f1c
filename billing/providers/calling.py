"""One HTTPS call to a gateway: short, to the address that was meant, and with an answer of bounded size.

The SDKs' own transports are bypassed by their guards: they follow redirects, wait for ever or 15 s, and let a `.netrc`
on the machine replace the signature that they have just made.
"""

from __future__ import annotations

import time
from typing import NamedTuple
from urllib.parse import urlsplit

import requests

from billing.providers.protocol import GatewayRefused, GatewayTimeout

CONNECT_SECONDS = 3
READ_SECONDS = 3
DEADLINE_SECONDS = 6
"""For the whole answer: a gateway that sends one byte a second is silent too."""
MAX_ANSWER = 256 * 1024
FILE_SECONDS = 60
"""For a file that is downloaded whole."""
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Answer(NamedTuple):
    """What came back, as it was sent."""

    status: int
    headers: requests.structures.CaseInsensitiveDict[str]
    body: bytes


def call(
    method: str,
    url: str,
    *,
    headers: dict[str, str],
    body: bytes | None,
    most: int | None = None,
    seconds: float | None = None,
) -> Answer:
    """The gateway's answer, of at most `most` bytes (256 KB) within `seconds` (6).

    Raises GatewayTimeout where there is none, GatewayRefused for an address not to be called.

    Neither message nor cause holds the URL or the body: they carry tokens and signatures.
    """
    check_address(url)
    deadline = time.monotonic() + (seconds or DEADLINE_SECONDS)
    try:
        with requests.request(
            method,
            url,
            data=body,
            headers=headers,
            auth=_as_it_is,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            allow_redirects=False,
            stream=True,
        ) as answer:
            return Answer(answer.status_code, answer.headers, _read(answer, deadline, most or MAX_ANSWER))
    except requests.RequestException as lost:
        raise GatewayTimeout(f"The gateway did not answer ({type(lost).__name__}).") from None


def check_address(url: str) -> None:
    """Raise GatewayRefused for anything but https, or a simulator on this machine (F87)."""
    address = urlsplit(url)
    if address.scheme != "https" and not (address.scheme == "http" and address.hostname in LOOPBACK):
        raise GatewayRefused("The gateway's address is not https.")


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Without an `auth`, requests would look for a password in `.netrc` and put it over our signature."""
    return request


def _read(answer: requests.Response, deadline: float, most: int) -> bytes:
    body = bytearray()
    for piece in answer.iter_content(16 * 1024):
        body += piece
        if len(body) > most or time.monotonic() > deadline:
            raise GatewayTimeout("The gateway's answer is too long or too slow.")
    return bytes(body)
