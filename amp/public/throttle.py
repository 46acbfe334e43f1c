"""A brake on guessing tokens and on floods: so many requests a minute from one address (F85)."""

from __future__ import annotations

import logging
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

log = logging.getLogger(__name__)

IPV6_SITE = 64
"""One visitor holds a whole /64, so it counts as one address."""


def is_too_fast(request: HttpRequest, *, wall: datetime, name: str, limit: int) -> bool:
    """True beyond `limit` requests in this minute of real time. Without a cache nobody is refused."""
    key = f"throttle:{name}:{address_of(request)}:{wall:%Y%m%d%H%M}"
    try:
        cache.add(key, 0, timeout=120)
        return cache.incr(key) > limit
    except Exception:  # noqa: BLE001 (the cache is a convenience: losing Redis must not close the page, R5)
        log.warning("The request throttle %s has no cache to count in.", name)
        return False


def address_of(request: HttpRequest) -> str:
    """The visitor's address as it is counted: of an IPv6 site, the site's."""
    address = _visitor(request)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_SITE), strict=False).network_address)
    return str(address or "unknown")


def payer_address(request: HttpRequest) -> str:
    """The visitor's address to the last digit, which WeChat Pay compares with its own view of the payer; or ""."""
    return str(_visitor(request) or "")


def _visitor(request: HttpRequest) -> IPv4Address | IPv6Address | None:
    """The peer's address, or what the trusted number of proxies says of it (F94)."""
    hops = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    trusted: int = settings.TRUSTED_PROXIES
    told = _address(hops[-trusted]) if trusted and len(hops) >= trusted else None
    return told or _address(str(request.META.get("REMOTE_ADDR", "")))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
