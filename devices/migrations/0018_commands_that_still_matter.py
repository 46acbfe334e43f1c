"""Indexes of commands that are acknowledged, or may still arrive: those that are over are many more, and grow older."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("devices", "0001_squashed_0017_append_only_again")]

    operations = [
        migrations.AddIndex(
            model_name="command",
            index=models.Index(
                fields=["device"],
                condition=models.Q(status="ACKED"),
                name="command_acked",
            ),
        ),
        migrations.AddIndex(
            model_name="command",
            index=models.Index(
                fields=["device", "sent_at"],
                condition=models.Q(status__in=["CANCELLED", "SUPERSEDED"], acked_at=None, sent_at__isnull=False),
                name="command_taken_back",
            ),
        ),
    ]
