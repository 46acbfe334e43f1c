from django.db import migrations, models

from amp.foundation.lists.search import prefix_index


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_paid_orders")]

    operations = [
        migrations.AddIndex("order", models.Index(fields=["created_at", "id"], name="order_made")),
        migrations.AddIndex("order", models.Index(fields=["enterprise", "status", "-id"], name="order_by_status")),
        migrations.AddIndex("paymentattempt", models.Index(fields=["created_at", "id"], name="attempt_made")),
        migrations.AddIndex(
            "paymentattempt", models.Index(fields=["enterprise", "status", "-id"], name="attempt_by_status")
        ),
        prefix_index("billing_order", "number"),
        prefix_index("billing_paymentattempt", "number"),
        prefix_index("billing_paymentattempt", "transaction_id"),
    ]
