"""Which addresses a webhook may lead to: https, to a machine on the public internet (F87).

Both are asked twice: when an endpoint is saved, and before each connection of the very address that is connected to.
"""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

PORTS = frozenset({443, 8443})
LONGEST = 500
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

NOT_PUBLIC = [
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # a cloud's own service, behind an address that looks public
    )
]
GLOBAL_UNICAST = IPv6Network("2000::/3")
# Within it: addresses that carry another one (Teredo, 6to4), documentation, benchmarks, identifiers.
NOT_PUBLIC_6 = [
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
]
HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?", re.IGNORECASE)


class Wrong(StrEnum):
    """Why an address is refused."""

    TOO_LONG = "too_long"
    NOT_AN_ADDRESS = "not_an_address"
    NOT_HTTPS = "not_https"
    WITH_USER = "with_user"
    WITH_FRAGMENT = "with_fragment"
    PORT = "port"
    NOT_PUBLIC = "not_public"


class Target(NamedTuple):
    """A URL taken apart. `host` is a name or an address as it was written, `path` holds the query too."""

    is_tls: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


class Policy(NamedTuple):
    """What this installation allows. `loopback`: receivers on this machine too, by http, on any port (demo, test)."""

    loopback: bool = False
    ports: frozenset[int] = PORTS


class AddressRefused(Exception):
    """The URL, or where it leads, is not to be called; `wrong` says why."""

    def __init__(self, wrong: Wrong) -> None:
        super().__init__(wrong.value)
        self.wrong = wrong


def target_of(url: str, policy: Policy) -> Target:
    """The URL taken apart. Raises AddressRefused for one that isn't to be called, wherever its name leads."""
    if len(url) > LONGEST:
        raise AddressRefused(Wrong.TOO_LONG)
    if not url.isascii() or not url.isprintable() or any(letter in url for letter in ' \\"<>^`{|}'):
        raise AddressRefused(Wrong.NOT_AN_ADDRESS)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise AddressRefused(Wrong.NOT_AN_ADDRESS) from None
    is_tls = parts.scheme == "https"
    is_near = policy.loopback and host in LOOPBACK
    if not is_tls and not (parts.scheme == "http" and is_near):
        raise AddressRefused(Wrong.NOT_HTTPS)
    if "@" in parts.netloc:
        raise AddressRefused(Wrong.WITH_USER)
    if "#" in url:
        raise AddressRefused(Wrong.WITH_FRAGMENT)
    if not _is_host(host) or ("[" in parts.netloc) != (":" in host):
        raise AddressRefused(Wrong.NOT_AN_ADDRESS)
    port = (443 if is_tls else 80) if port is None else port
    if port not in policy.ports and not is_near:
        raise AddressRefused(Wrong.PORT)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(is_tls, host, port, path)


def check_address(text: str, target: Target, policy: Policy) -> None:
    """Raise AddressRefused unless that address, to which the target's name leads, is on the public internet."""
    if is_public(text):
        return
    if policy.loopback and target.host in LOOPBACK and ip_address(text).is_loopback:
        return
    raise AddressRefused(Wrong.NOT_PUBLIC)


def is_public(text: str) -> bool:
    """True for an address of a machine that everybody may reach; False for one that is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in NOT_PUBLIC)
    return _is_public_6(address)


def _is_public_6(address: IPv6Address) -> bool:
    """Forms that carry an IPv4 address (mapped, NAT64, 6to4, Teredo) are none, whatever they carry."""
    if address.scope_id or address not in GLOBAL_UNICAST:
        return False
    return address.is_global and not any(address in network for network in NOT_PUBLIC_6)


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return "%" not in host and bool(IPv6Address(host))
        except ValueError:
            return False
    return bool(HOST.fullmatch(host))
