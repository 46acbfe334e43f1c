

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('devices', '0005_imports_and_validities'),
        ('foundation', '0004_api_keys'),
    ]

    operations = [
        migrations.AddField(
            model_name='device',
            name='credential_revoked_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='credential revoked'),
        ),
        migrations.CreateModel(
            name='Disconnect',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('client_id', models.CharField(max_length=97)),
                ('status', models.CharField(choices=[('PENDING', 'Waiting for the broker'), ('DONE', 'Connection ended'), ('UNSUPPORTED', 'Left to the broker'), ('DEAD', 'Given up')], default='PENDING', max_length=11, verbose_name='status')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                ('problem', models.CharField(db_default='', default='', max_length=300, verbose_name='problem')),
                ('created_at', models.DateTimeField(verbose_name='created')),
                ('due_at', models.DateTimeField(null=True)),
                ('closed_at', models.DateTimeField(null=True, verbose_name='closed')),
                ('device', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='disconnects', to='devices.device', verbose_name='device')),
                ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
            ],
            options={
                'verbose_name': 'disconnection',
                'verbose_name_plural': 'disconnections',
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='disconnect_due')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('status', 'PENDING')), fields=('device',), name='one_open_disconnect')],
            },
        ),
    ]
