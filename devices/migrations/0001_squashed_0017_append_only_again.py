"""What an empty database takes in place of 0001 to 0017: each table made whole, then what Django knows nothing of.

Whoever has applied some of the replaced migrations goes on by them. The next one is 0018.
"""

import django.core.validators
import django.db.models.deletion
import uuid
from django.db import migrations, models

from amp.foundation.appendonly import append_only
from amp.foundation.lists.search import prefix_index
from amp.foundation.squashing import CreateModels


def leave_room(apps, schema_editor):
    """Fill factor 70: a presence update finds room on its own page and touches no index (HOT)."""
    if schema_editor.connection.vendor == 'postgresql':
        schema_editor.execute('ALTER TABLE devices_presence SET (fillfactor = 70)')


class Migration(migrations.Migration):

    replaces = [('devices', '0001_initial'), ('devices', '0002_initial'), ('devices', '0003_append_only'), ('devices', '0004_lives_and_early_ends'), ('devices', '0005_imports_and_validities'), ('devices', '0006_credentials'), ('devices', '0007_list_indexes'), ('devices', '0008_broker_uptime'), ('devices', '0009_stuck_services'), ('devices', '0010_cuts_follow'), ('devices', '0011_fewer_indexes'), ('devices', '0012_sessions_told_apart'), ('devices', '0013_lock_brakes'), ('devices', '0014_one_command_in_flight'), ('devices', '0015_notices'), ('devices', '0016_retention'), ('devices', '0017_append_only_again')]

    initial = True

    dependencies = [
        ('catalog', '0002_initial'),
        ('foundation', '0011_lock_brakes'),
    ]

    operations = [
        CreateModels([
            migrations.CreateModel(
                name='Bridge',
                fields=[
                    ('name', models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name='bridge')),
                    ('broker_alive_at', models.DateTimeField(null=True, verbose_name='broker alive')),
                    ('beat_at', models.DateTimeField(null=True, verbose_name='heartbeat')),
                    ('connected', models.BooleanField(default=False, verbose_name='connected')),
                    ('received', models.BigIntegerField(default=0, verbose_name='messages')),
                    ('dropped', models.BigIntegerField(default=0, verbose_name='refused')),
                    ('last_dropped', models.CharField(default='', max_length=300, verbose_name='last refusal')),
                    ('broker_uptime', models.PositiveBigIntegerField(null=True)),
                    ('broker_uptime_at', models.DateTimeField(null=True)),
                    ('heard_at', models.DateTimeField(null=True, verbose_name='in contact')),
                    ('recovered_at', models.DateTimeField(null=True, verbose_name='back since')),
                ],
                options={
                    'verbose_name': 'bridge',
                    'verbose_name_plural': 'bridges',
                },
            ),
            migrations.CreateModel(
                name='Device',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('key', models.CharField(max_length=64, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9_-]{1,64}$', 'Use 1 to 64 letters, digits, - or _.')], verbose_name='device key')),
                    ('name', models.CharField(blank=True, default='', max_length=120, verbose_name='name')),
                    ('serial', models.CharField(blank=True, default='', max_length=64, verbose_name='serial number')),
                    ('iccid', models.CharField(blank=True, default='', max_length=22, verbose_name='ICCID')),
                    ('credential_hash', models.CharField(default='', editable=False, max_length=200)),
                    ('credential_rotated_at', models.DateTimeField(editable=False, null=True, verbose_name='credential issued')),
                    ('created_at', models.DateTimeField(verbose_name='registered')),
                    ('terminated_at', models.DateTimeField(editable=False, null=True, verbose_name='terminated')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='devices', to='foundation.enterprise', verbose_name='enterprise')),
                    ('product', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='devices', to='catalog.product', verbose_name='product')),
                    ('credential_revoked_at', models.DateTimeField(editable=False, null=True, verbose_name='credential revoked')),
                ],
                options={
                    'verbose_name': 'device',
                    'verbose_name_plural': 'device list',
                    'indexes': [models.Index(fields=['enterprise', '-id'], name='device_of_enterprise'), models.Index(fields=['key'], name='device_key'), models.Index(fields=['serial'], name='device_serial'), models.Index(fields=['iccid'], name='device_iccid'), models.Index(fields=['created_at', 'id'], name='device_registered')],
                    'constraints': [models.UniqueConstraint(condition=models.Q(('terminated_at__isnull', True)), fields=('product', 'key'), name='live_device_key_unique')],
                },
            ),
            migrations.CreateModel(
                name='Import',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    ('kind', models.CharField(choices=[('DEVICES', 'Devices'), ('VALIDITIES', 'SIM and RTK validity')], max_length=10, verbose_name='what')),
                    ('state', models.CharField(choices=[('READY', 'Waits for confirmation'), ('RUNNING', 'Running'), ('DONE', 'Done'), ('REFUSED', 'Nothing imported'), ('CANCELLED', 'Cancelled'), ('FAILED', 'Stopped by a fault')], default='READY', max_length=10, verbose_name='state')),
                    ('mode', models.CharField(choices=[('GOOD_ROWS', 'Only the good rows'), ('ALL_OR_NOTHING', 'All or nothing')], default='GOOD_ROWS', max_length=16, verbose_name='mode')),
                    ('file_name', models.CharField(max_length=200, verbose_name='file')),
                    ('file_digest', models.CharField(max_length=64)),
                    ('columns', models.JSONField(default=list)),
                    ('left_out', models.JSONField(default=list)),
                    ('rows_total', models.PositiveIntegerField(default=0, verbose_name='rows')),
                    ('rows_new', models.PositiveIntegerField(default=0, verbose_name='to do')),
                    ('rows_done', models.PositiveIntegerField(default=0, verbose_name='done')),
                    ('rows_same', models.PositiveIntegerField(default=0, verbose_name='change nothing')),
                    ('rows_bad', models.PositiveIntegerField(default=0, verbose_name='bad')),
                    ('why', models.CharField(db_default='', default='', max_length=300, verbose_name='reason')),
                    ('problem', models.CharField(db_default='', default='', max_length=300, verbose_name='problem')),
                    ('created_by', models.CharField(max_length=160, verbose_name='by')),
                    ('created_at', models.DateTimeField(verbose_name='uploaded')),
                    ('confirmed_by', models.CharField(db_default='', default='', max_length=160, verbose_name='confirmed by')),
                    ('confirmed_at', models.DateTimeField(null=True, verbose_name='confirmed')),
                    ('finished_at', models.DateTimeField(null=True, verbose_name='finished')),
                    ('attempts', models.PositiveSmallIntegerField(default=0, verbose_name='attempts')),
                    ('due_at', models.DateTimeField(null=True)),
                    ('clear_at', models.DateTimeField(null=True)),
                    ('secrets_kept', models.BooleanField(default=False)),
                    ('secrets_taken_by', models.CharField(db_default='', default='', max_length=160)),
                    ('secrets_gone_at', models.DateTimeField(null=True)),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                    ('product', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.product', verbose_name='product')),
                ],
                options={
                    'verbose_name': 'import',
                    'verbose_name_plural': 'imports',
                    'indexes': [models.Index(fields=['enterprise', '-id'], name='import_of_enterprise'), models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='import_due'), models.Index(condition=models.Q(('clear_at__isnull', False)), fields=['clear_at'], name='import_clear')],
                    'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('state', 'RUNNING'), _negated=True), ('due_at__isnull', False), _connector='OR'), name='running_import_is_due')],
                },
            ),
            migrations.CreateModel(
                name='LockCount',
                fields=[
                    ('enterprise', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='+', serialize=False, to='foundation.enterprise', verbose_name='enterprise')),
                    ('minutes', models.JSONField(default=dict)),
                ],
                options={
                    'verbose_name': 'count of locks',
                    'verbose_name_plural': 'counts of locks',
                },
            ),
            migrations.CreateModel(
                name='LockHold',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('reason', models.CharField(choices=[('SETTLING', 'Online times settle after an outage'), ('TOO_MANY', 'Too many locks in an hour')], max_length=10, verbose_name='why')),
                    ('status', models.CharField(choices=[('HOLDING', 'Holds'), ('RELEASING', 'Being released'), ('CANCELLING', 'Being cancelled'), ('OVER', 'Over')], default='HOLDING', max_length=10, verbose_name='status')),
                    ('allowance', models.PositiveIntegerField(null=True, verbose_name='allowed in an hour')),
                    ('began_at', models.DateTimeField(verbose_name='since')),
                    ('due_at', models.DateTimeField(null=True)),
                    ('decided_at', models.DateTimeField(null=True, verbose_name='decided')),
                    ('decided_by', models.CharField(db_default='', default='', max_length=160, verbose_name='by')),
                    ('number', models.PositiveIntegerField(null=True, verbose_name='locks')),
                    ('ended_at', models.DateTimeField(null=True, verbose_name='over since')),
                    ('enterprise', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                ],
                options={
                    'verbose_name': 'hold on locks',
                    'verbose_name_plural': 'holds on locks',
                    'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='hold_due'), models.Index(fields=['enterprise', '-id'], name='hold_of_enterprise'), models.Index(condition=models.Q(('status', 'OVER'), _negated=True), fields=['status'], name='hold_at_work')],
                    'constraints': [models.UniqueConstraint(condition=models.Q(('status', 'HOLDING')), fields=('enterprise', 'reason'), name='one_hold_on'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('status', 'HOLDING')), models.Q(models.Q(('status', 'HOLDING'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='a_hold_ends_by_decision'), models.CheckConstraint(condition=models.Q(models.Q(('due_at', None), ('ended_at__isnull', False), ('status', 'OVER')), models.Q(models.Q(('status', 'OVER'), _negated=True), ('ended_at__isnull', True)), _connector='OR'), name='a_hold_that_is_over_has_an_end')],
                },
            ),
            migrations.CreateModel(
                name='Command',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('slot', models.CharField(default='LOCK', max_length=10)),
                    ('kind', models.CharField(choices=[('LOCK', 'Lock'), ('UNLOCK', 'Unlock'), ('NOTICE', 'Notice')], max_length=10, verbose_name='command')),
                    ('generation', models.PositiveIntegerField(verbose_name='generation')),
                    ('ticket', models.UUIDField(default=uuid.uuid4, editable=False, unique=True, verbose_name='ticket')),
                    ('values', models.JSONField(verbose_name='property values')),
                    ('rule_version', models.PositiveIntegerField(verbose_name='rule version')),
                    ('confirms_by_report', models.BooleanField(default=True)),
                    ('status', models.CharField(choices=[('PENDING', 'Waits for the device'), ('SENT', 'Sent'), ('ACKED', 'Acknowledged'), ('CONFIRMED', 'Confirmed'), ('FAILED', 'Failed'), ('STALE', 'Cache time over'), ('CANCELLED', 'Cancelled'), ('SUPERSEDED', 'Superseded')], default='PENDING', max_length=10, verbose_name='status')),
                    ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                    ('refusals', models.PositiveSmallIntegerField(default=0, verbose_name='refused by the device')),
                    ('problem', models.CharField(db_default='', default='', max_length=300, verbose_name='problem')),
                    ('created_at', models.DateTimeField(verbose_name='created')),
                    ('stale_at', models.DateTimeField(verbose_name='kept until')),
                    ('due_at', models.DateTimeField(null=True)),
                    ('sent_at', models.DateTimeField(null=True, verbose_name='sent')),
                    ('acked_at', models.DateTimeField(null=True, verbose_name='acknowledged')),
                    ('confirmed_at', models.DateTimeField(null=True, verbose_name='confirmed')),
                    ('closed_at', models.DateTimeField(null=True, verbose_name='closed')),
                    ('enterprise', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                    ('device', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='commands', to='devices.device', verbose_name='device')),
                    ('released_at', models.DateTimeField(null=True, verbose_name='released')),
                    ('hold', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='commands', to='devices.lockhold', verbose_name='held by')),
                    ('announces_end', models.DateTimeField(null=True)),
                ],
                options={
                    'verbose_name': 'command',
                    'verbose_name_plural': 'commands',
                    'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='command_due'), models.Index(fields=['enterprise', 'status', '-id'], name='command_of_enterprise'), models.Index(condition=models.Q(('hold', None), ('status__in', ('PENDING', 'SENT'))), fields=['stale_at'], name='command_stale'), models.Index(condition=models.Q(('hold__isnull', False)), fields=['hold', 'id'], name='command_held')],
                    'constraints': [models.UniqueConstraint(condition=models.Q(('status__in', ('PENDING', 'SENT'))), fields=('device', 'slot'), name='one_open_command_per_slot'), models.UniqueConstraint(fields=('device', 'slot', 'generation'), name='command_generation_unique'), models.CheckConstraint(condition=models.Q(('hold', None), models.Q(('attempts', 0), ('due_at', None), ('kind', 'LOCK'), ('status', 'PENDING')), _connector='OR'), name='only_a_waiting_lock_is_held'), models.UniqueConstraint(condition=models.Q(('status', 'SENT')), fields=('device',), name='one_command_in_flight')],
                },
            ),
            migrations.CreateModel(
                name='DeviceService',
                fields=[
                    ('device', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='service', serialize=False, to='devices.device', verbose_name='device')),
                    ('state', models.CharField(choices=[('PENDING', 'Pending'), ('TRIAL', 'Trial'), ('ACTIVE', 'Active'), ('FREE', 'Free'), ('EXPIRED', 'Expired'), ('TERMINATED', 'Terminated')], default='PENDING', max_length=10, verbose_name='service')),
                    ('state_since', models.DateTimeField(verbose_name='since')),
                    ('life', models.PositiveSmallIntegerField(default=1, verbose_name='life')),
                    ('counts_from', models.BigIntegerField(default=None, null=True)),
                    ('counted_at_pause', models.BigIntegerField(default=None, null=True)),
                    ('trial_started_at', models.DateTimeField(null=True, verbose_name='trial started')),
                    ('trial_ended_at', models.DateTimeField(null=True, verbose_name='trial ended')),
                    ('trial_end_seconds', models.PositiveIntegerField(null=True)),
                    ('auto_spent', models.BooleanField(default=False)),
                    ('auto_failed_at', models.DateTimeField(null=True)),
                    ('anchor', models.DateTimeField(null=True)),
                    ('anchor_months', models.PositiveSmallIntegerField(default=0)),
                    ('periods_made', models.PositiveIntegerField(default=0)),
                    ('ends_at', models.DateTimeField(null=True, verbose_name='ends')),
                    ('due_at', models.DateTimeField(null=True, verbose_name='next change')),
                    ('desired_lock', models.CharField(choices=[('UNKNOWN', 'Unknown'), ('LOCKED', 'Locked'), ('UNLOCKED', 'Unlocked')], default='UNKNOWN', max_length=8, verbose_name='lock wanted')),
                    ('reported_lock', models.CharField(choices=[('UNKNOWN', 'Unknown'), ('LOCKED', 'Locked'), ('UNLOCKED', 'Unlocked')], default='UNKNOWN', max_length=8, verbose_name='lock reported')),
                    ('reported_lock_at', models.DateTimeField(null=True, verbose_name='reported')),
                    ('generation', models.PositiveIntegerField(default=0)),
                    ('last_event_at', models.DateTimeField()),
                    ('enterprise', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                    ('level', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.servicelevel', verbose_name='service level')),
                    ('product', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='services', to='catalog.product', verbose_name='product')),
                    ('life_began_at', models.DateTimeField(default=None, null=True)),
                ],
                options={
                    'verbose_name': 'device service',
                    'verbose_name_plural': 'device service',
                    'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='service_due'), models.Index(fields=['enterprise', 'state', '-device'], name='service_of_enterprise'), models.Index(fields=['enterprise', 'ends_at'], name='service_end'), models.Index(fields=['ends_at', 'device'], name='service_ends')],
                    'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('state', 'ACTIVE'), _negated=True), ('ends_at__isnull', False), _connector='OR'), name='active_has_an_end'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'TRIAL'), _negated=True), ('trial_end_seconds__isnull', False), _connector='OR'), name='trial_end_is_frozen'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'TERMINATED'), _negated=True), ('due_at__isnull', True), _connector='OR'), name='terminated_is_never_due')],
                },
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
            migrations.CreateModel(
                name='EarlyEnd',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('number', models.PositiveIntegerField(verbose_name='number')),
                    ('previous_ends_at', models.DateTimeField(verbose_name='would have ended')),
                    ('ends_at', models.DateTimeField(verbose_name='ended')),
                    ('source', models.CharField(max_length=60, unique=True, verbose_name='source')),
                    ('created_at', models.DateTimeField(verbose_name='made')),
                    ('device', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='early_ends', to='devices.device', verbose_name='device')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                ],
                options={
                    'verbose_name': 'early end',
                    'verbose_name_plural': 'early ends',
                    'constraints': [models.CheckConstraint(condition=models.Q(('ends_at__lt', models.F('previous_ends_at'))), name='a_cut_takes_time_away'), models.UniqueConstraint(fields=('device', 'number', 'previous_ends_at'), name='a_cut_follows_the_last')],
                },
            ),
            migrations.CreateModel(
                name='ImportRow',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('line', models.PositiveIntegerField(verbose_name='line')),
                    ('status', models.CharField(default='NEW', max_length=5)),
                    ('values', models.JSONField()),
                    ('problems', models.JSONField(default=list)),
                    ('secret', models.TextField(db_default='', default='')),
                    ('device', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='devices.device')),
                    ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rows', to='devices.import', verbose_name='import')),
                ],
                options={
                    'verbose_name': 'line of an import',
                    'verbose_name_plural': 'lines of imports',
                    'indexes': [models.Index(fields=['job', 'status', 'line'], name='import_rows_by_status')],
                    'constraints': [models.UniqueConstraint(fields=('job', 'line'), name='import_line_once')],
                },
            ),
            migrations.CreateModel(
                name='Period',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('number', models.PositiveIntegerField(verbose_name='number')),
                    ('life', models.PositiveSmallIntegerField(default=1, verbose_name='life')),
                    ('kind', models.CharField(choices=[('INCLUDED', 'Included'), ('PAID', 'Paid')], max_length=10, verbose_name='kind')),
                    ('plan_name', models.CharField(max_length=80, verbose_name='plan')),
                    ('months', models.PositiveSmallIntegerField(verbose_name='months')),
                    ('anchor', models.DateTimeField()),
                    ('anchor_months', models.PositiveSmallIntegerField()),
                    ('previous_ends_at', models.DateTimeField(null=True)),
                    ('starts_at', models.DateTimeField(verbose_name='starts')),
                    ('ends_at', models.DateTimeField(verbose_name='ends')),
                    ('source', models.CharField(max_length=60, verbose_name='source')),
                    ('created_at', models.DateTimeField(verbose_name='made')),
                    ('device', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='periods', to='devices.device', verbose_name='device')),
                    ('enterprise', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                    ('level', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.servicelevel', verbose_name='service level')),
                ],
                options={
                    'verbose_name': 'period',
                    'verbose_name_plural': 'periods',
                    'ordering': ('device', 'number'),
                    'constraints': [models.UniqueConstraint(fields=('device', 'number'), name='period_number_unique'), models.CheckConstraint(condition=models.Q(('starts_at__lt', models.F('ends_at'))), name='period_has_a_length'), models.CheckConstraint(condition=models.Q(('previous_ends_at__isnull', True), ('starts_at__gte', models.F('previous_ends_at')), _connector='OR'), name='periods_do_not_overlap'), models.UniqueConstraint(fields=('source',), name='period_source_unique')],
                },
            ),
            migrations.CreateModel(
                name='Presence',
                fields=[
                    ('device', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='presence', serialize=False, to='devices.device', verbose_name='device')),
                    ('is_online', models.BooleanField(default=False, verbose_name='online')),
                    ('session', models.CharField(max_length=64, null=True)),
                    ('session_started_at', models.DateTimeField(null=True)),
                    ('open_since', models.DateTimeField(null=True, verbose_name='online since')),
                    ('counted', models.BigIntegerField(default=0)),
                    ('last_seen_at', models.DateTimeField(null=True, verbose_name='last seen')),
                    ('last_event_at', models.DateTimeField(null=True)),
                    ('keepalive', models.PositiveIntegerField(null=True)),
                    ('forgotten', models.BigIntegerField(db_default=0, default=0)),
                ],
                options={
                    'verbose_name': 'presence',
                    'verbose_name_plural': 'presence',
                },
            ),
            migrations.CreateModel(
                name='PresenceSession',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('session', models.CharField(default='', max_length=64, verbose_name='session')),
                    ('started_at', models.DateTimeField(verbose_name='from')),
                    ('ended_at', models.DateTimeField(verbose_name='to')),
                    ('estimated', models.BooleanField(default=False, verbose_name='estimated')),
                    ('device', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='sessions', to='devices.device', verbose_name='device')),
                ],
                options={
                    'verbose_name': 'online session',
                    'verbose_name_plural': 'online sessions',
                    'indexes': [models.Index(fields=['device', '-ended_at'], name='session_of_device')],
                    'constraints': [models.CheckConstraint(condition=models.Q(('started_at__lte', models.F('ended_at'))), name='session_ends_after_it_starts'), models.UniqueConstraint(fields=('device', 'session', 'started_at', 'ended_at'), name='session_closed_once')],
                },
            ),
            migrations.CreateModel(
                name='PublicToken',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                    ('created_at', models.DateTimeField(verbose_name='issued')),
                    ('revoked_at', models.DateTimeField(null=True, verbose_name='revoked')),
                    ('device', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='public_tokens', to='devices.device', verbose_name='device')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                ],
                options={
                    'verbose_name': 'renewal link',
                    'verbose_name_plural': 'renewal links',
                },
            ),
            migrations.CreateModel(
                name='StuckService',
                fields=[
                    ('device', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='stuck', serialize=False, to='devices.device', verbose_name='device')),
                    ('attempts', models.PositiveSmallIntegerField(default=0, verbose_name='attempts')),
                    ('attempted_at', models.DateTimeField(verbose_name='last attempt')),
                    ('problem', models.CharField(db_default='', default='', max_length=300, verbose_name='problem')),
                    ('dead_at', models.DateTimeField(null=True, verbose_name='given up')),
                ],
                options={
                    'verbose_name': 'stuck service',
                    'verbose_name_plural': 'stuck services',
                },
            ),
            migrations.CreateModel(
                name='Validity',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('kind', models.CharField(choices=[('SIM', 'SIM'), ('RTK', 'RTK')], max_length=10, verbose_name='service')),
                    ('starts_at', models.DateTimeField(null=True, verbose_name='valid from')),
                    ('ends_at', models.DateTimeField(verbose_name='valid until')),
                    ('set_at', models.DateTimeField(verbose_name='set')),
                    ('set_by', models.CharField(db_default='', default='', max_length=160, verbose_name='set by')),
                    ('device', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='validities', to='devices.device', verbose_name='device')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                    ('product', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.product', verbose_name='product')),
                ],
                options={
                    'verbose_name': 'SIM or RTK service',
                    'verbose_name_plural': 'SIM and RTK services',
                    'indexes': [models.Index(fields=['enterprise', 'ends_at', 'id'], name='validity_of_enterprise'), models.Index(fields=['product', 'ends_at'], name='validity_of_product'), models.Index(fields=['ends_at'], name='validity_ends')],
                    'constraints': [models.UniqueConstraint(fields=('device', 'kind'), name='one_validity_per_service'), models.CheckConstraint(condition=models.Q(('starts_at__isnull', True), ('starts_at__lt', models.F('ends_at')), _connector='OR'), name='validity_starts_before_end')],
                },
            ),
        ]),
        append_only('devices_period'),
        append_only('devices_earlyend'),
        migrations.RunPython(leave_room, migrations.RunPython.noop),
        *(prefix_index('devices_device', column) for column in ('key', 'serial', 'iccid', 'name')),
    ]
