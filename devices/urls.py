"""Addresses that EMQX calls; see docs/operations/brokers.md."""

from django.urls import path

from devices import views

urlpatterns = [
    path("api/v1/ingest/emqx", views.ingest, name="emqx_ingest"),
    path("api/v1/emqx/authenticate", views.authenticate, name="emqx_authenticate"),
    path("api/v1/emqx/authorize", views.authorize, name="emqx_authorize"),
]
