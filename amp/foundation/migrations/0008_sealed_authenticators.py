"""Secrets of authenticators are sealed at rest; those that stood in plain text are sealed now."""

from typing import Any

from django.db import migrations

from amp.foundation.sealed import seal, unseal

PLAIN = 40
"""Hexadecimal letters of a plain secret; a sealed one has 64 letters."""


def _seal(apps: Any, schema_editor: Any) -> None:
    for device in apps.get_model("otp_totp", "TOTPDevice").objects.order_by("pk").iterator():
        if len(device.key) == PLAIN:
            device.key = seal(bytes.fromhex(device.key), f"totp:{device.user_id}")
            device.save(update_fields=["key"])


def _open(apps: Any, schema_editor: Any) -> None:
    for device in apps.get_model("otp_totp", "TOTPDevice").objects.order_by("pk").iterator():
        if len(device.key) != PLAIN:
            device.key = unseal(device.key, f"totp:{device.user_id}").hex()
            device.save(update_fields=["key"])


class Migration(migrations.Migration):
    dependencies = [("foundation", "0007_audit_indexes"), ("otp_totp", "0003_add_timestamps")]

    operations = [
        migrations.CreateModel(
            name="Authenticator",
            fields=[],
            options={
                "verbose_name": "authenticator",
                "verbose_name_plural": "authenticators",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("otp_totp.totpdevice",),
        ),
        migrations.RunPython(_seal, _open),
    ]
