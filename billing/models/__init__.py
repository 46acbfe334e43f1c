"""Tables of billing: `accounts` (gateways per merchant), `orders` and the `selections` before them, `payments`
(attempts, exceptions), `links` (pay pages), `ledger`, `refunds`, `transfers` (money that people move by hand); on paper
`fapiao`, `bills`.
"""

from billing.models.accounts import MerchantAccount, Provider, SandboxRefund, SandboxTrade
from billing.models.bills import Bill, BillFetch, BillRow
from billing.models.fapiao import FapiaoRequest
from billing.models.ledger import EntryKind, MoneyEntry
from billing.models.links import PaymentLink
from billing.models.orders import LineStatus, Order, OrderChannel, OrderKind, OrderLine
from billing.models.payments import PaymentAttempt, PaymentException
from billing.models.refunds import Refund, RefundLine
from billing.models.selections import RenewalSelection, SelectedDevice, SelectionSource
from billing.models.transfers import BankPayout, BankReceipt
from billing.orders import AttemptStatus, ExceptionKind, OrderStatus
from billing.refunds import Effect, RefundStatus, Resolution

__all__ = [
    "AttemptStatus",
    "BankPayout",
    "BankReceipt",
    "Bill",
    "BillFetch",
    "BillRow",
    "Effect",
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
    "PaymentLink",
    "Provider",
    "Refund",
    "RefundLine",
    "RefundStatus",
    "RenewalSelection",
    "Resolution",
    "SandboxRefund",
    "SandboxTrade",
    "SelectedDevice",
    "SelectionSource",
]
