"""Addresses under `/r/<token>`: short, because they are printed on devices."""

from django.urls import path

from amp.public import receipts, views

app_name = "public"
urlpatterns = [
    path("<str:token>", views.show, name="device"),
    path("<str:token>/pay", views.pay, name="pay"),
    path("<str:token>/orders/<str:number>", views.result, name="result"),
    path("<str:token>/orders/<str:number>/pay", views.pay_order, name="pay_order"),
    path("<str:token>/orders/<str:number>/status", views.status, name="status"),
    path("<str:token>/orders/<str:number>/receipt", receipts.receipt, name="receipt"),
    path("<str:token>/orders/<str:number>/receipt.pdf", receipts.receipt_file, name="receipt_file"),
    path("<str:token>/orders/<str:number>/fapiao", receipts.fapiao, name="fapiao"),
    # What has not even the shape of a link is answered as an unknown one (F85).
    path("", views.nothing),
    path("<path:rest>", views.nothing),
]
