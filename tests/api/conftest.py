"""Fixtures of the API's tests."""

from tests.api.calling import other, ours, tenants

__all__ = ["other", "ours", "tenants"]
