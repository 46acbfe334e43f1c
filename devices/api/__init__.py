"""Endpoints about devices: the rule that moves them, and what becomes of each."""
