import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

ROLES = [
    ("PLATFORM_ADMINISTRATOR", "Platform administrator"),
    ("ACCOUNT_MANAGER", "Account manager"),
    ("ENTERPRISE_ADMINISTRATOR", "Enterprise administrator"),
    ("OPERATOR", "Operator"),
    ("FINANCE", "Finance"),
    ("READ_ONLY", "Read only"),
]


class Migration(migrations.Migration):
    dependencies = [("foundation", "0005_saved_views")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="uses_totp",
            field=models.BooleanField(db_default=False, default=False, verbose_name="two-step sign-in"),
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("email", models.EmailField(max_length=254, verbose_name="e-mail")),
                ("full_name", models.CharField(blank=True, max_length=120, verbose_name="name")),
                ("role", models.CharField(choices=ROLES, max_length=24, verbose_name="role")),
                ("language", models.CharField(default="en", max_length=10, verbose_name="language")),
                ("token_hash", models.CharField(editable=False, max_length=64, unique=True)),
                ("created_at", models.DateTimeField(verbose_name="invited")),
                ("expires_at", models.DateTimeField(verbose_name="link ends")),
                ("sent_at", models.DateTimeField(null=True, verbose_name="mail sent")),
                ("send_failure", models.CharField(blank=True, default="", max_length=200, verbose_name="mail failed")),
                ("accepted_at", models.DateTimeField(null=True, verbose_name="accepted")),
                ("voided_at", models.DateTimeField(null=True, verbose_name="withdrawn")),
                (
                    "enterprise",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="foundation.enterprise",
                        verbose_name="enterprise",
                    ),
                ),
                (
                    "invited_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="invited by",
                    ),
                ),
            ],
            options={
                "verbose_name": "invitation",
                "verbose_name_plural": "invitations",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("accepted_at", None), ("voided_at", None)),
                        fields=("enterprise", "email"),
                        name="one_open_invitation_per_address",
                    )
                ],
            },
        ),
    ]
