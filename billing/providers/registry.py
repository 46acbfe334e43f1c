"""The gateways that exist: a fixed table, not a plug-in system."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from billing.providers.offline import OfflineProvider
from billing.providers.protocol import Credentials, PaymentProvider
from billing.providers.sandbox import SandboxProvider

PROVIDERS: Mapping[str, Callable[[Credentials], PaymentProvider]] = {
    "offline": OfflineProvider,
    "sandbox": SandboxProvider,
}


def provider_for(name: str, credentials: Credentials) -> PaymentProvider:
    """The adapter of gateway `name` for one account. Raises KeyError for a gateway that doesn't exist."""
    return PROVIDERS[name](credentials)
