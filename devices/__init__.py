"""What a device is entitled to, and what we tell it.

Owns devices and their credentials, presence and cumulative online time, the life of the device service (`lifecycle`),
periods (an append-only ledger), commands and their delivery (`delivery`), and the transports to the broker. It must not
know orders, payments or who is alerted: a renewal reaches it as a call with a source.
"""
