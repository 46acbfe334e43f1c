"""The product's processes start by production's command lines, are killed, and come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.daemon import is_alive
from tests.stack.processes import Product
from tests.stack.waiting import eventually

pytestmark = pytest.mark.journey


@pytest.fixture
def product(product: Product) -> Product:
    """Each process by its command line alone: the start is what is tested here."""
    product.is_cold = True
    return product


def test_worker_and_beat_come_back_after_kill_9(product: Product) -> None:
    for process in (product.worker(), product.beat()):
        pid = process.pid
        process.kill()
        assert not process.is_running
        process.start()
        assert process.pid != pid


def test_killed_worker_leaves_no_child_behind(product: Product) -> None:
    """Its pool dies with it, as on a machine that lost power: nothing goes on working in the shadows."""
    worker = product.worker()
    children = eventually(worker.children, what="the worker's pool")
    worker.kill()
    eventually(lambda: not any(is_alive(child) for child in children), what="the end of the pool")


def test_web_and_bridge_come_back_after_kill_9(product: Product) -> None:
    for process in (product.web(), product.bridge()):
        process.kill()
        process.start()
        assert process.is_running
        shown = Path(f"/proc/{process.pid}/cmdline").read_text().rstrip("\0").replace("\0", " ")
        assert shown.endswith(" ".join(process.command()[1:])), "by the command line, from nobody who has loaded it"


def test_each_product_has_a_migrated_database_of_its_own(product: Product) -> None:
    assert product.sql("SELECT count(*) FROM django_migrations") != [(0,)]
    assert product.manage("migrate", "--check").returncode == 0
    with pytest.raises(RuntimeError, match="Unknown command"):
        product.manage("no_such_command")
