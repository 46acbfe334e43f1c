from django.db import migrations, models

from amp.foundation.lists.search import prefix_index


class Migration(migrations.Migration):
    dependencies = [("devices", "0006_credentials")]

    operations = [
        migrations.AddIndex("device", models.Index(fields=["created_at", "id"], name="device_registered")),
        migrations.AddIndex("deviceservice", models.Index(fields=["ends_at", "device"], name="service_ends")),
        *(prefix_index("devices_device", column) for column in ("key", "serial", "iccid", "name")),
    ]
