"""Settings of every process, read from the environment with types.

`AMP_MODE` decides: `production` (refuses to start with a missing or weak setting and says which, see `amp.checks`),
`test` (the same real services, plus the test clock) or `demo` (SQLite, an in-memory Celery broker and an embedded MQTT
broker, loopback only).
"""

from __future__ import annotations

import base64
import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from amp.api_settings import REST_FRAMEWORK as REST_FRAMEWORK
from amp.api_settings import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from amp.checks import weak_settings, weak_values
from amp.logs import logging_settings
from amp.observing_settings import metrics_directory, refuse_missing_sentry
from amp.payment_settings import PAYMENT_GATEWAYS as PAYMENT_GATEWAYS
from amp.queue_settings import CELERY_TASK_QUEUES as CELERY_TASK_QUEUES
from amp.queue_settings import CELERY_TASK_ROUTES as CELERY_TASK_ROUTES
from amp.theme import UNFOLD as UNFOLD

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

AMP_MODE: str = env.str("AMP_MODE", default="")
if AMP_MODE not in {"demo", "test", "production"}:
    raise ImproperlyConfigured("Set AMP_MODE to production, test or demo.")
IS_DEMO = AMP_MODE == "demo"
IS_PRODUCTION = AMP_MODE == "production"
if IS_PRODUCTION and (weak := weak_settings(os.environ)):
    raise ImproperlyConfigured(" ".join(weak))


def _required(name: str, elsewhere: str) -> str:
    """Value of an environment variable that production must set; demo and test have a default."""
    value = env.str(name, default="" if IS_PRODUCTION else elsewhere)
    if not value:
        raise ImproperlyConfigured(f"Set {name}: production does not start without it.")
    return value


# --- who we are ------------------------------------------------------------------------------------------------------
DEMO_DIR = Path(env.str("AMP_DEMO_DIR", default=str(BASE_DIR / ".demo")))
DEMO_PORT: int = env.int("AMP_DEMO_PORT", default=8000)
DEMO_MQTT_PORT: int = env.int("AMP_DEMO_MQTT_PORT", default=1884)

SECRET_KEY = _required("SECRET_KEY", "demo-only-key-that-signs-nothing-of-value-0123456789")
# 32 bytes, base64: seals secrets of merchant accounts (AES-GCM). Demo and test derive one.
FIELD_KEY: bytes = base64.b64decode(
    _required("AMP_FIELD_KEY", base64.b64encode(hashlib.sha256(SECRET_KEY.encode()).digest()).decode())
)
# Keys of before, which only open; `manage.py rotate_field_key` makes them needless (X8).
FIELD_KEYS_BEFORE: list[bytes] = [base64.b64decode(key) for key in env.list("AMP_FIELD_KEYS_BEFORE", default=[])]
DEBUG = False
# Links in QR codes and notify addresses are built from here, never from a request's Host header (F96).
BASE_URL: str = _required("AMP_BASE_URL", f"http://127.0.0.1:{DEMO_PORT}").rstrip("/")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[] if IS_PRODUCTION else ["127.0.0.1", "localhost"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "amp.foundation",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "amp.apps.AmpAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "axes",
    "csp",
    "catalog",
    "devices",
    "billing",
    "alerts",
    "amp",
]
MIDDLEWARE = [
    "amp.foundation.api.middleware.RequestIdMiddleware",
    "amp.observing.ObservedRequestMiddleware",
    "amp.foundation.api.middleware.ApiProblemsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "amp.policy.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # adds random bytes against BREACH
    "django.contrib.sessions.middleware.SessionMiddleware",
    "amp.foundation.middleware.PossibleSessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "amp.accounts.middleware.SecondFactorMiddleware",
    "amp.foundation.middleware.EnterpriseScopeMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "amp.urls"
WSGI_APPLICATION = "amp.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ],
            "libraries": {"amp_demo": "amp.demo.template_tags"},
        },
    },
]

# --- PostgreSQL (SQLite in the demo) ---------------------------------------------------------------------------------
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url_config(_required("DATABASE_URL", f"sqlite:///{DEMO_DIR / 'amp.sqlite3'}"))
}
if "sqlite" in DATABASES["default"]["ENGINE"]:
    # Writers queue for 20 s instead of failing: IMMEDIATE takes the write lock at BEGIN, WAL lets readers go on.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}  # F18: a dead connection is noticed
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis and Celery: how work is woken, never where it is kept (R5) ------------------------------------------------
REDIS_URL: str = _required("REDIS_URL", "memory://localhost/")
CELERY_BROKER_URL = REDIS_URL
CELERY_TIMEZONE = "UTC"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 60
CELERY_TASK_SOFT_TIME_LIMIT = 50
CELERY_WORKER_MAX_TASKS_PER_CHILD = 2_000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1 if not IS_PRODUCTION else 5
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {"polling_interval": 0.02}
    if REDIS_URL.startswith("memory:")
    else {"socket_connect_timeout": 2, "socket_timeout": 10, "health_check_interval": 10}
)
# A place to count requests in, nothing else (R5): it may be empty or gone at any time.
CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if REDIS_URL.startswith("memory:")
    else {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    }
}
# Seconds between sweeps, fast where a person watches; figures are counted less often where counting takes long.
SWEEP_SECONDS: int = env.int("AMP_SWEEP_SECONDS", default=20 if IS_PRODUCTION else 1)
FIGURES_SECONDS: int = env.int("AMP_FIGURES_SECONDS", default=60 if IS_PRODUCTION else 3)
DISPATCH_SECONDS: int = env.int("AMP_DISPATCH_SECONDS", default=5 if IS_PRODUCTION else 1)

# --- MQTT ------------------------------------------------------------------------------------------------------------
MQTT_URL: str = _required("MQTT_URL", f"mqtt://platform:demo@127.0.0.1:{DEMO_MQTT_PORT}")
# EMQX signs its events and asks its questions with this; without it those endpoints don't exist.
EMQX_SECRET: str = env.str("AMP_EMQX_SECRET", default="")
# EMQX's management API (…/api/v5) and a key of it: how a revoked device is thrown out at once.
EMQX_API_URL: str = env.str("EMQX_API_URL", default="").rstrip("/")
EMQX_API_KEY: str = env.str("EMQX_API_KEY", default="")
EMQX_API_SECRET: str = env.str("EMQX_API_SECRET", default="")

# --- people ----------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "foundation.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
PASSWORD_RESET_TIMEOUT = 2 * 3600
# Administrators and finance need a second factor (X1); a demo on loopback does without unless told otherwise.
REQUIRE_TOTP: bool = env.bool("AMP_REQUIRE_TOTP", default=not IS_DEMO)
OTP_TOTP_ISSUER = "AMP"
# Five wrong passwords for one account from one address close the account to that address for a while (F94): never to
# others, so nobody can lock a colleague out. Fifty, for whichever accounts, close the sign-in to that address: see
# amp.accounts.lockout.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "amp.accounts.lockout.visitor_address"
AXES_USERNAME_CALLABLE = "amp.accounts.lockout.account_name"
AXES_LOCKOUT_CALLABLE = "amp.accounts.lockout.locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# --- mail: to a folder in demo and test mode -------------------------------------------------------------------------
MAIL_DIR = DEMO_DIR / "mail"
_mail: dict[str, Any] = env.email_url("EMAIL_URL", default="smtp://localhost:25" if IS_PRODUCTION else "filemail://")
EMAIL_BACKEND: str = _mail["EMAIL_BACKEND"]
EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_HOST"], _mail["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"], _mail["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS: bool = _mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL: bool = _mail.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH: str = _mail["EMAIL_FILE_PATH"] or str(MAIL_DIR)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("AMP_MAIL_FROM", default=f"AMP <no-reply@{urlsplit(BASE_URL).hostname}>")

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale", BASE_DIR / "locale/theme"]  # ours, and what the admin theme lacks
TIME_ZONE = "UTC"
USE_TZ = True

# --- web -------------------------------------------------------------------------------------------------------------
STATIC_URL = "static/"
# Only production collects; elsewhere files are served from where they lie.
STATIC_ROOT = env.str("AMP_STATIC_ROOT", default=str(BASE_DIR / ".static") if IS_PRODUCTION else "") or None
STATICFILES_DIRS = [BASE_DIR / "templates" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not IS_PRODUCTION
FILE_UPLOAD_HANDLERS = [
    "devices.forms.uploads.CutLongFiles",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024
X_FRAME_OPTIONS = "DENY"
# The header's text is in amp.policy; gateways that a payment form may lead to, such as https://openapi.alipay.com.
PAYMENT_ORIGINS: list[str] = env.list("AMP_PAYMENT_ORIGINS", default=[])
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_HTTPONLY = True
# Browsers keep such cookies for loopback addresses too, where a proxy with TLS is not needed.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("AMP_SECURE_COOKIES", default=IS_PRODUCTION)
SECURE_HSTS_SECONDS: int = env.int("AMP_HSTS_SECONDS", default=31_536_000 if IS_PRODUCTION else 0)
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("AMP_BEHIND_PROXY", default=False) else None

TRUSTED_PROXIES: int = env.int("AMP_TRUSTED_PROXIES", default=0)  # how many append to X-Forwarded-For; 0 = none (F94)

# Requests of one API key in a minute; a key that asks more often is told when to go on (429).
API_REQUESTS_PER_MINUTE: int = env.int("AMP_API_REQUESTS_PER_MINUTE", default=600)

# --- what the product may be told ------------------------------------------------------------------------------------
REFUND_THRESHOLD: int = env.int("AMP_REFUND_THRESHOLD", default=100_000)  # minor units; above it two people refund
LOCK_SETTLE_MINUTES: int = env.int("AMP_LOCK_SETTLE_MINUTES", default=5 if IS_PRODUCTION else 0)  # P8
LOCK_ALLOWANCE: int = env.int("AMP_LOCK_ALLOWANCE", default=100)
LOCK_ALLOWANCE_PERCENT: int = env.int("AMP_LOCK_ALLOWANCE_PERCENT", default=20)
ORDER_MINUTES: int = env.int("AMP_ORDER_MINUTES", default=30)  # Q2: an unpaid order expires
WEBHOOK_LOOPBACK: bool = env.bool("AMP_WEBHOOK_LOOPBACK", default=not IS_PRODUCTION)  # F87: http to this machine
SANDBOX_ENABLED: bool = env.bool("AMP_SANDBOX", default=not IS_PRODUCTION)

# --- what operations see (X10) ---------------------------------------------------------------------------------------
LOG_FORMAT: str = env.str("AMP_LOG_FORMAT", default="json" if IS_PRODUCTION else "line")
LOGGING: dict[str, Any] = logging_settings(env.str("AMP_LOG_LEVEL", default="INFO"), LOG_FORMAT)
# Without a token production has no /metrics; elsewhere it answers to this machine.
METRICS_TOKEN: str = env.str("AMP_METRICS_TOKEN", default="").strip()
METRICS_PORT: int = env.int("AMP_METRICS_PORT", default=0)  # of a worker; 0 = none
# The processes of one installation and user share it, and nobody else's.
METRICS_DIR: str = env.str("AMP_METRICS_DIR", default="") or metrics_directory(f"{BASE_URL} {DATABASES}")
SENTRY_DSN: str = env.str("AMP_SENTRY_DSN", default="").strip()
refuse_missing_sentry(SENTRY_DSN)

if IS_PRODUCTION and (weak := weak_values(globals())):
    raise ImproperlyConfigured(" ".join(weak))
