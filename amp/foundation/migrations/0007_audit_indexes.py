"""What the audit filters by: people and kinds that aren't born in bulk; on PostgreSQL a coarse index of moments."""

from typing import Any

from django.db import migrations, models


def _by_moment(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE INDEX event_by_moment ON foundation_event USING brin (happened_at) WITH (pages_per_range = 32)"
        )


def _without(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX event_by_moment")


class Migration(migrations.Migration):
    dependencies = [("foundation", "0006_staff")]

    operations = [
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(actor__contains="@"), fields=["actor", "-id"], name="event_by_person"
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(
                    models.Q(kind__startswith="device", _negated=True),
                    models.Q(kind__startswith="command.", _negated=True),
                ),
                fields=["kind", "-id"],
                name="event_not_in_bulk",
            ),
        ),
        migrations.RunPython(_by_moment, _without),
    ]
