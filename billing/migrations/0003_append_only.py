"""Money entries can only be added (R1, R9)."""

from django.db import migrations

from amp.foundation.appendonly import append_only


class Migration(migrations.Migration):
    """Triggers on the money ledger."""

    dependencies = [("billing", "0002_initial"), ("foundation", "0002_append_only")]
    operations = [append_only("billing_moneyentry")]
