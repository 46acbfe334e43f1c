"""Walking through the product from page to page: one address for each kind of page that links lead to."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from html import unescape
from urllib.parse import urljoin, urlsplit

from django.test import Client
from django.urls import Resolver404, resolve

LINK = re.compile(r"""<a\b[^>]*?\shref=["']([^"'#]+)""")
PER_KIND = 2
"""Addresses of one kind that are visited: the second often shows another state of the same page."""


def pages(client: Client, *starts: str, per_kind: int = PER_KIND) -> dict[str, bytes]:
    """All pages that can be reached from `starts` by links, `per_kind` of each URL name: what each address shows.

    Raises AssertionError for a link that leads nowhere or to an error. Files and pages of others are left out.
    """
    waiting, seen, visited, found = deque(starts), set(starts), dict[str, int](), dict[str, bytes]()
    while waiting:
        address = waiting.popleft()
        kind = kind_of(address)
        if kind is None or visited.get(kind, 0) >= per_kind:
            continue
        visited[kind] = visited.get(kind, 0) + 1
        answer = client.get(address, follow=True)
        assert answer.status_code == 200, f"{address} answers {answer.status_code}"
        if answer.get("Content-Type", "").startswith("text/html") and "Content-Disposition" not in answer:
            found[address] = answer.content
            fresh = [link for link in links(answer.content.decode(), address) if link not in seen]
            waiting.extend(fresh)
            seen.update(fresh)
    return found


def kind_of(address: str) -> str | None:
    """The URL name behind an address, None where the product has no such page; links of lists are of one kind each."""
    parts = urlsplit(address)
    try:
        match = resolve(parts.path)
    except Resolver404:
        return None
    return f"{match.view_name}?" if parts.query else match.view_name


def links(html: str, base: str) -> Iterator[str]:
    """Addresses within the product that the page links to, without fragments."""
    for found in LINK.findall(html):
        address = urljoin(base, unescape(found).strip())
        if address.startswith("/"):
            yield address
