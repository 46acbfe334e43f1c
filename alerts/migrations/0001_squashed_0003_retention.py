"""What an empty database takes in place of 0001 to 0003: each table made whole, then the trigger of the outbox.

Whoever has applied some of the replaced migrations goes on by them. The next one is 0004.
"""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from amp.foundation.squashing import CreateModels


# Each new event leaves a row in alerts_waitingevent, within its own transaction, while somebody listens. Kinds that are
# born in bulk and have no public type leave none.
WANTED = "kind NOT LIKE 'device.%' AND kind NOT LIKE 'command.%'"
LISTENS = "EXISTS (SELECT 1 FROM alerts_webhook WHERE state = 'ENABLED' AND removed_at IS NULL)"
FUNCTION = f"""
CREATE FUNCTION alerts_note_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {LISTENS} THEN
        INSERT INTO alerts_waitingevent (event_id) SELECT id FROM born WHERE {WANTED};
    END IF;
    RETURN NULL;
END $$
"""


def note_events(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FUNCTION, params=None)
        schema_editor.execute(
            "CREATE TRIGGER alerts_note_events AFTER INSERT ON foundation_event "
            "REFERENCING NEW TABLE AS born FOR EACH STATEMENT EXECUTE FUNCTION alerts_note_events()"
        )
    else:
        wanted = WANTED.replace("kind", "NEW.kind")
        schema_editor.execute(
            f"CREATE TRIGGER alerts_note_events AFTER INSERT ON foundation_event WHEN {wanted} AND {LISTENS} "
            "BEGIN INSERT INTO alerts_waitingevent (event_id) VALUES (NEW.id); END",
            params=None,
        )


def forget_events(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER alerts_note_events ON foundation_event")
        schema_editor.execute("DROP FUNCTION alerts_note_events()")
    else:
        schema_editor.execute("DROP TRIGGER alerts_note_events")


class Migration(migrations.Migration):

    replaces = [('alerts', '0001_webhooks'), ('alerts', '0002_notices'), ('alerts', '0003_retention')]

    initial = True

    dependencies = [
        ('devices', '0016_retention'),
        ('foundation', '0012_retention'),
    ]

    operations = [
        CreateModels([
            migrations.CreateModel(
                name='DigestMail',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('counts', models.JSONField()),
                    ('status', models.CharField(choices=[('WAITING', 'Waiting'), ('SENT', 'Sent'), ('FAILED', 'Failed')], default='WAITING', max_length=8, verbose_name='status')),
                    ('attempts', models.PositiveSmallIntegerField(default=0, verbose_name='attempts')),
                    ('due_at', models.DateTimeField(null=True)),
                    ('created_at', models.DateTimeField(verbose_name='made')),
                    ('sent_at', models.DateTimeField(null=True, verbose_name='sent')),
                    ('problem', models.CharField(db_default='', default='', max_length=200, verbose_name='problem')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                    ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='recipient')),
                ],
                options={
                    'verbose_name': 'digest',
                    'verbose_name_plural': 'digests',
                    'indexes': [models.Index(condition=models.Q(('status', 'WAITING')), fields=['due_at'], name='digest_mail_due')],
                },
            ),
            migrations.CreateModel(
                name='EnterpriseChannels',
                fields=[
                    ('enterprise', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='+', serialize=False, to='foundation.enterprise', verbose_name='enterprise')),
                    ('email_since', models.DateTimeField(null=True, verbose_name='e-mail since')),
                    ('in_app_since', models.DateTimeField(null=True, verbose_name='inbox since')),
                    ('webhook_since', models.DateTimeField(null=True, verbose_name='webhooks since')),
                    ('digest_due_at', models.DateTimeField(null=True)),
                ],
                options={
                    'verbose_name': 'channels of an enterprise',
                    'verbose_name_plural': 'channels of enterprises',
                    'indexes': [models.Index(condition=models.Q(('digest_due_at__isnull', False)), fields=['digest_due_at'], name='digest_due')],
                },
            ),
            migrations.CreateModel(
                name='ExtraThreshold',
                fields=[
                    ('days', models.PositiveSmallIntegerField(primary_key=True, serialize=False, verbose_name='days before')),
                    ('added_at', models.DateTimeField(verbose_name='added')),
                ],
                options={
                    'verbose_name': 'further threshold',
                    'verbose_name_plural': 'further thresholds',
                    'constraints': [models.CheckConstraint(condition=models.Q(('days__gte', 1), ('days__lte', 365)), name='threshold_within_a_year'), models.CheckConstraint(condition=models.Q(('days__in', [30, 7, 1]), _negated=True), name='threshold_is_a_further_one')],
                },
            ),
            migrations.CreateModel(
                name='InboxEntry',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('service', models.CharField(choices=[('SIM', 'SIM'), ('RTK', 'RTK'), ('DEVICE', 'Device service')], max_length=6, verbose_name='service')),
                    ('days', models.PositiveSmallIntegerField(verbose_name='days before')),
                    ('day', models.DateField(verbose_name='day')),
                    ('devices', models.PositiveIntegerField(default=0, verbose_name='devices')),
                    ('last_at', models.DateTimeField(verbose_name='last')),
                    ('enterprise', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                ],
                options={
                    'verbose_name': 'inbox entry',
                    'verbose_name_plural': 'inbox',
                    'indexes': [models.Index(fields=['enterprise', '-id'], name='entry_of_enterprise')],
                    'constraints': [models.UniqueConstraint(fields=('enterprise', 'service', 'days', 'day'), name='one_entry_per_day')],
                },
            ),
            migrations.CreateModel(
                name='Notice',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('service', models.CharField(choices=[('SIM', 'SIM'), ('RTK', 'RTK'), ('DEVICE', 'Device service')], max_length=6, verbose_name='service')),
                    ('ends_at', models.DateTimeField(verbose_name='end announced')),
                    ('days', models.PositiveSmallIntegerField(verbose_name='days before')),
                    ('channel', models.CharField(choices=[('TSL', 'Device (TSL)'), ('EMAIL', 'Mail'), ('IN_APP', 'Inbox'), ('WEBHOOK', 'Webhook')], max_length=8, verbose_name='channel')),
                    ('status', models.CharField(choices=[('DUE', 'Due'), ('HANDED_OVER', 'Handed over'), ('SENT', 'Sent'), ('SKIPPED', 'Skipped'), ('CANCELLED', 'Cancelled'), ('UNSUPPORTED', 'Not supported'), ('FAILED', 'Failed')], default='DUE', max_length=12, verbose_name='status')),
                    ('reason', models.CharField(blank=True, choices=[('', ''), ('OVERTAKEN', 'A more urgent notice took its place.'), ('PAST_END', 'The service had ended before the notice could go out.'), ('FROZEN', 'Paid service was off for the product.'), ('END_MOVED', 'The end was moved before the notice went out.'), ('SERVICE_STOPPED', 'The service stopped before the notice went out.'), ('SWITCHED_OFF', 'Alerts were switched off before the notice went out.'), ('NO_TSL', 'The product has no TSL. Import one with the notice property.'), ('NO_PROPERTY', "The product's TSL lacks the notice property, or has it in another form."), ('NO_RECIPIENT', 'Nobody who could get the mail is a member of the enterprise.')], db_default='', default='', max_length=16, verbose_name='reason')),
                    ('detail', models.CharField(blank=True, db_default='', default='', max_length=300)),
                    ('falls_due_at', models.DateTimeField(verbose_name='due')),
                    ('noticed_at', models.DateTimeField(verbose_name='noticed')),
                    ('closed_at', models.DateTimeField(null=True, verbose_name='done')),
                    ('command', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='devices.command', to_field='ticket', verbose_name='command')),
                    ('device', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='notices', to='devices.device', verbose_name='device')),
                    ('enterprise', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                ],
                options={
                    'verbose_name': 'notice',
                    'verbose_name_plural': 'notices',
                    'indexes': [models.Index(condition=models.Q(('status', 'DUE')), fields=['channel', 'id'], name='notice_due'), models.Index(fields=['enterprise', '-id'], name='notice_of_enterprise'), models.Index(condition=models.Q(('command__isnull', False)), fields=['command'], name='notice_of_command')],
                    'constraints': [models.UniqueConstraint(fields=('device', 'service', 'ends_at', 'days', 'channel'), name='one_notice_per_end_and_threshold'), models.CheckConstraint(condition=models.Q(models.Q(('channel', 'TSL'), _negated=True), ('days__in', [30, 7, 1]), _connector='OR'), name='tsl_has_three_values'), models.CheckConstraint(condition=models.Q(('status__in', ['DUE', 'HANDED_OVER', 'SENT']), models.Q(('reason', ''), _negated=True), _connector='OR'), name='what_did_not_go_says_why')],
                },
            ),
            migrations.CreateModel(
                name='WaitingEvent',
                fields=[
                    ('event', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='+', serialize=False, to='foundation.event', verbose_name='event')),
                ],
            ),
            migrations.CreateModel(
                name='Watch',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('service', models.CharField(choices=[('SIM', 'SIM'), ('RTK', 'RTK'), ('DEVICE', 'Device service')], max_length=6)),
                    ('days', models.PositiveSmallIntegerField()),
                    ('looked_until', models.DateTimeField()),
                    ('goal', models.DateTimeField(null=True)),
                    ('at_end', models.DateTimeField(null=True)),
                    ('at_device', models.BigIntegerField(default=0)),
                ],
                options={
                    'verbose_name': 'watch',
                    'verbose_name_plural': 'watches',
                    'constraints': [models.UniqueConstraint(fields=('service', 'days'), name='one_watch_per_threshold')],
                },
            ),
            migrations.CreateModel(
                name='Webhook',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                    ('name', models.CharField(max_length=80, verbose_name='name')),
                    ('url', models.CharField(max_length=500, verbose_name='URL')),
                    ('types', models.JSONField(default=list, verbose_name='events')),
                    ('includes_descendants', models.BooleanField(default=True, verbose_name='with the enterprises below')),
                    ('state', models.CharField(choices=[('ENABLED', 'Enabled'), ('DISABLED', 'Disabled')], default='ENABLED', max_length=10, verbose_name='state')),
                    ('state_since', models.DateTimeField(verbose_name='since')),
                    ('state_why', models.CharField(blank=True, choices=[('BY_STAFF', 'Switched off by staff'), ('FAILED', 'No delivery succeeded for 72 hours'), ('GONE', 'The receiver answered 410: it wants no more events')], default='', max_length=10, verbose_name='why')),
                    ('secret', models.TextField(editable=False)),
                    ('secret_since', models.DateTimeField(verbose_name='secret since')),
                    ('old_secret', models.TextField(default='', editable=False)),
                    ('old_until', models.DateTimeField(null=True, verbose_name='old secret until')),
                    ('created_at', models.DateTimeField(verbose_name='created')),
                    ('created_by', models.CharField(max_length=160, verbose_name='created by')),
                    ('removed_at', models.DateTimeField(null=True, verbose_name='removed')),
                    ('failing_since', models.DateTimeField(null=True, verbose_name='failing since')),
                    ('failures', models.PositiveIntegerField(default=0)),
                    ('paused_until', models.DateTimeField(null=True)),
                    ('succeeded_at', models.DateTimeField(null=True, verbose_name='last delivered')),
                    ('served_at', models.DateTimeField(null=True)),
                    ('tell_at', models.DateTimeField(null=True)),
                    ('tell_attempts', models.PositiveSmallIntegerField(default=0)),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='webhooks', to='foundation.enterprise', verbose_name='enterprise')),
                ],
                options={
                    'verbose_name': 'webhook',
                    'verbose_name_plural': 'webhooks',
                    'indexes': [models.Index(fields=['enterprise', '-id'], name='webhook_of_enterprise'), models.Index(condition=models.Q(('state', 'ENABLED')), fields=['served_at'], name='webhook_enabled'), models.Index(condition=models.Q(('tell_at__isnull', False)), fields=['tell_at'], name='webhook_to_tell')],
                    'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('state', 'ENABLED'), ('state_why', '')), models.Q(('state', 'DISABLED'), models.Q(('state_why', ''), _negated=True)), _connector='OR'), name='webhook_says_why'), models.CheckConstraint(condition=models.Q(models.Q(('old_secret', ''), ('old_until__isnull', True)), models.Q(models.Q(('old_secret', ''), _negated=True), ('old_until__isnull', False)), _connector='OR'), name='webhook_old_secret_ends')],
                },
            ),
            migrations.CreateModel(
                name='InboxRead',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('read_at', models.DateTimeField(verbose_name='read')),
                    ('entry', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reads', to='alerts.inboxentry', verbose_name='entry')),
                    ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
                ],
                options={
                    'verbose_name': 'read',
                    'verbose_name_plural': 'read',
                    'constraints': [models.UniqueConstraint(fields=('user', 'entry'), name='read_once')],
                },
            ),
            migrations.CreateModel(
                name='WebhookDelivery',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('type', models.CharField(max_length=60, verbose_name='event')),
                    ('status', models.CharField(choices=[('PENDING', 'Waits'), ('DELIVERED', 'Delivered'), ('DEAD', 'Given up'), ('WITHHELD', 'Withheld')], default='PENDING', max_length=10, verbose_name='status')),
                    ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                    ('created_at', models.DateTimeField(verbose_name='created')),
                    ('first_attempt_at', models.DateTimeField(null=True)),
                    ('next_attempt_at', models.DateTimeField(null=True, verbose_name='next attempt')),
                    ('leased_until', models.DateTimeField(null=True)),
                    ('ended_at', models.DateTimeField(null=True, verbose_name='ended')),
                    ('response_status', models.PositiveSmallIntegerField(null=True, verbose_name='answer')),
                    ('response_excerpt', models.CharField(default='', max_length=300, verbose_name='beginning of the answer')),
                    ('duration_ms', models.PositiveIntegerField(null=True, verbose_name='took')),
                    ('problem', models.CharField(default='', max_length=200, verbose_name='problem')),
                    ('enterprise', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise')),
                    ('event', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.event', verbose_name='event')),
                    ('webhook', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='alerts.webhook', verbose_name='webhook')),
                ],
                options={
                    'verbose_name': 'delivery',
                    'verbose_name_plural': 'deliveries',
                    'indexes': [models.Index(condition=models.Q(('status', 'PENDING')), fields=['webhook', 'next_attempt_at'], name='delivery_due'), models.Index(condition=models.Q(('leased_until__isnull', False)), fields=['webhook', 'leased_until'], name='delivery_leased'), models.Index(condition=models.Q(('status', 'DEAD')), fields=['webhook', 'ended_at'], name='delivery_dead'), models.Index(fields=['enterprise', '-id'], name='delivery_of_enterprise'), models.Index(fields=['webhook', '-id'], name='delivery_of_webhook')],
                    'constraints': [models.UniqueConstraint(fields=('webhook', 'event'), name='one_delivery_per_event'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('next_attempt_at__isnull', False), ('status', 'PENDING')), models.Q(models.Q(('status', 'PENDING'), _negated=True), ('ended_at__isnull', False), ('next_attempt_at__isnull', True)), _connector='OR'), name='delivery_waits_or_ended')],
                },
            ),
            migrations.CreateModel(
                name='WebhookAttempt',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('number', models.PositiveIntegerField(verbose_name='attempt')),
                    ('started_at', models.DateTimeField(verbose_name='started')),
                    ('response_status', models.PositiveSmallIntegerField(null=True, verbose_name='answer')),
                    ('duration_ms', models.PositiveIntegerField(verbose_name='took')),
                    ('problem', models.CharField(default='', max_length=200, verbose_name='problem')),
                    ('delivery', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='log', to='alerts.webhookdelivery')),
                ],
                options={
                    'verbose_name': 'attempt',
                    'verbose_name_plural': 'attempts',
                },
            ),
        ]),
        migrations.RunPython(note_events, forget_events),
    ]
