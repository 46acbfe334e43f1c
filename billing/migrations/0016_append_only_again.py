"""The ledger is refused changes on SQLite again (R9)."""

from django.db import migrations

from amp.foundation.appendonly import append_only_again


class Migration(migrations.Migration):

    dependencies = [("billing", "0015_unanswered_payments")]
    operations = [append_only_again("billing_moneyentry")]
