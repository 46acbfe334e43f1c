"""What the models promise is in the database after all migrations: every index and every constraint by its name.

Django takes away more than it says where a column loses its own index: a partial unique index on it went too.
"""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

OURS = ("foundation", "catalog", "devices", "billing", "alerts")


@pytest.mark.django_db
def test_every_index_and_constraint_of_a_model_is_in_the_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes UNION SELECT conname FROM pg_constraint")
        there = {name for (name,) in cursor.fetchall()}
    models = [model for app in OURS for model in apps.get_app_config(app).get_models() if model._meta.managed]
    named = {each.name for model in models for each in (*model._meta.indexes, *model._meta.constraints)}
    assert len(named) > 100
    assert named - there == set()
