"""The gateways that exist: a fixed table, not a plug-in system."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from billing.orders import PayWay
from billing.providers.account_secrets import AccountSecret, AlipaySecret, WeChatSecret
from billing.providers.alipay import AlipayProvider
from billing.providers.offline import OfflineProvider
from billing.providers.protocol import BillSource, Credentials, PaymentProvider
from billing.providers.sandbox import SandboxProvider
from billing.providers.wechat import WeChatProvider

PROVIDERS: Mapping[str, Callable[[Credentials], PaymentProvider]] = {
    "sandbox": SandboxProvider,
    "wechat": WeChatProvider,
    "alipay": AlipayProvider,
    "offline": OfflineProvider,
}
SECRETS: Mapping[str, type[AccountSecret]] = {"wechat": WeChatSecret, "alipay": AlipaySecret}
"""What an account consists of; the sandbox's is plain random bytes, and a bank transfer needs none."""
WAYS: Mapping[str, frozenset[PayWay]] = {
    "sandbox": SandboxProvider.ways,
    "wechat": WeChatProvider.ways,
    "alipay": AlipayProvider.ways,
    "offline": OfflineProvider.ways,
}


BY_HAND = frozenset({"offline"})
"""Where people move the money: no gateway knows more than our own books, so nobody is asked."""
BILLS = frozenset({"wechat", "alipay"})
"""Gateways whose daily bills can be fetched (`protocol.BillSource`)."""


def bill_source_for(name: str, credentials: Credentials) -> BillSource:
    """The same adapter as a source of bills. Raises KeyError for a gateway that gives none."""
    sources: Mapping[str, Callable[[Credentials], BillSource]] = {"wechat": WeChatProvider, "alipay": AlipayProvider}
    return sources[name](credentials)


def provider_for(name: str, credentials: Credentials) -> PaymentProvider:
    """The adapter of gateway `name` for one account. Raises KeyError for a gateway that doesn't exist."""
    return PROVIDERS[name](credentials)
