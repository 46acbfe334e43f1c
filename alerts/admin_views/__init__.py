"""Pages of the alerts with behaviour of their own."""
