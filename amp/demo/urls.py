"""Addresses of the tour; `amp.urls` includes them in demo mode only."""

from django.urls import path

from amp.demo import views

app_name = "demo"
urlpatterns = [
    path("", views.tour, name="tour"),
    path("live", views.live, name="live"),
    path("mail/", views.mail, name="mail"),
    path("clock", views.move_clock, name="clock"),
    path("devices/<int:device_id>", views.switch, name="switch"),
]
