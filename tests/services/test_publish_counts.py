"""Commands that are handed to the broker are counted by kind and outcome, over all processes of a host (X10)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from amp.metrics.exposition import OF_WORKERS, Counts, exposition
from devices.services.published import published
from devices.transports.base import Outcome
from devices.transports.recorded import RecordedTransport
from tests.services.dispatching import run, transport
from tests.services.fleet import LOCK, UNLOCK, make_fleet, scope
from tests.services.test_dispatch_without_an_answer import Answering
from tests.stack.processes import REPOSITORY

__all__ = ["scope", "transport"]
pytestmark = pytest.mark.django_db
ONE_WORKER = """
import django; django.setup()
from devices.delivery import CommandKind
from devices.services.published import Fate, tell_published
from devices.transports.base import Outcome
tell_published([Fate(CommandKind.LOCK, Outcome.PUBLISHED)] * 3)
print("told", flush=True)
input()
"""


def told() -> Counter[tuple[str, str]]:
    """What a worker's port tells, by kind and outcome."""
    families = text_string_to_metric_families(exposition(Counts(OF_WORKERS)).decode())
    samples = [each for family in families for each in family.samples]
    named = [each for each in samples if each.name == "amp_command_publishes_total"]
    return Counter({(each.labels["kind"], each.labels["outcome"]): int(each.value) for each in named})


def test_each_outcome_of_a_publish_is_counted_by_kind_X10(transport: RecordedTransport) -> None:
    before = told()
    locked, opened, third = make_fleet(2), make_fleet(3, name="Opened"), make_fleet(1, name="Third")
    locked.tell(LOCK)
    run(transport)
    opened.tell(UNLOCK)
    run(Answering(Outcome.UNCONFIRMED, "silence"))
    third.tell(LOCK)
    transport.reachable = False
    run(transport)
    assert told() - before == {("LOCK", "published"): 2, ("UNLOCK", "unconfirmed"): 3, ("LOCK", "not_sent"): 1}


def test_several_worker_processes_are_one_count_X10() -> None:
    before = told()
    command = [sys.executable, "-c", ONE_WORKER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    workers = [subprocess.Popen(command, cwd=REPOSITORY, env=os.environ, text=True, **pipes) for _ in range(2)]
    for worker in workers:  # both at once: each has a file of its own
        assert worker.stdout
        assert worker.stdout.readline() == "told\n"
    assert told() - before == {("LOCK", "published"): 6}
    for worker in workers:
        worker.communicate("\n", timeout=60)
    assert told() - before == {("LOCK", "published"): 6}, "and what a worker counted stays when it is gone"


def test_a_count_that_fails_holds_up_no_command_X10(transport: RecordedTransport) -> None:
    def fail(**_: object) -> None:
        raise OSError("no room")

    published.connect(fail)
    try:
        make_fleet(1).tell(LOCK)
        assert run(transport) == 1
    finally:
        published.disconnect(fail)
    assert len(transport.published) == 1
