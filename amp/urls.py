"""URLs of the product."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("r/", include("amp.public.urls")),
    path("health/", include("amp.health")),
    path("", include("billing.urls")),
]
