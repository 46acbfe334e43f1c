"""Rules of webhooks, pure Python: `addresses` that may be called, `signing`, `retrying`, and the `public` events.

They know no clock, no network and no table.
"""
