"""The repository keeps its own promises: locks, compose file, layout, the two commands of the README."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.apps import apps
from django.db import models

from amp.queue_settings import DEFAULT, URGENT
from devices.transports.mosquitto import render_acl
from tests.stack import processes, redis

REPOSITORY = processes.REPOSITORY
APPS = ("amp", "catalog", "devices", "billing", "alerts")
LOCKS = ("requirements.lock", "requirements-dev.lock")
TOP_LEVEL = {
    *("manage.py", "pyproject.toml", "README.md", "templates", "tests", "docker-compose.yml", *APPS),
    *("Makefile", "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", ".dockerignore", ".env.example", ".gitignore"),
    *(".ci", "docs", "locale", "bench", *LOCKS),
}
ROOMS = {
    *("urls", "admin", "api", "tasks", "management", "admin_views", "views", "forms", "qr", "invariants", "services"),
    *("filters", "papers"),
    *("transports", "providers", "channels", "access", "models", "apps", "migrations"),
}
LINES = 300
# Longer files, each with the reason why it is one subject.
LONG_FILES: dict[str, str] = {}


def tracked(*patterns: str) -> list[Path]:
    """Files that the repository holds or is about to, by git's patterns."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in (REPOSITORY / name for name in listed.stdout.splitlines()) if path.is_file()]


def compose() -> dict[str, Any]:
    """The compose file, with its anchors resolved."""
    return yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())


def contracts() -> dict[str, dict[str, Any]]:
    """import-linter's contracts by name."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {contract["name"]: contract for contract in settings["contracts"]}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_each_package_with_hashes_and_names_no_address(lock: str) -> None:
    text = (REPOSITORY / lock).read_text()
    pins = re.findall(
        r"^([a-z0-9][\w.-]*(?:\[[\w,-]+\])?==\S+).*\\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)", text, re.M
    )
    requirements = re.findall(r"^[a-z0-9]\S*", text, re.M | re.I)
    assert len(pins) == len(requirements) > 40
    assert not re.search(r"\w+://|--index-url|--extra-index-url|--find-links|file:", text)


def test_development_lock_holds_the_same_versions_as_the_runtime_lock() -> None:
    runtime, development = (
        dict(re.findall(r"^([a-z0-9][\w.-]*)(?:\[.*\])?==(\S+)", text, re.M)) for text in lock_texts()
    )
    assert runtime.items() <= development.items()


def test_image_can_do_whatever_a_setting_asks_for_X10() -> None:
    """One lock with hashes, and the extra is in it: `AMP_SENTRY_DSN` alone sends errors to a Sentry."""
    installed = re.findall(r"^RUN pip install (.*)$", (REPOSITORY / "Dockerfile").read_text(), re.M)
    assert installed == ["--require-hashes --only-binary :all: --requirement /tmp/requirements.lock"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = {*project["dependencies"], *project["optional-dependencies"]["sentry"]}
    names = {re.split(r"[\[<>=~ ]", each)[0].lower() for each in wanted}
    assert "sentry-sdk" in names
    pinned = set(re.findall(r"^([a-z0-9][\w.-]*)(?:\[.*\])?==", lock_texts()[0], re.M))
    assert names - pinned == set()
    assert "AMP_SENTRY_DSN" in compose()["services"]["web"]["environment"]


def lock_texts() -> list[str]:
    """Texts of the runtime lock and the development lock."""
    return [(REPOSITORY / name).read_text() for name in LOCKS]


def test_compose_file_is_valid() -> None:
    command = processes.resolved(("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"))
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_file_runs_the_commands_that_the_tests_run() -> None:
    services = compose()["services"]
    expected = {
        "web": processes.WEB,
        "worker": (*processes.WORKER, f"--queues={DEFAULT}"),
        "urgent": (*processes.WORKER, f"--queues={URGENT}", "--concurrency=${URGENT_PROCESSES:-4}"),
        "beat": processes.BEAT,
        "bridge": processes.BRIDGE,
        "migrate": processes.MIGRATE,
    }
    assert {name: tuple(services[name]["command"]) for name in expected} == expected


def test_compose_file_watches_the_health_of_each_lasting_service() -> None:
    services = compose()["services"]
    lasting = {name for name, service in services.items() if service.get("restart") != "no"}
    assert lasting == {"postgresql", "redis", "mosquitto", "web", "worker", "urgent", "beat", "bridge"}
    assert all(services[name]["healthcheck"]["test"] for name in lasting)


def test_web_answers_while_it_sends_a_long_export() -> None:
    """Sync workers are killed by --timeout in the middle of a file; threads are not, and get time to finish."""
    web = compose()["services"]["web"]
    image = re.search(r'GUNICORN_CMD_ARGS="([^"]*)"', (REPOSITORY / "Dockerfile").read_text())
    assert image
    for words in (web["environment"]["GUNICORN_CMD_ARGS"], image[1].replace("\\\n", "")):
        given = dict(word.partition("=")[::2] for word in words.split())
        assert {"--preload", "--no-control-socket"} <= given.keys(), "the tests run the product so"
        assert given["--worker-class"] == "gthread"
        assert "--threads" in given
        assert int(web["stop_grace_period"].removesuffix("s")) > int(given["--graceful-timeout"])


def test_compose_file_gives_redis_the_arguments_that_the_tests_give() -> None:
    command = compose()["services"]["redis"]["command"]
    pairs = set(zip(command[1::2], command[2::2], strict=True))
    assert set(zip(redis.ARGUMENTS[::2], redis.ARGUMENTS[1::2], strict=True)) <= pairs


def test_compose_file_hands_over_every_setting_that_production_requires_and_env_example_explains_it() -> None:
    handed = compose()["services"]["worker"]["environment"]
    required = re.findall(r"_required\(\s*\"(\w+)\"", (REPOSITORY / "amp" / "settings.py").read_text())
    assert len(required) >= 6
    assert set(required) <= set(handed)
    asked = {name for value in map(str, handed.values()) for name in re.findall(r"\$\{(\w+)", value)}
    example = set(re.findall(r"^#?(\w+)=", (REPOSITORY / ".env.example").read_text(), re.M))
    assert asked <= example


def test_broker_has_no_limit_that_drops_messages_and_lets_nobody_in_without_a_password() -> None:
    lines = (REPOSITORY / "docs" / "operations" / "mosquitto" / "mosquitto.conf").read_text().splitlines()
    for line in ("allow_anonymous false", "persistence true", "max_inflight_messages 0", "max_queued_messages 0"):
        assert line in lines


def test_compose_file_exports_credentials_to_where_the_broker_reads_them() -> None:
    """The one-shot command and the broker's configuration name the same two files."""
    lines = (REPOSITORY / "docs" / "operations" / "mosquitto" / "mosquitto.conf").read_text().splitlines()
    command = compose()["services"]["credentials"]["command"]
    for option in ("password_file", "acl_file"):
        (path,) = (line.split()[1] for line in lines if line.startswith(option))
        assert f"--{option.replace('_', '-')}={path}" in command


def test_documented_acl_grants_what_the_exported_one_grants() -> None:
    """F68: the tests' broker starts with the documented file, production runs with the exported one."""
    documented = (REPOSITORY / "docs" / "operations" / "mosquitto" / "acl").read_text()
    assert grants(documented) == grants(render_acl("platform"))


def grants(acl: str) -> set[str]:
    """Lines of an ACL file without comments."""
    return {line for line in acl.splitlines() if line and not line.startswith("#")}


def test_readme_names_both_commands_and_ci_calls_one() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    assert "make test" in (REPOSITORY / ".ci" / "run").read_text().splitlines()


def test_top_level_holds_the_agreed_names_only() -> None:
    assert {path.relative_to(REPOSITORY).parts[0] for path in tracked()} <= TOP_LEVEL


def test_no_file_has_outgrown_its_subject() -> None:
    lengths = {
        str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines())
        for path in tracked("*.py")
        if "migrations" not in path.parts
    }
    assert [name for name, lines in lengths.items() if lines > LINES and name not in LONG_FILES] == []
    assert [name for name in LONG_FILES if lengths.get(name, 0) <= LINES] == [], "no longer long: take it off the list"


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    private = re.compile(rf"{re.escape(str(REPOSITORY))}|/(?:home|Users)/\w+|/root/")
    texts = {path: path.read_text(errors="ignore") for path in tracked() if path != Path(__file__)}
    assert [str(path) for path, text in texts.items() if private.search(text)] == []


def test_no_model_reads_the_clock_by_itself() -> None:
    """R8: instants come from the entry point as `now`; `auto_now` and callable defaults would read real time."""
    own = [model for model in apps.get_models() if model.__module__.split(".")[0] in APPS]
    assert len(own) > 5
    assert [str(field) for model in own for field in model._meta.local_fields if reads_the_clock(field)] == []


def reads_the_clock(field: models.Field[Any, Any]) -> bool:
    """Whether a date or time field fills itself."""
    if not isinstance(field, models.DateField | models.TimeField):
        return False
    return field.auto_now or field.auto_now_add or (field.has_default() and callable(field.default))


def test_check_for_clocks_sees_one() -> None:
    """Negative control of the test above."""
    assert reads_the_clock(models.DateTimeField(auto_now_add=True))
    assert reads_the_clock(models.DateField(auto_now=True))
    assert not reads_the_clock(models.DateTimeField(null=True))


def test_every_rule_module_is_held_to_the_contract_on_frameworks() -> None:
    """What stands at the root of an app and is no room is a rule: pure Python, checked as such."""
    checked = {module.rpartition(".")[2] for module in contracts()["Rules import no framework"]["source_modules"]}
    assert set(rule_modules()) <= checked


def rule_modules() -> Iterator[str]:
    """Names of the modules at the root of the apps that are neither a room nor the app's charter."""
    for app in APPS[1:]:
        for path in (REPOSITORY / app).glob("*.py"):
            if path.stem not in ROOMS | {"__init__"}:
                yield path.stem


def test_every_package_of_the_product_has_its_charter() -> None:
    """Three to eight lines that say what the app owns and what it must not know."""
    for app in (*APPS[1:], "amp/foundation"):
        charter = ast.get_docstring(ast.parse((REPOSITORY / app / "__init__.py").read_text()))
        assert 3 <= len((charter or "").splitlines()) <= 8, app
