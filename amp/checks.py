"""What production must be told before it starts (R10, X9): each missing or weak setting is named, all at once.

Pure: it reads the environment it is given and nothing else, since `amp.settings` asks it before Django is there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

REQUIRED = ("SECRET_KEY", "AMP_FIELD_KEY", "DATABASE_URL", "REDIS_URL", "MQTT_URL", "AMP_BASE_URL", "ALLOWED_HOSTS")
SECRET_LENGTH = 50
EMQX_SECRET_LENGTH = 32
METRICS_TOKEN_LENGTH = 32
SECRET_LETTERS = 8
"""A long secret of few different characters is a short one."""
FIELD_KEY_BYTES = 32
SCHEMES = {
    "DATABASE_URL": {"postgres", "postgresql"},
    "REDIS_URL": {"redis", "rediss"},
    "MQTT_URL": {"mqtt", "mqtts"},
    "AMP_BASE_URL": {"http", "https"},
}
GATEWAY_HOSTS = {
    "WECHAT_GATEWAY_URL": {"api.mch.weixin.qq.com", "api2.mch.weixin.qq.com"},
    "ALIPAY_GATEWAY_URL": {"openapi.alipay.com"},
    "WECHAT_LOGIN_URL": {"open.weixin.qq.com"},
    "WECHAT_API_URL": {"api.weixin.qq.com", "api2.weixin.qq.com"},
}
GATEWAY_SETTINGS = {
    "wechat": "WECHAT_GATEWAY_URL",
    "alipay": "ALIPAY_GATEWAY_URL",
    "wechat_login": "WECHAT_LOGIN_URL",
    "wechat_api": "WECHAT_API_URL",
}
"""Names in PAYMENT_GATEWAYS, and where each is set."""
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
TRUE = {"true", "on", "ok", "y", "yes", "1"}
"""What django-environ takes for true."""


def weak_settings(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each setting with which production must not start; empty where all is well."""
    told = {name: value.strip() for name, value in environment.items() if name in REQUIRED}
    missing = [f"Set {name}: production does not start without it." for name in REQUIRED if not told.get(name)]
    given = {name: value for name, value in told.items() if value}
    others = (_earlier_keys, _proxies, _switches, _emqx, _gateways, _metrics, _logs)
    return [*missing, *_weak(given), *(sentence for check in others for sentence in check(environment))]


def weak_values(values: Mapping[str, Any]) -> list[str]:
    """The same for what the settings became: whoever edits them can't weaken production unnoticed (X9)."""
    renderers = values.get("REST_FRAMEWORK", {}).get("DEFAULT_RENDERER_CLASSES", ["BrowsableAPIRenderer"])
    told = {
        "DEBUG is on: pages of errors would show the code and its settings.": values.get("DEBUG", False),
        "SESSION_COOKIE_SECURE is off: sessions would travel in the clear.": not values.get("SESSION_COOKIE_SECURE"),
        "CSRF_COOKIE_SECURE is off: forms would be open to forgery.": not values.get("CSRF_COOKIE_SECURE"),
        "SESSION_COOKIE_HTTPONLY is off: scripts could read sessions.": not values.get("SESSION_COOKIE_HTTPONLY"),
        "SECURE_HSTS_SECONDS is 0: browsers would go on trying without TLS.": not values.get("SECURE_HSTS_SECONDS"),
        "REST_FRAMEWORK shows the browsable API: its forms list what others own.": any(
            "Browsable" in str(renderer) for renderer in renderers
        ),
        "WEBHOOK_LOOPBACK is on: webhooks would reach this machine's own services.": values.get(
            "WEBHOOK_LOOPBACK", False
        ),
        "PAYMENT_GATEWAYS leads elsewhere than to the gateways: payments could be made up.": not all(
            _leads_to(url, GATEWAY_HOSTS[GATEWAY_SETTINGS[name]])
            for name, url in values.get("PAYMENT_GATEWAYS", {}).items()
        ),
    }
    return [sentence for sentence, is_weak in told.items() if is_weak]


def _weak(told: Mapping[str, str]) -> Iterator[str]:
    secret = told.get("SECRET_KEY", "x" * SECRET_LENGTH)
    if "SECRET_KEY" in told and not _is_strong(secret):
        yield f"SECRET_KEY is weak: give at least {SECRET_LENGTH} random characters, of this installation alone."
    if "AMP_FIELD_KEY" in told and _decoded_length(told["AMP_FIELD_KEY"]) != FIELD_KEY_BYTES:
        yield f"AMP_FIELD_KEY is not {FIELD_KEY_BYTES} bytes in base64."
    for name in SCHEMES.keys() & told.keys():
        yield from _weak_address(name, told[name])
    hosts = [host.strip() for host in told.get("ALLOWED_HOSTS", "none").split(",")]
    if not any(hosts) or any("*" in host or host.startswith(".") for host in hosts):
        yield "ALLOWED_HOSTS must name each host; no wildcard, no leading dot."


def _earlier_keys(environment: Mapping[str, str]) -> Iterator[str]:
    keys = [key.strip() for key in environment.get("AMP_FIELD_KEYS_BEFORE", "").split(",") if key.strip()]
    if any(_decoded_length(key) != FIELD_KEY_BYTES for key in keys):
        yield f"AMP_FIELD_KEYS_BEFORE holds something else than keys of {FIELD_KEY_BYTES} bytes in base64."


def _is_strong(secret: str) -> bool:
    is_ours = secret.startswith(("demo-only-", "only-for-tests-", "django-insecure-"))
    return len(secret) >= SECRET_LENGTH and len(set(secret)) >= SECRET_LETTERS and not is_ours


def _decoded_length(text: str) -> int:
    try:
        return len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return -1


def _weak_address(name: str, value: str) -> Iterator[str]:
    """Never shows the value: it may hold a password."""
    try:
        address = urlsplit(value)
        host = address.hostname
    except ValueError:
        yield f"{name} is not an address."
        return
    if address.scheme not in SCHEMES[name] or not host:
        schemes = " or ".join(f"{scheme}://" for scheme in sorted(SCHEMES[name]))
        yield f"{name} must start with {schemes} and name a host."
    elif name == "AMP_BASE_URL" and address.scheme == "http" and host not in LOOPBACK:
        yield "AMP_BASE_URL must be https: payment links and sessions don't travel in the clear."
    elif name == "MQTT_URL" and not (address.username and address.password):
        yield "MQTT_URL must hold the platform's user name and password: the broker takes no anonymous clients."
    elif name == "REDIS_URL" and not address.password and host not in LOOPBACK:
        yield "REDIS_URL must hold a password: this Redis is reached over the network."


MUST_BE_OFF = {
    "DEBUG": "production has no debug mode",
    "DJANGO_DEBUG": "production has no debug mode",
    "AMP_BROWSABLE_API": "its forms list what others own",
    "AMP_WEBHOOK_LOOPBACK": "webhooks would reach this machine's own services",
    "AMP_TEST_CLOCK": "production lives on real time",
}
MUST_BE_ON = {
    "AMP_SECURE_COOKIES": "sessions would travel in the clear",
    "AMP_REQUIRE_TOTP": "administrators and finance sign in with a second factor",
}


def _switches(environment: Mapping[str, str]) -> Iterator[str]:
    """Switches that demo and test mode know, and production refuses instead of ignoring them."""

    def is_on(name: str, default: str = "") -> bool:
        return environment.get(name, default).strip().lower() in TRUE

    yield from (f"{name} is on: {why}. Unset it." for name, why in MUST_BE_OFF.items() if is_on(name))
    yield from (f"{name} is off: {why}. Unset it." for name, why in MUST_BE_ON.items() if not is_on(name, "true"))
    if environment.get("AMP_HSTS_SECONDS", "1").strip() in {"", "0"}:
        yield "AMP_HSTS_SECONDS is 0: browsers would go on trying without TLS. Unset it."
    if environment.get("AMP_CRASH_FILE", "").strip():
        yield "AMP_CRASH_FILE is set: it lets a test kill processes. Unset it."


def _proxies(environment: Mapping[str, str]) -> Iterator[str]:
    is_behind = environment.get("AMP_BEHIND_PROXY", "").strip().lower() in TRUE
    if is_behind and environment.get("AMP_TRUSTED_PROXIES", "0").strip() in {"", "0"}:
        yield (
            "Set AMP_TRUSTED_PROXIES to the number of proxies in front (AMP_BEHIND_PROXY is on): with 0, all visitors "
            "would share the proxy's address, and its request limit."
        )


def _emqx(environment: Mapping[str, str]) -> Iterator[str]:
    secret = environment.get("AMP_EMQX_SECRET", "").strip()
    if secret and (len(secret) < EMQX_SECRET_LENGTH or len(set(secret)) < SECRET_LETTERS):
        yield f"AMP_EMQX_SECRET is weak: give at least {EMQX_SECRET_LENGTH} random characters, or leave it out."


def _metrics(environment: Mapping[str, str]) -> Iterator[str]:
    """X10: figures of the whole platform are for whoever has the token; without one there is no such page."""
    token = environment.get("AMP_METRICS_TOKEN", "").strip()
    if token and (len(token) < METRICS_TOKEN_LENGTH or len(set(token)) < SECRET_LETTERS):
        yield f"AMP_METRICS_TOKEN is weak: give at least {METRICS_TOKEN_LENGTH} random characters, or leave it out."
    elif not token and environment.get("AMP_METRICS_PORT", "0").strip() not in {"", "0"}:
        yield "AMP_METRICS_PORT is set without AMP_METRICS_TOKEN: metrics would be open to everybody. Set the token."


def _logs(environment: Mapping[str, str]) -> Iterator[str]:
    if environment.get("AMP_LOG_FORMAT", "json").strip() not in {"json", "line"}:
        yield "AMP_LOG_FORMAT must be json or line."


def _gateways(environment: Mapping[str, str]) -> Iterator[str]:
    """A simulator, a gateway's own test system or a stranger would take payments, or see them."""
    for name, hosts in GATEWAY_HOSTS.items():
        value = environment.get(name, "").strip()
        if value and not _leads_to(value, hosts):
            yield f"{name} must be https:// and {' or '.join(sorted(hosts))}, or be left out."


def _leads_to(value: str, hosts: set[str]) -> bool:
    try:
        address = urlsplit(value)
    except ValueError:
        return False
    return address.scheme == "https" and address.netloc in hosts
