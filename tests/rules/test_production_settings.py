"""Production refuses to start with a missing or weak setting, and says which (R10, X9)."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from amp.checks import REQUIRED, weak_settings, weak_values
from tests.stack import processes

REPOSITORY = Path(__file__).parents[2]
STRONG = {
    "SECRET_KEY": "a9Zk2-" * 10 + "QwErTy",
    "AMP_FIELD_KEY": base64.b64encode(bytes(range(32))).decode(),
    "DATABASE_URL": "postgres://amp:secretword@db:5432/amp",
    "REDIS_URL": "redis://:secretword@redis:6379/0",
    "MQTT_URL": "mqtt://platform:secretword@mosquitto:1884",
    "AMP_BASE_URL": "https://amp.example.com",
    "ALLOWED_HOSTS": "amp.example.com,127.0.0.1",
}
WEAK = [
    ("AMP_METRICS_TOKEN", "only-31-characters-long-so-few!"),
    ("AMP_METRICS_TOKEN", "ab" * 40),
    ("AMP_METRICS_PORT", "9100"),
    ("AMP_LOG_FORMAT", "yaml"),
    ("AMP_EMQX_SECRET", "only-31-characters-long-so-few!"),
    ("AMP_EMQX_SECRET", "ab" * 40),
    ("SECRET_KEY", "short"),
    ("SECRET_KEY", "x" * 80),
    ("SECRET_KEY", processes.SECRET_KEY),
    ("SECRET_KEY", "demo-only-key-that-signs-nothing-of-value-0123456789"),
    ("AMP_FIELD_KEY", base64.b64encode(bytes(16)).decode()),
    ("AMP_FIELD_KEY", base64.b64encode(bytes(33)).decode()),
    ("AMP_FIELD_KEY", "not base64!"),
    ("AMP_FIELD_KEYS_BEFORE", "not base64!"),
    ("AMP_FIELD_KEYS_BEFORE", f"{base64.b64encode(bytes(range(32))).decode()},{base64.b64encode(bytes(16)).decode()}"),
    ("DATABASE_URL", "sqlite:////tmp/amp.sqlite3"),
    ("DATABASE_URL", "postgres:///amp"),
    ("REDIS_URL", "memory://"),
    ("REDIS_URL", "redis://redis:6379/0"),
    ("REDIS_URL", "rediss://user@10.0.0.5:6379"),
    ("MQTT_URL", "mosquitto:1884"),
    ("MQTT_URL", "mqtt://mosquitto:1884"),
    ("MQTT_URL", "mqtt://platform@mosquitto:1884"),
    ("MQTT_URL", "mqtt://:secretword@mosquitto:1884"),
    ("AMP_BASE_URL", "http://amp.example.com"),
    ("AMP_BASE_URL", "amp.example.com"),
    ("AMP_BASE_URL", "https://[broken"),
    ("ALLOWED_HOSTS", "*"),
    ("ALLOWED_HOSTS", "amp.example.com,*"),
    ("ALLOWED_HOSTS", ".example.com"),
    ("ALLOWED_HOSTS", ","),
    ("DEBUG", "true"),
    ("DJANGO_DEBUG", "1"),
    ("AMP_SECURE_COOKIES", "false"),
    ("AMP_HSTS_SECONDS", "0"),
    ("AMP_REQUIRE_TOTP", "off"),
    ("AMP_BROWSABLE_API", "yes"),
    ("AMP_TEST_CLOCK", "on"),
    ("AMP_CRASH_FILE", "/tmp/anything"),
    ("AMP_WEBHOOK_LOOPBACK", "true"),
    ("WECHAT_GATEWAY_URL", "http://api.mch.weixin.qq.com"),
    ("WECHAT_GATEWAY_URL", "https://api.mch.weixin.qq.com.example"),
    ("WECHAT_GATEWAY_URL", "https://somebody@api.mch.weixin.qq.com"),
    ("WECHAT_GATEWAY_URL", "http://127.0.0.1:9000"),
    ("ALIPAY_GATEWAY_URL", "https://openapi-sandbox.dl.alipaydev.com/gateway.do"),
    ("ALIPAY_GATEWAY_URL", "https://openapi.alipay.com:8443/gateway.do"),
    ("ALIPAY_GATEWAY_URL", "https://[broken"),
]
VALUES = {
    "DEBUG": False,
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "SESSION_COOKIE_HTTPONLY": True,
    "SECURE_HSTS_SECONDS": 31_536_000,
    "REST_FRAMEWORK": {"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]},
}
WEAK_VALUES = [
    ("DEBUG", True),
    ("SESSION_COOKIE_SECURE", False),
    ("CSRF_COOKIE_SECURE", False),
    ("SESSION_COOKIE_HTTPONLY", False),
    ("SECURE_HSTS_SECONDS", 0),
    ("REST_FRAMEWORK", {"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.BrowsableAPIRenderer"]}),
    ("REST_FRAMEWORK", {}),
    ("PAYMENT_GATEWAYS", {"wechat": "http://127.0.0.1:9000"}),
]


def test_strong_settings_are_taken() -> None:
    assert weak_settings(STRONG) == []
    assert weak_settings(STRONG | {"AMP_BASE_URL": "http://127.0.0.1:8000"}) == []
    gateways = {
        "WECHAT_GATEWAY_URL": "https://api2.mch.weixin.qq.com",
        "ALIPAY_GATEWAY_URL": "https://openapi.alipay.com/gateway.do",
    }
    assert weak_settings(STRONG | gateways) == []


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_each_required_setting_is_missed_by_its_name_R10(name: str, value: str | None) -> None:
    told = {key: given for key, given in STRONG.items() if key != name} | ({name: value} if value is not None else {})
    assert weak_settings(told) == [f"Set {name}: production does not start without it."]


@pytest.mark.parametrize(("name", "value"), WEAK)
def test_each_weak_setting_is_named_and_its_value_is_not_shown_R10(name: str, value: str) -> None:
    (problem,) = weak_settings(STRONG | {name: value})
    assert name in problem
    assert len(value) < 6 or value not in problem


@pytest.mark.parametrize(("name", "value"), WEAK_VALUES)
def test_each_setting_that_became_weak_is_named_X9(name: str, value: object) -> None:
    assert weak_values(VALUES) == []
    (problem,) = weak_values(VALUES | {name: value})
    assert problem.startswith(name)


def test_redis_on_the_same_machine_needs_no_password_X9() -> None:
    assert weak_settings(STRONG | {"REDIS_URL": "redis://127.0.0.1:6379/0"}) == []


def test_all_weak_settings_are_named_at_once_R10() -> None:
    problems = weak_settings({})
    assert len(problems) == len(REQUIRED) == 7
    assert "secretword" not in " ".join(weak_settings({**STRONG, "DATABASE_URL": "mysql://amp:secretword@db/amp"}))


def test_behind_a_proxy_visitors_are_told_apart_F94() -> None:
    behind = STRONG | {"AMP_BEHIND_PROXY": "True"}
    (problem,) = weak_settings(behind)
    assert "AMP_TRUSTED_PROXIES" in problem
    assert weak_settings(behind | {"AMP_TRUSTED_PROXIES": "1"}) == []


def test_the_images_build_gets_past_the_check() -> None:
    """It collects static files with settings of no value, in production mode."""
    line = (REPOSITORY / "Dockerfile").read_text().split("RUN AMP_MODE=production", 1)[1].split("python manage.py")[0]
    assert weak_settings(dict(word.split("=", 1) for word in line.replace("\\\n", " ").split())) == []


def _started(**environment: str) -> subprocess.CompletedProcess[str]:
    """A process that loads the settings of production and tells what they became."""
    program = (
        "import django; django.setup(); from django.conf import settings as s; "
        "print(s.DEBUG, s.SANDBOX_ENABLED, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.IS_DEMO)"
    )
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    told = {"DJANGO_SETTINGS_MODULE": "amp.settings", "AMP_MODE": "production", **environment}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=REPOSITORY, env=inherited | told, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_real_process_starts_with_strong_settings_and_without_the_sandbox() -> None:
    assert _started(**STRONG).stdout.split() == ["False", "False", "True", "True", "False"]
    assert _started(**STRONG, AMP_SANDBOX="true").stdout.split()[1] == "True"


def test_the_real_process_refuses_to_start_and_names_each_weak_setting_R10() -> None:
    refused = _started(**STRONG | {"SECRET_KEY": "short", "ALLOWED_HOSTS": "*", "AMP_FIELD_KEY": ""})
    assert refused.returncode != 0
    assert "ImproperlyConfigured" in refused.stderr
    for name in ("SECRET_KEY", "ALLOWED_HOSTS", "AMP_FIELD_KEY"):
        assert name in refused.stderr.splitlines()[-1]
    assert "secretword" not in refused.stderr
