"""What an empty database takes in place of 0001 to 0007: each table made whole, then what the database guards by itself.

It ends before 0008, which needs the tables of django-otp, which in turn need our users. Whoever has applied some of the
replaced migrations goes on by them.
"""

import datetime
import django.core.validators
import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from amp.foundation.appendonly import append_only
from amp.foundation.squashing import CreateModels


def by_moment(apps, schema_editor):
    """A coarse index of moments: events come in the order in which they happened."""
    if schema_editor.connection.vendor == 'postgresql':
        schema_editor.execute(
            'CREATE INDEX event_by_moment ON foundation_event USING brin (happened_at) WITH (pages_per_range = 32)'
        )


def without(apps, schema_editor):
    if schema_editor.connection.vendor == 'postgresql':
        schema_editor.execute('DROP INDEX event_by_moment')


class Migration(migrations.Migration):

    replaces = [('foundation', '0001_initial'), ('foundation', '0002_append_only'), ('foundation', '0003_figures_and_configuration'), ('foundation', '0004_api_keys'), ('foundation', '0005_saved_views'), ('foundation', '0006_staff'), ('foundation', '0007_audit_indexes')]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        CreateModels([
            migrations.CreateModel(
                name='Enterprise',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('name', models.CharField(max_length=120, verbose_name='name')),
                    ('path', models.CharField(editable=False, max_length=500, unique=True)),
                    ('time_zone', models.CharField(default='Asia/Shanghai', max_length=64, verbose_name='time zone')),
                    ('currency', models.CharField(default='CNY', max_length=3, verbose_name='currency')),
                    ('created_at', models.DateTimeField(verbose_name='created')),
                    ('parent', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='foundation.enterprise', verbose_name='parent enterprise')),
                ],
                options={
                    'verbose_name': 'enterprise',
                    'verbose_name_plural': 'organization',
                    'ordering': ('path',),
                },
            ),
            migrations.CreateModel(
                name='PlatformConfiguration',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('order_minutes', models.PositiveSmallIntegerField(null=True, verbose_name='minutes to pay an order')),
                    ('sim_alerts_since', models.DateTimeField(null=True, verbose_name='SIM expiry alerts since')),
                    ('rtk_alerts_since', models.DateTimeField(null=True, verbose_name='RTK expiry alerts since')),
                    ('device_alerts_since', models.DateTimeField(null=True, verbose_name='device service expiry alerts since')),
                    ('changed_at', models.DateTimeField(null=True, verbose_name='changed')),
                ],
                options={
                    'verbose_name': 'platform configuration',
                    'verbose_name_plural': 'platform configuration',
                    'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='one_platform_configuration'), models.CheckConstraint(condition=models.Q(('order_minutes', None), models.Q(('order_minutes__gte', 5), ('order_minutes__lte', 1440)), _connector='OR'), name='order_minutes_in_bounds')],
                },
            ),
            migrations.CreateModel(
                name='SweepRun',
                fields=[
                    ('name', models.CharField(max_length=60, primary_key=True, serialize=False, verbose_name='sweep')),
                    ('started_at', models.DateTimeField(verbose_name='started')),
                    ('finished_at', models.DateTimeField(null=True, verbose_name='finished')),
                    ('found', models.PositiveIntegerField(default=0, verbose_name='rows found')),
                    ('oldest_due_at', models.DateTimeField(null=True, verbose_name='oldest due')),
                    ('failed_because', models.CharField(default='', max_length=400, verbose_name='failed because')),
                ],
                options={
                    'verbose_name': 'sweep',
                    'verbose_name_plural': 'sweeps',
                },
            ),
            migrations.CreateModel(
                name='TestClock',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('shift', models.DurationField(default=datetime.timedelta)),
                    ('moved_at', models.DateTimeField()),
                ],
                options={
                    'verbose_name': 'test clock',
                    'verbose_name_plural': 'test clock',
                    'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='one_test_clock')],
                },
            ),
            migrations.CreateModel(
                name='User',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('password', models.CharField(max_length=128, verbose_name='password')),
                    ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                    ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                    ('email', models.EmailField(max_length=254, unique=True, verbose_name='e-mail')),
                    ('full_name', models.CharField(blank=True, max_length=120, verbose_name='name')),
                    ('language', models.CharField(default='en', max_length=10, verbose_name='language')),
                    ('is_active', models.BooleanField(default=True, verbose_name='active')),
                    ('is_staff', models.BooleanField(default=True, verbose_name='may sign in to the admin')),
                    ('created_at', models.DateTimeField(verbose_name='created')),
                    ('uses_totp', models.BooleanField(db_default=False, default=False, verbose_name='two-step sign-in')),
                    ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                    ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
                ],
                options={
                    'verbose_name': 'user',
                    'verbose_name_plural': 'users',
                },
            ),
            migrations.CreateModel(
                name='ApiKey',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('name', models.CharField(max_length=80, verbose_name='name')),
                    ('prefix', models.CharField(max_length=16, unique=True, verbose_name='key begins with')),
                    ('key_hash', models.CharField(editable=False, max_length=64, unique=True)),
                    ('scopes', models.JSONField(default=list, verbose_name='scopes')),
                    ('created_at', models.DateTimeField(verbose_name='created')),
                    ('expires_at', models.DateTimeField(verbose_name='expires')),
                    ('revoked_at', models.DateTimeField(null=True, verbose_name='revoked')),
                    ('last_used_at', models.DateTimeField(null=True, verbose_name='last used')),
                    ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='created by')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='api_keys', to='foundation.enterprise', verbose_name='enterprise')),
                ],
                options={
                    'verbose_name': 'API key',
                    'verbose_name_plural': 'API keys',
                    'indexes': [models.Index(fields=['enterprise', '-id'], name='api_key_of_enterprise')],
                },
            ),
            migrations.CreateModel(
                name='Event',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('public_id', models.UUIDField(default=uuid.uuid4, editable=False)),
                    ('kind', models.CharField(max_length=60, verbose_name='event')),
                    ('subject', models.CharField(max_length=60, verbose_name='subject')),
                    ('actor', models.CharField(max_length=160, verbose_name='by')),
                    ('before', models.JSONField(null=True, verbose_name='before')),
                    ('after', models.JSONField(null=True, verbose_name='after')),
                    ('why', models.CharField(db_default='', default='', max_length=400, verbose_name='why')),
                    ('happened_at', models.DateTimeField(verbose_name='happened')),
                    ('noticed_at', models.DateTimeField(verbose_name='noticed')),
                    ('enterprise', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                ],
                options={
                    'verbose_name': 'event',
                    'verbose_name_plural': 'audit',
                    'indexes': [models.Index(fields=['subject', '-happened_at', '-id'], name='event_of_subject'), models.Index(fields=['enterprise', '-id'], name='event_of_enterprise'), models.Index(condition=models.Q(('actor__contains', '@')), fields=['actor', '-id'], name='event_by_person'), models.Index(condition=models.Q(models.Q(('kind__startswith', 'device'), _negated=True), models.Q(('kind__startswith', 'command.'), _negated=True)), fields=['kind', '-id'], name='event_not_in_bulk')],
                },
            ),
            migrations.CreateModel(
                name='Figure',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('name', models.CharField(max_length=24)),
                    ('bucket', models.CharField(db_default='', default='', max_length=24)),
                    ('number', models.BigIntegerField()),
                    ('enterprise', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise')),
                ],
                options={
                    'verbose_name': 'figure',
                    'verbose_name_plural': 'figures',
                    'constraints': [models.UniqueConstraint(fields=('enterprise', 'name', 'bucket'), name='figure_unique')],
                },
            ),
            migrations.CreateModel(
                name='Invitation',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('email', models.EmailField(max_length=254, verbose_name='e-mail')),
                    ('full_name', models.CharField(blank=True, max_length=120, verbose_name='name')),
                    ('role', models.CharField(choices=[('PLATFORM_ADMINISTRATOR', 'Platform administrator'), ('ACCOUNT_MANAGER', 'Account manager'), ('ENTERPRISE_ADMINISTRATOR', 'Enterprise administrator'), ('OPERATOR', 'Operator'), ('FINANCE', 'Finance'), ('READ_ONLY', 'Read only')], max_length=24, verbose_name='role')),
                    ('language', models.CharField(default='en', max_length=10, verbose_name='language')),
                    ('token_hash', models.CharField(editable=False, max_length=64, unique=True)),
                    ('created_at', models.DateTimeField(verbose_name='invited')),
                    ('expires_at', models.DateTimeField(verbose_name='link ends')),
                    ('sent_at', models.DateTimeField(null=True, verbose_name='mail sent')),
                    ('send_failure', models.CharField(blank=True, default='', max_length=200, verbose_name='mail failed')),
                    ('accepted_at', models.DateTimeField(null=True, verbose_name='accepted')),
                    ('voided_at', models.DateTimeField(null=True, verbose_name='withdrawn')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                    ('invited_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='invited by')),
                ],
                options={
                    'verbose_name': 'invitation',
                    'verbose_name_plural': 'invitations',
                    'constraints': [models.UniqueConstraint(condition=models.Q(('accepted_at', None), ('voided_at', None)), fields=('enterprise', 'email'), name='one_open_invitation_per_address')],
                },
            ),
            migrations.CreateModel(
                name='Membership',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('role', models.CharField(choices=[('PLATFORM_ADMINISTRATOR', 'Platform administrator'), ('ACCOUNT_MANAGER', 'Account manager'), ('ENTERPRISE_ADMINISTRATOR', 'Enterprise administrator'), ('OPERATOR', 'Operator'), ('FINANCE', 'Finance'), ('READ_ONLY', 'Read only')], max_length=24, verbose_name='role')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='memberships', to='foundation.enterprise', verbose_name='enterprise')),
                    ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL, verbose_name='user')),
                ],
                options={
                    'verbose_name': 'member',
                    'verbose_name_plural': 'members',
                    'constraints': [models.UniqueConstraint(fields=('user', 'enterprise'), name='one_role_per_user_and_enterprise')],
                },
            ),
            migrations.CreateModel(
                name='Merchant',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('name', models.CharField(max_length=160, verbose_name='legal name')),
                    ('merchant_id', models.CharField(max_length=32, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9_-]{4,32}$', 'Use 4 to 32 letters, digits, - or _.')], verbose_name='BSS merchant ID')),
                    ('status', models.CharField(choices=[('DRAFT', 'Draft'), ('VERIFIED', 'Verified'), ('RETIRED', 'Retired')], default='DRAFT', max_length=10, verbose_name='status')),
                    ('created_at', models.DateTimeField(verbose_name='created')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='merchants', to='foundation.enterprise', verbose_name='enterprise')),
                    ('proposed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='proposed by')),
                    ('verified_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='verified by')),
                ],
                options={
                    'verbose_name': 'merchant',
                    'verbose_name_plural': 'merchants',
                    'constraints': [models.UniqueConstraint(condition=models.Q(('status', 'VERIFIED')), fields=('enterprise',), name='one_verified_merchant_per_enterprise'), models.UniqueConstraint(condition=models.Q(('status', 'DRAFT')), fields=('enterprise',), name='one_draft_merchant_per_enterprise')],
                },
            ),
            migrations.CreateModel(
                name='SavedView',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('list_name', models.CharField(max_length=60)),
                    ('name', models.CharField(max_length=60, verbose_name='name')),
                    ('query', models.CharField(blank=True, max_length=2000)),
                    ('is_shared', models.BooleanField(default=False, verbose_name='shared')),
                    ('created_at', models.DateTimeField(verbose_name='saved')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                    ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='by')),
                ],
                options={
                    'verbose_name': 'saved view',
                    'verbose_name_plural': 'saved views',
                    'constraints': [models.UniqueConstraint(fields=('owner', 'list_name', 'name'), name='one_view_of_a_name_per_owner_and_list')],
                },
            ),
            migrations.CreateModel(
                name='Tally',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('group', models.CharField(max_length=12)),
                    ('counted_at', models.DateTimeField(null=True, verbose_name='counted')),
                    ('whole_at', models.DateTimeField(null=True)),
                    ('due_at', models.DateTimeField()),
                    ('enterprise', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise')),
                ],
                options={
                    'verbose_name': 'tally',
                    'verbose_name_plural': 'tallies',
                    'indexes': [models.Index(fields=['group', 'due_at'], name='tally_due')],
                    'constraints': [models.UniqueConstraint(fields=('enterprise', 'group'), name='one_tally_per_group'), models.CheckConstraint(condition=models.Q(('whole_at', None), ('counted_at__isnull', False), _connector='OR'), name='whole_is_counted')],
                },
            ),
            migrations.CreateModel(
                name='IdempotencyRecord',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('method', models.CharField(max_length=6)),
                    ('path', models.CharField(max_length=300)),
                    ('key', models.CharField(max_length=128)),
                    ('body_hash', models.CharField(max_length=64)),
                    ('lease', models.UUIDField()),
                    ('lease_until', models.DateTimeField()),
                    ('answer', models.TextField(null=True)),
                    ('status', models.PositiveSmallIntegerField(null=True)),
                    ('expires_at', models.DateTimeField(db_index=True)),
                    ('api_key', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='foundation.apikey', verbose_name='API key')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                ],
                options={
                    'verbose_name': 'idempotency record',
                    'verbose_name_plural': 'idempotency records',
                    'constraints': [models.UniqueConstraint(fields=('api_key', 'key', 'method', 'path'), name='one_record_per_request'), models.CheckConstraint(condition=models.Q(models.Q(('answer__isnull', True), ('status__isnull', True)), models.Q(('answer__isnull', False), ('status__isnull', False)), _connector='OR'), name='an_answer_has_a_status')],
                },
            ),
        ]),
        append_only('foundation_event'),
        migrations.RunPython(by_moment, without),
    ]
