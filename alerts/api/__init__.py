"""Endpoints of the alerts, below /api/v1/: `webhooks` and what they were sent."""
