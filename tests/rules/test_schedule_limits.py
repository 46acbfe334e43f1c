"""How seldom a task may run before a promise breaks (X10, promise 8, F07)."""

from __future__ import annotations

import pytest

from amp.operations.limits import LIMITS, Promise, breach, vital_tasks
from amp.schedule import defaults

ADVANCE, DISPATCH, DIGESTS = (
    "devices.tasks.advance_due_services",
    "devices.tasks.dispatch_commands",
    "alerts.tasks.send_digests",
)


@pytest.mark.parametrize(
    ("task", "seconds", "enabled", "broken"),
    [
        (ADVANCE, 60, True, None),
        (ADVANCE, 61, True, (Promise.LOCK, 60)),
        (ADVANCE, 1, False, (Promise.LOCK, 0)),
        (DISPATCH, 5, True, None),
        (DISPATCH, 6, True, (Promise.DELIVERY, 5)),
        (DIGESTS, 601, True, (Promise.NOTICE, 600)),
        (DIGESTS, 600, False, None),
        ("devices.tasks.count_devices", 86_400, False, None),
        ("somebody.elses", 86_400, True, None),
    ],
)
def test_each_limit_breaks_the_promise_that_hangs_on_it(
    task: str, seconds: int, enabled: bool, broken: tuple[Promise, int] | None
) -> None:
    assert breach(task, seconds, enabled=enabled) == broken


def test_the_schedule_that_the_product_makes_keeps_every_promise() -> None:
    tasks = {beat.task: beat.seconds for beat in defaults()}
    assert set(LIMITS) <= set(tasks)
    assert [task for task, seconds in tasks.items() if breach(task, seconds, enabled=True)] == []
    assert set(vital_tasks()) <= set(tasks)
