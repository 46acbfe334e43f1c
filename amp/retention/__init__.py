"""How long rows are kept (X5): every kind that does not stay for ever, the sweep over all of them, the form of times.

The apps name their own kinds in `services.retention`; the walk along a table is `amp.foundation.services.retention`.
It must not know what a row means: whether it may go says the kind's own app.
"""
