"""How it is paid: orders, payment attempts, settlement, and the gateways behind one provider protocol.

Owns money: amounts in minor units, an append-only ledger of what came in and what it was applied to. It calls devices
to renew them and must not know who is alerted.
"""
