"""Addresses of the endpoints about renewals, below /api/v1/."""

from __future__ import annotations

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from amp.foundation.api.endpoints import ID
from billing.api.fapiao import FapiaoRequests, OrderFapiao
from billing.api.orders import OrderLines, Orders
from billing.api.receipts import Receipts
from billing.api.refunds import Exceptions, OrderRefunds, Refunds
from billing.api.renewals import Renewals

router = SimpleRouter(trailing_slash=False)
router.register("orders", Orders, basename="order")
router.register("refunds", Refunds, basename="refund")
router.register("payment-exceptions", Exceptions, basename="payment-exception")
router.register("fapiao-requests", FapiaoRequests, basename="fapiao-request")

urlpatterns = [
    *router.urls,
    re_path(rf"^orders/{ID}/lines$", OrderLines.as_view({"get": "list"}), name="order-lines"),
    re_path(rf"^orders/{ID}/receipt$", Receipts.as_view({"get": "receipt"}), name="order-receipt"),
    re_path(rf"^orders/{ID}/receipt\.pdf$", Receipts.as_view({"get": "file"}), name="order-receipt-file"),
    re_path(rf"^orders/{ID}/fapiao$", OrderFapiao.as_view({"post": "ask"}), name="order-fapiao"),
    re_path(rf"^orders/{ID}/refunds$", OrderRefunds.as_view({"post": "ask"}), name="order-refund"),
    re_path(rf"^device-services/{ID}/preview$", Renewals.as_view({"get": "preview"}), name="device-service-preview"),
    re_path(rf"^device-services/{ID}/renew$", Renewals.as_view({"post": "renew"}), name="device-service-renew"),
]
