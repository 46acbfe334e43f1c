"""Indexes of commands that are unfinished, or may still arrive: the others are many more, and grow older."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("devices", "0001_squashed_0017_append_only_again")]

    operations = [
        migrations.AddIndex(
            model_name="command",
            index=models.Index(
                fields=["device"],
                condition=models.Q(status__in=["ACKED", "PENDING", "SENT"]),
                name="command_unfinished",
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
