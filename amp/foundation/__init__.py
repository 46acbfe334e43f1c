"""Who and when: what every app stands on.

Owns: `clock` (two clocks), `money`, `calendar`, `scoping` (tenant guard), `sealed` (encrypted secrets), `bulk`
(set-based writes), `models` (enterprises, merchants, users and roles, events, operations), `access` (roles and actions),
`services` (events, enterprises), `wakeups` (how Celery is told), `middleware`, `admin`.
It must not know products, devices, orders or alerts, and imports none of our apps.
"""
