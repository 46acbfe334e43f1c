"""Addresses of billing: where gateways report, and the sandbox gateway itself."""

from django.urls import path

from billing import views

urlpatterns = [
    path("pay/notify/<slug:provider>/<uuid:account_id>", views.notify, name="payment_notify"),
    path("pay/return/<slug:number>", views.payment_return, name="payment_return"),
    path("sandbox/pay/<path:signed>", views.sandbox_pay, name="sandbox_pay"),
    path("sandbox/gateway/<slug:verb>", views.sandbox_gateway, name="sandbox_gateway"),
]
