"""System > Audit (X3): who changed what, before and after, why, when it fell due and when it was noticed.

The record itself is `Event`, which the database keeps from changing. Here it is read: `words` names what happened,
`subjects` what it happened to, `entries` lays out one row, `filters` and `pages` are the list. Nothing here writes.
"""
