"""A fleet of any size: enterprises, products and rules by the product's services, devices by INSERT … SELECT."""

from __future__ import annotations

import json
from datetime import datetime

from django.db import connection

from amp.foundation import clock
from amp.foundation.models import Enterprise
from amp.foundation.scoping import system_scope
from amp.foundation.services.enterprises import create_enterprise
from catalog.models import Product
from catalog.services.products import create_product, import_thing_model
from catalog.services.rules import RuleDraft, save_rule
from tests.talking_devices import LOCK, TSL, UNLOCK

PRODUCTS = 10
CUSTOMERS = 20

_DEVICES = """
    INSERT INTO devices_device
        (id, enterprise_id, product_id, key, name, serial, iccid, credential_hash, created_at)
    SELECT n, (%(enterprises)s::bigint[])[1 + n %% %(customers)s], (%(products)s::bigint[])[1 + n %% %(kinds)s],
        'd' || n, 'Pump ' || n, 'SN' || lpad(n::text, 9, '0'), '8986' || lpad(n::text, 15, '0'), '',
        %(now)s::timestamptz - interval '400 days'
    FROM generate_series(1, %(devices)s) AS n
"""
# Of twenty devices four wait for their trial, one is in it, eleven are paid for, four have expired.
_SERVICES = """
    INSERT INTO devices_deviceservice
        (device_id, enterprise_id, product_id, state, state_since, level_id, life, counts_from, trial_started_at,
         trial_ended_at, trial_end_seconds, auto_spent, anchor, anchor_months, periods_made, ends_at, due_at,
         desired_lock, reported_lock, generation, last_event_at)
    SELECT device.id, device.enterprise_id, device.product_id, state, since,
        CASE state WHEN 'ACTIVE' THEN level.id END, 1, 0,
        CASE WHEN state <> 'PENDING' THEN since END,
        CASE WHEN state IN ('ACTIVE', 'EXPIRED') THEN since END,
        CASE WHEN state <> 'PENDING' THEN 3600 END, false,
        CASE WHEN state IN ('ACTIVE', 'EXPIRED') THEN since END,
        CASE WHEN state IN ('ACTIVE', 'EXPIRED') THEN 12 ELSE 0 END,
        CASE WHEN state IN ('ACTIVE', 'EXPIRED') THEN 1 ELSE 0 END,
        ends, CASE state WHEN 'ACTIVE' THEN ends END,
        CASE state WHEN 'EXPIRED' THEN 'LOCKED' WHEN 'ACTIVE' THEN 'UNLOCKED' ELSE 'UNKNOWN' END,
        CASE state WHEN 'EXPIRED' THEN 'LOCKED' WHEN 'ACTIVE' THEN 'UNLOCKED' ELSE 'UNKNOWN' END, 2, since
    FROM devices_device device
    JOIN catalog_servicelevel level ON level.standard_of_id = device.product_id,
    LATERAL (SELECT CASE WHEN device.id %% 20 < 4 THEN 'PENDING' WHEN device.id %% 20 = 4 THEN 'TRIAL'
        WHEN device.id %% 20 < 16 THEN 'ACTIVE' ELSE 'EXPIRED' END AS state) AS states,
    LATERAL (SELECT (device.id * 7919 %% 365 + 1) * interval '1 day' AS days) AS spread,
    LATERAL (SELECT CASE state WHEN 'ACTIVE' THEN %(now)s::timestamptz + days
        WHEN 'EXPIRED' THEN %(now)s::timestamptz - days END AS ends) AS ended,
    LATERAL (SELECT coalesce(ends, %(now)s::timestamptz) - interval '1 year' AS since) AS began
    ORDER BY device.id
"""
_PRESENCE = """
    INSERT INTO devices_presence (device_id, is_online, session, session_started_at, open_since, counted, last_seen_at,
        last_event_at)
    SELECT id, on_line, CASE WHEN on_line THEN 'first' END, CASE WHEN on_line THEN began END,
        CASE WHEN on_line THEN began END, 7200000000, began, began
    FROM devices_device,
    LATERAL (SELECT id %% 3 = 0 AS on_line, %(now)s::timestamptz - interval '1 hour' AS began) AS facts
    ORDER BY id
"""

# Each was locked and unlocked once: what is done for a device is done behind what was done before.
_COMMANDS = """
    INSERT INTO devices_command (enterprise_id, device_id, slot, kind, generation, ticket, values, rule_version,
        confirms_by_report, status, attempts, refusals, created_at, stale_at, sent_at, acked_at, confirmed_at,
        closed_at)
    SELECT enterprise_id, device_id, 'LOCK', said, number, gen_random_uuid(), '{}', 2, true, 'CONFIRMED', 1, 0,
        past, past + interval '7 days', past, past, past, past
    FROM (VALUES ('LOCK', 1), ('UNLOCK', 2)) AS told(said, number), devices_deviceservice,
    LATERAL (SELECT %(now)s::timestamptz - interval '1 year' AS past) AS moment
"""
_REST = """
    UPDATE devices_command SET status = 'CONFIRMED', hold_id = NULL, due_at = NULL, closed_at = %s
    WHERE status IN ('PENDING', 'SENT', 'ACKED')
"""


def build(devices: int) -> None:
    """Fill an empty, migrated database; vacuumed and analysed, as autovacuum would leave it."""
    now = clock.wall().replace(microsecond=0)
    with system_scope():
        customers, products = _tree(now)
    parameters = {
        "devices": devices,
        "enterprises": [one.pk for one in customers],
        "customers": len(customers),
        "products": [one.pk for one in products],
        "kinds": len(products),
        "now": now,
    }
    with connection.cursor() as cursor:
        for statement in (_DEVICES, _SERVICES, _PRESENCE, _COMMANDS):
            cursor.execute(statement, parameters)
        cursor.execute("SELECT setval(pg_get_serial_sequence('devices_device', 'id'), %s)", [devices])
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def rest() -> None:
    """No command is under way any more, whatever was measured before: devices that show up would be sent it."""
    with connection.cursor() as cursor:
        cursor.execute(_REST, [clock.wall()])
        cursor.execute("VACUUM ANALYZE")


def scattered(count: int, *, state: str = "%") -> list[int]:
    """Ids of devices (in `state`), scattered over the table; the same at each call."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id FROM devices_deviceservice WHERE state LIKE %s ORDER BY hashint8(device_id) LIMIT %s",
            [state, count],
        )
        return [row[0] for row in cursor.fetchall()]


def _tree(now: datetime) -> tuple[list[Enterprise], list[Product]]:
    maker = create_enterprise(
        name="Maker", parent=None, time_zone="Asia/Shanghai", currency="CNY", actor="bench", now=now
    )
    customers = [
        create_enterprise(
            name=f"Customer {number}",
            parent=maker,
            time_zone="Asia/Shanghai",
            currency="CNY",
            actor="bench",
            now=now,
        )
        for number in range(CUSTOMERS)
    ]
    products = [_product(maker, f"Pump {number}", now) for number in range(PRODUCTS)]
    return customers, products


def _product(maker: Enterprise, name: str, now: datetime) -> Product:
    product = create_product(enterprise=maker, name=name, actor="bench", now=now)
    import_thing_model(product=product, text=json.dumps(TSL), actor="bench", now=now)
    draft = RuleDraft(paid_mode=True, lock_action=LOCK, unlock_action=UNLOCK)
    save_rule(product=product, draft=draft, actor="bench", now=now)
    return product
