"""Use cases of billing: ordering, settlement, fulfilment, polling, the sandbox gateway."""
