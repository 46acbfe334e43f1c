"""Make the index of `one_command_in_flight` again: on PostgreSQL, 0011 took it away with the plain index of its column.

Django drops every index on the one column of a foreign key that loses its own, partial unique ones included. Where it is
still there, as on SQLite, it is made anew.
"""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('devices', '0013_lock_brakes'),
    ]

    operations = [
        migrations.RemoveConstraint(model_name='command', name='one_command_in_flight'),
        migrations.AddConstraint(
            model_name='command',
            constraint=models.UniqueConstraint(
                condition=models.Q(('status', 'SENT')), fields=('device',), name='one_command_in_flight'
            ),
        ),
    ]
