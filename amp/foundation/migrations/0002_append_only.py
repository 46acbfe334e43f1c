"""Events can only be added (R9, F98)."""

from django.db import migrations

from amp.foundation.appendonly import append_only


class Migration(migrations.Migration):
    """Triggers on the event table."""

    dependencies = [("foundation", "0001_initial")]
    operations = [append_only("foundation_event")]
