"""The ledger is refused changes on SQLite again (R9)."""

from django.db import migrations

from amp.foundation.appendonly import append_only_again


class Migration(migrations.Migration):

    dependencies = [("devices", "0016_retention")]
    operations = [append_only_again("devices_period")]
