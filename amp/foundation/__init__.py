"""Who and when: what every app stands on.

Owns: `clock` (two clocks), `money`, `calendar`, `scoping` (tenant guard), `sealed` (encrypted secrets), `bulk`
(set-based writes), `appendonly` (ledgers), `models` (enterprises, merchants, users and roles, events, operations),
`access` (roles and actions), `services` (events, enterprises, sweeps, failures), `wakeups` (how Celery is told),
`sweeping` (how a sweep runs), `crashing` (where tests kill), `choosing` (selects that are searched), `api` (how every
endpoint behaves), `tasks`, `middleware`, `admin`.
It must not know products, devices, orders or alerts, and imports none of our apps.
"""
