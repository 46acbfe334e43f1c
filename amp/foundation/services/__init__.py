"""Use cases of the foundation: `events` (the record), `enterprises` (tree, merchants), `testclock`, `sweeps`."""
