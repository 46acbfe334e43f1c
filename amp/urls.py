"""URLs of the product."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("r/", include("amp.public.urls")),
    path("health/", include("amp.health")),
    path("", include("billing.urls")),
]
if settings.IS_DEMO:
    urlpatterns += [
        path("", RedirectView.as_view(pattern_name="demo:tour")),
        path("demo/", include("amp.demo.urls")),
    ]
