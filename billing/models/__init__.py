"""Tables of billing: `accounts` (gateways per merchant), `orders` and the `selections` before them, `payments`
(attempts, exceptions), `ledger`; on paper `fapiao` and `bills`."""

from billing.models.accounts import MerchantAccount, Provider, SandboxRefund, SandboxTrade
from billing.models.bills import Bill, BillRow
from billing.models.fapiao import FapiaoRequest
from billing.models.ledger import EntryKind, MoneyEntry
from billing.models.orders import LineStatus, Order, OrderChannel, OrderKind, OrderLine
from billing.models.payments import PaymentAttempt, PaymentException
from billing.models.selections import RenewalSelection, SelectedDevice, SelectionSource
from billing.orders import AttemptStatus, ExceptionKind, OrderStatus

__all__ = [
    "AttemptStatus",
    "Bill",
    "BillRow",
    "EntryKind",
    "ExceptionKind",
    "FapiaoRequest",
    "LineStatus",
    "MerchantAccount",
    "MoneyEntry",
    "Order",
    "OrderChannel",
    "OrderKind",
    "OrderLine",
    "OrderStatus",
    "PaymentAttempt",
    "PaymentException",
    "Provider",
    "RenewalSelection",
    "SandboxRefund",
    "SandboxTrade",
    "SelectedDevice",
    "SelectionSource",
]
