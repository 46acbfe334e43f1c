"""Row E: pages of the admin's lists and of the API's, with few devices and with all; flat is what they should be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from statistics import median
from typing import NamedTuple

import orjson
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from amp.foundation import clock
from amp.foundation.models import Enterprise, Role, Scope, User
from amp.foundation.scoping import system_scope
from amp.foundation.services.api_keys import create_api_key
from amp.foundation.services.members import add_member
from bench.rounds import Figure, Side, Target, in_turn, seconds
from bench.stage import Stage
from devices.models import Device

CALLS = 7
EMAIL = "bench@example.com"
LISTS = {"Device List": "/admin/devices/device/", "Device Service": "/admin/devices/deviceservice/"}
FILTERS = ("state=EXPIRED", "state=FREE", "lock=locked", "presence=online", "command=waiting", "ends=30", "sort=ends")


API = {"devices": "/api/v1/devices", "device services": "/api/v1/device-services"}
API_FILTERS = ("", "state=EXPIRED", "state=FREE", "presence=online", "key={key}")
THRICE = Target(3, at_most=True)


class Page(NamedTuple):
    """One page of a list. `query` may name {key}, a device in the middle, and {middle}, its id."""

    title: str
    path: str
    query: str


def pages() -> Iterator[Page]:
    """What is measured of each list."""
    for title, path in LISTS.items():
        yield Page(f"{title}: first page", path, "")
        yield Page(f"{title}: search by key", path, "q={key}")
        yield Page(f"{title}: search by part of a key", path, "q=d1")
        yield Page(f"{title}: search that finds nothing", path, "q=nothing-like-it")
        for query in FILTERS:
            yield Page(f"{title}: {query}", path, query)
        yield Page(f"{title}: page in the middle", path, "after={middle}")
        yield Page(f"{title}: last page", path, "page=last")


def figures(stage: Stage, rounds: int) -> Iterator[Figure]:
    """The same page in both databases, the ratio is large ÷ small; then a page of the API beside its bare rows."""
    clients = {name: _client(stage, name) for name in (stage.small, stage.large)}
    sizes = {stage.small: stage.small_scale, stage.large: stage.scale}
    for page in pages():
        yield _figure(stage, rounds, page, clients, sizes)
    keys = {name: _key_client(stage, name) for name in (stage.small, stage.large)}
    for title, path in API.items():
        for query in API_FILTERS:
            yield _figure(stage, rounds, Page(f"API {title}: {query or 'first page'}", path, query), keys, sizes)
    api, bare = in_turn(rounds, partial(_measured, stage, stage.large, keys[stage.large], API["devices"]), _bare(stage))
    yield Figure(
        "E", "API devices: a page beside its rows", "ms", "the same 50 rows by .values() and orjson", api, bare, THRICE
    )


def _figure(stage: Stage, rounds: int, page: Page, clients: dict[str, Client], sizes: dict[str, int]) -> Figure:
    sides = [
        partial(_measured, stage, name, clients[name], _url(page, sizes[name])) for name in (stage.large, stage.small)
    ]
    large, small = in_turn(rounds, *sides)
    stage.use(stage.large)
    with CaptureQueriesContext(connection) as queries:
        answer = clients[stage.large].get(_url(page, stage.scale))
    return Figure(
        "E",
        page.title,
        "ms",
        f"the same page at {stage.small_scale:,} devices",
        large,
        small,
        Target(1.3, at_most=True),
        f"{len(queries)} queries, {len(answer.content) / 1024:.0f} KB",
    )


def _client(stage: Stage, name: str) -> Client:
    stage.use(name)
    with system_scope():
        maker = Enterprise.objects.get(parent=None)
        user = User.objects.filter(email=EMAIL).first() or add_member(
            user_email=EMAIL,
            full_name="Bench",
            password="only for benchmarks",
            enterprise=maker,
            role=Role.PLATFORM_ADMINISTRATOR,
            actor="bench",
            now=clock.wall(),
        )
    client = Client()
    client.force_login(user)
    return client


def _key_client(stage: Stage, name: str) -> Client:
    stage.use(name)
    now = clock.wall()
    with system_scope():
        user = User.objects.get(email=EMAIL)
        _row, text = create_api_key(
            enterprise=Enterprise.objects.get(parent=None),
            name="bench",
            scopes=[Scope.DEVICES_READ.value, Scope.SERVICES_READ.value],
            expires_at=now + timedelta(days=1),
            user=user,
            now=now,
            wall=now,
        )
    return Client(headers={"Authorization": f"Bearer {text}"})


def _bare(stage: Stage) -> Side:
    columns = ("enterprise_id", "product_id", "key", "name", "serial", "iccid", "service__state", "service__ends_at")
    columns += ("presence__is_online", "presence__last_seen_at", "credential_revoked_at", "created_at", "terminated_at")

    def read() -> None:
        with system_scope():
            orjson.dumps(list(Device.objects.order_by("-pk").values("id", *columns)[:50]))

    def measured(_number: int) -> float:
        stage.use(stage.large)
        read()
        return 1000 * median(seconds(read) for _ in range(CALLS))

    return measured


def _url(page: Page, devices: int) -> str:
    query = page.query.format(key=f"d{devices // 2}", middle=devices // 2)
    return f"{page.path}?{query}" if query else page.path


def _measured(stage: Stage, name: str, client: Client, url: str, _number: int) -> float:
    """Milliseconds, the median of some calls after one that isn't counted.

    A fleet that is too small to tell few devices from many is called once: it shows that the measuring works.
    """
    stage.use(name)
    _get(client, url)
    calls = CALLS if stage.scale > stage.small_scale else 1
    return 1000 * median(seconds(partial(_get, client, url)) for _ in range(calls))


def _get(client: Client, url: str) -> None:
    answer = client.get(url)
    if answer.status_code != 200:
        raise RuntimeError(f"{url} answered {answer.status_code}")
