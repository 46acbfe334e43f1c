"""Pages of the alerts with behaviour of their own: notices with their channels and inbox, webhooks, deliveries."""
