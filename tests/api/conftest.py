"""Fixtures of the API's tests."""

from tests.api.calling import other, ours

__all__ = ["other", "ours"]
