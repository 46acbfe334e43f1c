"""A second payment of a code stands in the sandbox's own books, with its transaction and moment (F31)."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0016_append_only_again'),
    ]

    operations = [
        migrations.AddField(
            model_name='sandboxtrade',
            name='second_paid_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='sandboxtrade',
            name='second_transaction_id',
            field=models.CharField(db_default='', default='', max_length=40),
        ),
    ]
