"""From the release before, with its data, to this one, while the release before is still at work (X8)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from django.apps import apps
from django.db import connection, migrations
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from tests.stack.plugin import Stack
from tests.stack.postgresql import PostgreSQL
from tests.stack.redis import Redis
from tests.upgrades.catalogue import catalogue
from tests.upgrades.release_before import MOMENT, Column, applied, columns, counts, restore

REPOSITORY = Path(__file__).parents[2]
OURS = ("foundation", "catalog", "devices", "billing", "alerts")
GROWING = {
    *("device", "deviceservice", "presence", "presencesession", "period", "command", "event"),
    *("order", "orderline", "moneyentry", "paymentattempt", "notice", "webhookdelivery"),
}
"""Tables that grow with the fleet: to change one is felt."""
HELD = (migrations.AddIndex, migrations.AddConstraint)
"""What reads a whole table while nobody else may write to it."""
IN_USE = "A table is in use; nobody waits behind us."


@dataclass
class Upgrade:
    """A database of the release before that this release has migrated."""

    url: str
    environment: dict[str, str]
    columns_before: dict[tuple[str, str], Column]
    counts_before: dict[str, int]
    applied_before: set[tuple[str, str]]
    told: str = ""

    def manage(self, *arguments: str) -> subprocess.Popen[str]:
        """One of our commands, begun."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(scope="module")
def upgrade(stack: Stack, postgresql_server: PostgreSQL, redis_server: Redis) -> Iterator[Upgrade]:
    """Migrated while a report reads the commands, which the first migrations want for themselves."""
    name = f"upgrade_{os.getpid()}"
    url = restore(postgresql_server, name)
    environment = os.environ | stack.environment(database_url=url, redis_database=0)
    made = Upgrade(url, environment, columns(url), counts(url), applied(url))
    with psycopg.connect(url) as report, psycopg.connect(url, autocommit=True) as other:
        report.execute("SELECT count(*) FROM devices_command")  # a transaction that stays open
        running = made.manage("migrate", "--noinput", "--lock-seconds=0.3", "--pause-seconds=0.3")
        assert running.stdout is not None
        while IN_USE not in made.told and (line := running.stdout.readline()):
            made.told += line
        other.execute("SET statement_timeout = '20s'")
        other.execute("UPDATE devices_command SET problem = problem")  # nobody waits behind a migration
        report.rollback()
    made.told += running.stdout.read()
    assert running.wait(timeout=120) == 0, made.told
    yield made
    postgresql_server.drop_database(name)


def test_a_migration_gives_way_to_a_report_and_goes_on_after_it_x8(upgrade: Upgrade) -> None:
    assert IN_USE in upgrade.told
    assert len(upgrade.applied_before) < len(applied(upgrade.url))


def test_an_app_that_is_half_way_goes_on_by_the_migrations_that_it_began_with_x8(upgrade: Upgrade) -> None:
    begun = {app for app, _name in upgrade.applied_before}
    squashed = {key for key, each in _every_migration().disk_migrations.items() if key[0] in OURS and each.replaces}
    assert {app for app, _name in squashed} == set(OURS)
    assert [key for key in squashed if key[0] in begun and f"Applying {'.'.join(key)}" in upgrade.told] == []
    fresh = [key for key in _every_migration().disk_migrations if _is_fresh(key, upgrade) and key not in squashed]
    assert [key for key in fresh if key[0] in begun and f"Applying {'.'.join(key)}" not in upgrade.told] == []
    assert fresh


def test_what_was_upgraded_is_made_like_what_was_squashed_x8(
    upgrade: Upgrade, postgresql_server: PostgreSQL, product_template: str
) -> None:
    """An empty database takes squashed migrations, this one took those that they replace: nothing tells them apart."""
    upgraded, fresh = (_catalogue_of(url) for url in (upgrade.url, postgresql_server.url(product_template)))
    assert len(fresh) > 2_000
    assert sorted(upgraded - fresh) == []
    assert sorted(fresh - upgraded) == []


@pytest.mark.django_db
def test_apps_that_the_release_before_did_not_have_are_made_alike_both_ways_x8(upgrade: Upgrade) -> None:
    """The upgrade takes their squashed migrations; so these are taken back here, and the replaced ones applied."""
    begun = {app for app, _name in upgrade.applied_before}
    loader = _every_migration()
    squashed = [each for key, each in loader.disk_migrations.items() if key[0] in set(OURS) - begun and each.replaces]
    with connection.cursor() as cursor:
        fresh = catalogue(cursor)
        for each in squashed:
            state = loader.project_state([key for key in each.dependencies if not hasattr(key, "setting")])
            with connection.schema_editor(atomic=False) as editor:
                each.unapply(state.clone(), editor)
            assert catalogue(cursor) < fresh
            for key in each.replaces:
                with connection.schema_editor(atomic=False) as editor:
                    state = loader.disk_migrations[key].apply(state, editor)
        assert sorted(catalogue(cursor) ^ fresh) == []


def test_squashed_migrations_and_those_they_replace_end_in_the_same_models_x8() -> None:
    """Also what no table shows: choices, names, what deleting does."""
    loader = _every_migration()
    ours = {key: each for key, each in loader.disk_migrations.items() if key[0] in OURS}
    squashed = {key: each.replaces[-1] for key, each in ours.items() if each.replaces}
    assert {app for app, _name in squashed} == set(OURS)
    for key, last in squashed.items():
        made, grown = (_of_app(key[0], loader.project_state(each)) for each in (key, last))
        assert made.models.keys() == grown.models.keys() != set()
        for before, after in ((made, grown), (grown, made)):
            assert MigrationAutodetector(before, after)._detect_changes() == {}


def test_everything_that_was_there_is_there_and_every_promise_holds_x8(upgrade: Upgrade) -> None:
    now = counts(upgrade.url)
    kept = upgrade.counts_before
    assert kept["devices_device"] > 200
    assert {name: now.get(name, 0) for name in kept if now.get(name, 0) < kept[name]} == {}
    for arguments in (["clock", "set", MOMENT], ["audit"]):
        running = upgrade.manage(*arguments)
        told, _ = running.communicate(timeout=120)
        assert running.returncode == 0, told


def test_the_release_before_still_reads_and_writes_x8(upgrade: Upgrade) -> None:
    """Expand, then contract: its columns stay as they were, and what is new need not be named to write a row."""
    now = columns(upgrade.url)
    before = upgrade.columns_before
    assert [name for name in before if name not in now] == [], "dropped while the release before reads it"
    assert [name for name, column in before.items() if now[name].type != column.type] == []
    tables = {table for table, _column in before}
    fresh = {name: column for name, column in now.items() if name not in before and name[0] in tables}
    assert [name for name, column in fresh.items() if not column.is_optional] == [], "give it a db_default"
    assert [name for name, column in before.items() if column.is_optional and not now[name].is_optional] == []


def test_this_release_writes_rows_without_the_columns_that_it_has_left_x8(upgrade: Upgrade) -> None:
    models = [model for app in OURS for model in apps.get_app_config(app).get_models() if not model._meta.proxy]
    ours = {model._meta.db_table: model for model in models}
    known = {(table, each.column) for table, model in ours.items() for each in model._meta.local_fields}
    left = {name: column for name, column in columns(upgrade.url).items() if name[0] in ours and name not in known}
    assert [name for name, column in left.items() if not column.is_optional] == []
    text = (REPOSITORY / "docs/operations/upgrades.md").read_text()
    assert [f"{table}.{column}" for table, column in left if f"`{table}.{column}`" not in text] == []


def test_who_upgrades_is_told_which_migrations_hold_a_growing_table_x8(upgrade: Upgrade) -> None:
    text = (REPOSITORY / "docs/operations/upgrades.md").read_text()
    ours = {key: each for key, each in _every_migration().disk_migrations.items() if _is_fresh(key, upgrade)}
    fresh = {key: each.operations for key, each in ours.items() if not each.replaces}
    everything = [each for operations in fresh.values() for each in operations]
    old = GROWING - {each.name.lower() for each in everything if isinstance(each, migrations.CreateModel)}
    untold = []
    for (app, name), operations in sorted(fresh.items()):
        held = {each.model_name for each in operations if isinstance(each, HELD)} & old
        untold += [(app, name, model) for model in held if f"| `{app}.{name}` | `{model}` |" not in text]
    assert fresh
    assert untold == []


def _is_fresh(key: tuple[str, str], upgrade: Upgrade) -> bool:
    return key[0] in OURS and key not in upgrade.applied_before


def _every_migration() -> MigrationLoader:
    """As they are on disk, with squashed ones beside those that they replace."""
    return MigrationLoader(None, replace_migrations=False)


def _catalogue_of(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return catalogue(connection.cursor())


def _of_app(app: str, state: ProjectState) -> ProjectState:
    return ProjectState({key: model for key, model in state.models.items() if key[0] == app})
