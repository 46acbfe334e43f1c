"""The world that a run begins with, made by the product's own services; and what makes it the same every time."""

from __future__ import annotations

import gc
import logging
import random
import secrets
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import requests
from django.conf import settings
from django.db import connection
from django.test import Client

from amp.foundation import clock, wakeups
from amp.foundation.scoping import system_scope
from amp.foundation.services import figures
from amp.foundation.services.configuration import AlertedService, set_refund_threshold, switch_expiry_alerts
from devices.services import dispatch, lock_reports
from tests import factories
from tests.simulation.clockwork import START, Clockwork
from tests.simulation.deaths import another_process
from tests.simulation.gadgets import Gadget
from tests.simulation.model import Service
from tests.simulation.profiles import Profile
from tests.simulation.run import Run

APPS = ("foundation", "catalog", "devices", "billing", "alerts")


@contextmanager
def world(seed: int, profile: Profile, patch: pytest.MonkeyPatch) -> Iterator[Run]:
    """An empty database, a fleet in it, and both clocks, every random number and the radio in the hands of the run."""
    _empty_the_database()
    lock_reports._models.clear()
    clockwork = Clockwork(START)
    with patch.context() as own, system_scope(), quiet(), another_process():
        _seeded(own, seed)
        own.setattr(clock, "now", clockwork.now)
        own.setattr(clock, "wall", clockwork.now)
        run = _furnished(seed, profile, clockwork)
        own.setattr(wakeups, "_send", run.woken)
        own.setattr(dispatch, "shared_transport", lambda: run.radio)
        own.setattr("requests.post", Wire(run).post)
        own.setattr(figures, "_pace", lambda _took, every: every)  # how long counting took is real time
        yield run


@contextmanager
def quiet() -> Iterator[None]:
    """Nobody reads what a history logs below a warning: its trace tells. What was there before is no garbage."""
    gc.freeze()
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        gc.unfreeze()


class Wire:
    """HTTP that ends in our own views, without a socket.

    What we say of refunds gets lost on its way, comes twice, or is heard and the answer gets lost.
    """

    def __init__(self, run: Run) -> None:
        self._client = Client()  # its middleware is made once
        self._run = run

    def post(self, url: str, **more: Any) -> requests.Response:
        """One call. Raises Timeout, which says nothing about what the other side has done."""
        is_about_refunds = url.endswith(("/refund", "/query_refund"))
        if is_about_refunds and self._run.happens("call_lost"):
            raise requests.Timeout("lost on its way there")
        answer = self._heard(url, **more)
        if is_about_refunds and self._run.happens("duplicate"):
            self._heard(url, **more)
        if is_about_refunds and self._run.happens("answer_lost"):
            raise requests.Timeout("lost on its way back")
        return answer

    def _heard(self, url: str, *, data: bytes, headers: dict[str, str], **_more: Any) -> requests.Response:
        path = url.removeprefix(settings.BASE_URL)
        told = self._client.post(path, data=data, content_type=headers["Content-Type"], headers=headers)
        response = requests.Response()
        response.status_code, response._content = told.status_code, told.content
        response.headers.update(told.headers)
        return response


def _furnished(seed: int, profile: Profile, clockwork: Clockwork) -> Run:
    factories._number = count(1)
    factories.UserFactory.reset_sequence(0)
    maker = factories.make_enterprise("Maker", time_zone=profile.zone, now=START)
    product = factories.make_product(
        maker,
        key="heater",
        name="Heater",
        trial_start=profile.trial_start // timedelta(seconds=1),
        trial_end=profile.trial_end // timedelta(seconds=1),
        cache_seconds=profile.cache // timedelta(seconds=1),
        now=START,
    )
    plan = factories.make_plan(product, months=profile.months, now=START)
    switch_expiry_alerts(service=AlertedService.DEVICE, on=True, actor="root@example.com", now=START)
    set_refund_threshold(minor=profile.refund_threshold, actor="root@example.com", now=START)
    free_plan = factories.make_plan(product, months=1, amount=0, name="Included", now=START)
    owners = [maker] * profile.devices
    if profile.child_zone:
        child = factories.make_enterprise(
            "Child", parent=maker, merchant=False, time_zone=profile.child_zone, now=START
        )
        owners[-profile.street :] = [child] * profile.street
    made = [
        factories.make_device(product, enterprise=owner, key=f"d{number}", now=START)
        for number, owner in enumerate(owners)
    ]
    gadgets = [
        Gadget(place, "heater", f"d{place}", each.device.pk, each.device.enterprise_id)
        for place, each in enumerate(made)
    ]
    run = Run(seed, profile, gadgets, plan, free_plan, clockwork)
    rule = run.checks.rule
    for each, owner in zip(gadgets, owners, strict=True):
        run.checks.services[each.device_id] = Service(rule, owner.time_zone, START)
    run.checks.notices_since = START
    return run


def _seeded(patch: pytest.MonkeyPatch, seed: int) -> None:
    """What the product draws from the operating system comes from the seed here, so that histories can be compared.

    Each module that asks has numbers of its own: some things are drawn only once in a process, while a module is
    imported or a library connects, and would shift everybody else's.
    """
    streams: dict[str, random.Random] = {}

    def stream() -> random.Random:
        name = str(sys._getframe(2).f_globals["__name__"])
        return streams.setdefault(name, random.Random(f"{name} {seed}"))

    patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=stream().getrandbits(128), version=4))
    patch.setattr(secrets, "token_bytes", lambda size=32: stream().randbytes(size))
    patch.setattr(secrets, "token_hex", lambda size=32: stream().randbytes(size).hex())
    patch.setattr(secrets, "token_urlsafe", lambda size=32: stream().randbytes(size).hex())
    patch.setattr(secrets, "choice", lambda options: stream().choice(options))
    patch.setattr(secrets, "randbelow", lambda limit: stream().randrange(limit))


def _empty_the_database() -> None:
    """Numbers begin anew too, also those of tables that only hold what was taken back."""
    with connection.cursor() as cursor:
        names = [name for name in connection.introspection.table_names(cursor) if name.startswith(APPS)]
        cursor.execute(" UNION ALL ".join(f"(SELECT '{name}' FROM {name} LIMIT 1)" for name in sorted(names)))
        if filled := [row[0] for row in cursor.fetchall()]:
            cursor.execute(f"TRUNCATE {', '.join(filled)} CASCADE")
        cursor.execute("SELECT setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences")
