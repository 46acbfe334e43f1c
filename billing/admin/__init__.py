"""Admin of billing, all read-only: money is moved by services alone.

`orders`, `payments` (attempts, refunds, exceptions) and `books` (ledger, fapiao requests, bills of gateways).
"""

from billing.admin import books, orders, payments

__all__ = ["books", "orders", "payments"]
