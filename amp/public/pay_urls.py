"""Addresses under `/p/<token>`: short, because a QR code carries them. WeChat Pay has to know `/p/` (operations)."""

from django.urls import path

from amp.public import pay_views

app_name = "paying"
urlpatterns = [
    path("<str:token>", pay_views.show, name="page"),
    path("<str:token>/pay", pay_views.pay, name="pay"),
    path("<str:token>/openid", pay_views.openid, name="openid"),
    path("<str:token>/status", pay_views.status, name="status"),
    path("<str:token>/wechat/<str:number>", pay_views.script, name="script"),
    path("", pay_views.nothing),
    path("<path:rest>", pay_views.nothing),
]
