"""What an empty database takes in place of 0001 and 0002: each table made whole. The next one is 0003."""

import django.core.validators
import django.db.models.deletion
import uuid
from django.db import migrations, models

from amp.foundation.squashing import CreateModels


class Migration(migrations.Migration):

    replaces = [('catalog', '0001_initial'), ('catalog', '0002_initial')]

    initial = True

    dependencies = [
        ('foundation', '0001_initial'),
    ]

    operations = [
        CreateModels([
            migrations.CreateModel(
                name='Product',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('name', models.CharField(max_length=120, verbose_name='name')),
                    ('key', models.CharField(max_length=32, unique=True, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9_-]{1,32}$')], verbose_name='product key')),
                    ('description', models.TextField(blank=True, default='', verbose_name='description')),
                    ('created_at', models.DateTimeField(verbose_name='created')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='products', to='foundation.enterprise', verbose_name='enterprise')),
                ],
                options={
                    'verbose_name': 'product',
                    'verbose_name_plural': 'products',
                    'constraints': [models.UniqueConstraint(fields=('enterprise', 'name'), name='product_name_unique_in_its_enterprise')],
                },
            ),
            migrations.CreateModel(
                name='ServiceLevel',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('name', models.CharField(max_length=80, verbose_name='name')),
                    ('rank', models.PositiveIntegerField(verbose_name='rank')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='levels', to='foundation.enterprise', verbose_name='enterprise')),
                    ('standard_of', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='standard_level', to='catalog.product', verbose_name='standard of')),
                    ('products', models.ManyToManyField(related_name='levels', to='catalog.product', verbose_name='offered for')),
                ],
                options={
                    'verbose_name': 'service level',
                    'verbose_name_plural': 'service levels',
                    'ordering': ('enterprise', 'rank'),
                    'constraints': [models.UniqueConstraint(fields=('enterprise', 'rank'), name='level_rank_unique_per_enterprise')],
                },
            ),
            migrations.CreateModel(
                name='ThingModel',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('version', models.PositiveIntegerField(verbose_name='version')),
                    ('document', models.JSONField(verbose_name='document')),
                    ('created_at', models.DateTimeField(verbose_name='imported')),
                    ('created_by', models.CharField(default='system', max_length=160, verbose_name='by')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                    ('product', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='thing_models', to='catalog.product', verbose_name='product')),
                ],
                options={
                    'verbose_name': 'TSL',
                    'verbose_name_plural': 'TSL',
                    'ordering': ('product', '-version'),
                    'constraints': [models.UniqueConstraint(fields=('product', 'version'), name='thing_model_version_unique')],
                },
            ),
            migrations.CreateModel(
                name='Plan',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('family', models.UUIDField(default=uuid.uuid4, editable=False)),
                    ('version', models.PositiveIntegerField(default=1, verbose_name='version')),
                    ('name', models.CharField(max_length=80, verbose_name='name')),
                    ('plan_type', models.CharField(choices=[('MANUFACTURER', 'Manufacturer enterprise plan'), ('RESELLER', 'Reseller plan')], default='MANUFACTURER', max_length=12, verbose_name='type')),
                    ('amount', models.BigIntegerField(validators=[django.core.validators.MinValueValidator(0)], verbose_name='price, minor units')),
                    ('currency', models.CharField(max_length=3, verbose_name='currency')),
                    ('months', models.PositiveSmallIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(120)], verbose_name='period in months')),
                    ('status', models.CharField(choices=[('DRAFT', 'Draft'), ('PUBLISHED', 'Published'), ('WITHDRAWN', 'Withdrawn')], default='DRAFT', max_length=10, verbose_name='status')),
                    ('sale_from', models.DateTimeField(blank=True, null=True, verbose_name='on sale from')),
                    ('sale_until', models.DateTimeField(blank=True, null=True, verbose_name='on sale until')),
                    ('created_at', models.DateTimeField(verbose_name='created')),
                    ('created_by', models.CharField(default='system', max_length=160, verbose_name='by')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='plans', to='foundation.enterprise', verbose_name='enterprise')),
                    ('merchant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='plans', to='foundation.merchant', verbose_name='merchant')),
                    ('level', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='plans', to='catalog.servicelevel', verbose_name='service level')),
                ],
                options={
                    'verbose_name': 'plan',
                    'verbose_name_plural': 'plans',
                    'ordering': ('enterprise', 'name', '-version'),
                    'constraints': [models.UniqueConstraint(fields=('family', 'version'), name='plan_version_unique'), models.UniqueConstraint(condition=models.Q(('status', 'PUBLISHED')), fields=('family',), name='one_published_version_per_plan'), models.UniqueConstraint(condition=models.Q(('status', 'DRAFT')), fields=('family',), name='one_draft_version_per_plan'), models.CheckConstraint(condition=models.Q(('amount__gte', 0), ('amount__lte', 1000000000000)), name='plan_amount_in_range'), models.CheckConstraint(condition=models.Q(('months__gte', 1), ('months__lte', 120)), name='plan_months_in_range'), models.CheckConstraint(condition=models.Q(('sale_from__isnull', True), ('sale_until__isnull', True), ('sale_from__lt', models.F('sale_until')), _connector='OR'), name='plan_sale_starts_before_it_ends')],
                },
            ),
            migrations.CreateModel(
                name='ServiceRule',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('version', models.PositiveIntegerField(verbose_name='version')),
                    ('is_current', models.BooleanField(default=True, verbose_name='in force')),
                    ('paid_mode', models.BooleanField(default=False, verbose_name='paid service mode')),
                    ('paid_mode_since', models.DateTimeField(blank=True, null=True, verbose_name='paid mode since')),
                    ('thresholds_since', models.DateTimeField()),
                    ('trial_start_seconds', models.PositiveIntegerField(default=0, verbose_name='trial starts at')),
                    ('trial_end_seconds', models.PositiveIntegerField(default=3600, verbose_name='trial ends at')),
                    ('auto_subscribe', models.BooleanField(default=False, verbose_name='auto-subscription upon trial expiration')),
                    ('renewal_before_trial_end', models.BooleanField(default=False, verbose_name='allow renewal before trial ends')),
                    ('lock_action', models.JSONField(default=list, verbose_name='lock action')),
                    ('unlock_action', models.JSONField(default=list, verbose_name='unlock action')),
                    ('cache_seconds', models.PositiveIntegerField(default=604800, validators=[django.core.validators.MaxValueValidator(7776000)], verbose_name='cache duration')),
                    ('heartbeat_seconds', models.PositiveIntegerField(blank=True, null=True, verbose_name='heartbeat')),
                    ('created_at', models.DateTimeField(verbose_name='saved')),
                    ('created_by', models.CharField(default='system', max_length=160, verbose_name='by')),
                    ('auto_plan', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.plan', verbose_name='included plan')),
                    ('enterprise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='foundation.enterprise', verbose_name='enterprise')),
                    ('product', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rules', to='catalog.product', verbose_name='product')),
                ],
                options={
                    'verbose_name': 'device service rule',
                    'verbose_name_plural': 'device service',
                    'constraints': [models.UniqueConstraint(fields=('product', 'version'), name='rule_version_unique'), models.UniqueConstraint(condition=models.Q(('is_current', True)), fields=('product',), name='one_rule_in_force'), models.CheckConstraint(condition=models.Q(('trial_start_seconds__lt', models.F('trial_end_seconds'))), name='trial_starts_before_it_ends'), models.CheckConstraint(condition=models.Q(('cache_seconds__lte', 7776000)), name='cache_at_most_90_days'), models.CheckConstraint(condition=models.Q(('auto_subscribe', False), ('auto_plan__isnull', False), _connector='OR'), name='auto_subscription_names_a_plan'), models.CheckConstraint(condition=models.Q(('paid_mode', False), ('paid_mode_since__isnull', False), _connector='OR'), name='paid_mode_has_a_start')],
                },
            ),
        ]),
    ]
