"""Endpoints of the alerts, below /api/v1/: notices, webhooks and what they were sent."""
