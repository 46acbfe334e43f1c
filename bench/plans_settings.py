"""Settings of the peer that row A compares with: django-plans on a database of its own, e-mail into memory."""

import os

import environ

SECRET_KEY = "only-for-benchmarks"
DATABASES = {"default": environ.Env.db_url_config(os.environ["BENCH_PEER_DATABASE_URL"])}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sites",
    "ordered_model",
    "plans",
]
SITE_ID = 1
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
DEFAULT_FROM_EMAIL = "bench@example.invalid"
ROOT_URLCONF = "plans.urls"
USE_TZ = True
TIME_ZONE = "UTC"
PLANS_CURRENCY = "EUR"
PLANS_DEFAULT_COUNTRY = "DE"
PLANS_TAXATION_POLICY = "plans.taxation.TaxationPolicy"
LOGGING_CONFIG = None
