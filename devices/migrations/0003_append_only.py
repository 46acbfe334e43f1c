"""Periods can only be added; the hot presence table keeps room for updates in place."""

from typing import Any

from django.db import migrations

from amp.foundation.appendonly import append_only


def leave_room(apps: Any, schema_editor: Any) -> None:
    """Fill factor 70: a presence update finds room on its own page and touches no index (HOT)."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE devices_presence SET (fillfactor = 70)")


class Migration(migrations.Migration):
    """Triggers on the period ledger, fill factor of presence."""

    dependencies = [("devices", "0002_initial"), ("foundation", "0002_append_only")]
    operations = [append_only("devices_period"), migrations.RunPython(leave_room, migrations.RunPython.noop)]
