"""Sessions lose the plain index on their device: two others begin with it, and it kept the planner from the right one."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("devices", "0018_commands_that_still_matter")]

    operations = [
        migrations.AlterField(
            model_name="presencesession",
            name="device",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="sessions",
                to="devices.device",
                verbose_name="device",
            ),
        ),
    ]
