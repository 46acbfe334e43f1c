"""The product under faults, in a time of its own: one seed is one history (R2, R3, R5, R8).

`run` plays devices, buyers, staff, beats and the faults between them against the real services on PostgreSQL; `model`
says from the spec alone what must have come of it, and `checks` compares after every step. Nothing here reads a clock
or sleeps, and nothing runs beside anything else except where a seed wants it to.
"""
