"""URLs of the product."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from amp.accounts.urls import password_urls
from amp.metrics.exposition import metrics

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", include("amp.accounts.urls")),
    path("admin/", include(password_urls)),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("r/", include("amp.public.urls")),
    path("p/", include("amp.public.pay_urls")),
    path("health/", include("amp.health")),
    path("metrics", metrics),
    path("", include("devices.urls")),
    path("api/", include("amp.api")),
    path("", include("billing.urls")),
]
if settings.IS_DEMO:
    urlpatterns += [
        path("", RedirectView.as_view(pattern_name="demo:tour")),
        path("demo/", include("amp.demo.urls")),
    ]
