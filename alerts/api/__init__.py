"""Endpoints of the alerts."""
