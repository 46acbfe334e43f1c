"""What a database is made of, as texts that are equal where two databases are alike.

Columns stand by name: an upgraded table may have them in another order than a fresh one.
"""

from __future__ import annotations

import re
from typing import Any

OURS = "(SELECT oid FROM pg_namespace WHERE nspname = 'public')"
PARTS = {
    "relation": f"""
        SELECT relname, relkind, relpersistence, reloptions, relreplident, relrowsecurity,
            obj_description(oid, 'pg_class')
        FROM pg_class WHERE relnamespace = {OURS}""",
    "column": f"""
        SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attstorage,
            attcompression, attstattarget, attoptions, collname, pg_get_expr(adbin, adrelid),
            col_description(attrelid, attnum)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        LEFT JOIN pg_collation ON pg_collation.oid = attcollation
        WHERE relnamespace = {OURS} AND relkind = 'r' AND attnum > 0 AND NOT attisdropped""",
    "index": f"""
        SELECT relname, pg_get_indexdef(indexrelid), indisvalid, indimmediate, indisclustered, indisreplident,
            obj_description(indexrelid, 'pg_class')
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = {OURS}""",
    "constraint": f"""
        SELECT conrelid::regclass, conname, contype, condeferrable, condeferred, convalidated,
            pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')
        FROM pg_constraint WHERE connamespace = {OURS}""",
    "trigger": """
        SELECT tgname, tgenabled, pg_get_triggerdef(oid), obj_description(oid, 'pg_trigger')
        FROM pg_trigger WHERE NOT tgisinternal""",
    "function": f"""
        SELECT pg_get_functiondef(oid), obj_description(oid, 'pg_proc')
        FROM pg_proc WHERE pronamespace = {OURS} AND prokind = 'f'""",
    "sequence": """
        SELECT sequencename, data_type, start_value, min_value, max_value, increment_by, cycle, cache_size
        FROM pg_sequences WHERE schemaname = 'public'""",
    "statistics": "SELECT stxname, pg_get_statisticsobjdef(oid), stxstattarget FROM pg_statistic_ext",
    "extension": "SELECT extname, extversion FROM pg_extension",
    "type": f"SELECT typname, typtype FROM pg_type WHERE typnamespace = {OURS}",
    "content type": "SELECT app_label, model FROM django_content_type",
    "permission": """
        SELECT app_label, model, codename, name
        FROM auth_permission JOIN django_content_type ON django_content_type.id = content_type_id""",
    "migration": "SELECT app, name FROM django_migrations",
    "schedule": """
        SELECT task.name, task.task, every, period, interval_id IS NULL, enabled
        FROM django_celery_beat_periodictask AS task
        LEFT JOIN django_celery_beat_intervalschedule AS i ON i.id = interval_id""",
}
ONE_CAST = re.compile(r"\(ARRAY\[([^]]*)\]\)::text\[\]")
"""A list of texts as PostgreSQL shows it until its constraint is restored from a dump."""


def catalogue(cursor: Any) -> set[str]:
    """Everything there is, each part as one text; through a cursor of psycopg or of Django."""
    found = set()
    for part, query in PARTS.items():
        cursor.execute(query)
        found |= {f"{part}: {_restored(' | '.join(map(str, row)))}" for row in cursor.fetchall()}
    return found


def _restored(text: str) -> str:
    return ONE_CAST.sub(lambda found: f"ARRAY[{', '.join(f'({each})::text' for each in found[1].split(', '))}]", text)
