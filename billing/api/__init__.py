"""Endpoints about renewals: what a device's service may be renewed with, orders, and how they are paid."""
