"""The broker's password and ACL files, as `manage.py export_mqtt_credentials` writes them (X4, F68)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from amp.foundation.scoping import system_scope
from devices.management.commands import export_mqtt_credentials
from devices.services.credentials import revoke_credential
from devices.services.registration import terminate_device
from devices.transports.mosquitto import password_matches
from tests.factories import NOW, make_device, make_product

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def test_exported_files_hold_live_devices_and_the_platform_and_are_replaced_whole(tmp_path: Path) -> None:
    product = make_product()
    live, gone = make_device(product), make_device(product)
    terminate_device(device=gone.device, actor="ann", now=LATER)
    passwords, acl = tmp_path / "passwords", tmp_path / "acl"
    passwords.write_text("old")
    passwords.chmod(0o600)
    output = StringIO()
    options = {"platform_user": "amp", "platform_password": "secret", "stdout": output}
    call_command("export_mqtt_credentials", password_file=passwords, acl_file=acl, **options)
    lines = dict(line.split(":") for line in passwords.read_text().splitlines())
    assert set(lines) == {"amp", f"{product.key}/{live.device.key}"}
    assert password_matches("secret", lines["amp"])
    assert password_matches(live.password, lines[f"{product.key}/{live.device.key}"])
    assert "user amp" in acl.read_text()
    assert passwords.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acl", "passwords"]
    assert output.getvalue().startswith("1 devices")


def test_files_are_written_and_the_broker_is_told_only_when_a_credential_changed_X4(tmp_path: Path, signals) -> None:
    product = make_product()
    device = make_device(product).device
    passwords, acl = tmp_path / "passwords", tmp_path / "acl"
    assert export(passwords, acl) == "1 devices and the user amp\n"
    assert (passwords.stat().st_mode & 0o777, acl.stat().st_mode & 0o777) == (0o600, 0o600)
    before = passwords.stat().st_ino
    assert export(passwords, acl) == "1 devices and the user amp, as before\n"
    assert (passwords.stat().st_ino, signals) == (before, [4_711])
    revoke_credential(device=device, actor="ann", now=LATER)
    assert export(passwords, acl) == "0 devices and the user amp\n"
    assert device.key not in passwords.read_text()
    assert signals == [4_711] * 2
    assert export(passwords, acl, password="another") == "0 devices and the user amp\n"
    assert export(passwords, acl, password="another").endswith(", as before\n")
    assert signals == [4_711] * 3
    assert export(passwords, acl, password="another", force=True) == "0 devices and the user amp\n"
    assert signals == [4_711] * 4


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path, signals) -> None:
    passwords, acl = tmp_path / "passwords", tmp_path / "acl"
    passwords.write_text("old")
    passwords.chmod(0o644)
    export(passwords, acl)
    assert passwords.stat().st_mode & 0o777 == 0o640


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Processes that were told to read their files again."""
    told: list[int] = []
    monkeypatch.setattr(export_mqtt_credentials.os, "kill", lambda pid, _signal: told.append(pid))
    return told


def export(passwords: Path, acl: Path, *, password: str = "secret", force: bool = False) -> str:
    output = StringIO()
    call_command(
        "export_mqtt_credentials",
        password_file=passwords,
        acl_file=acl,
        platform_user="amp",
        platform_password=password,
        reload_pid="4711",
        force=force,
        stdout=output,
    )
    return output.getvalue()


def test_an_export_that_fails_leaves_the_old_files_alone(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("old")
    for wrong in ({"acl_file": tmp_path / "none" / "acl"}, {"acl_file": tmp_path / "acl", "reload_pid": "no-file"}):
        before = sorted(path.name for path in tmp_path.iterdir())
        with pytest.raises(CommandError):
            call_command("export_mqtt_credentials", password_file=tmp_path / "none" / "p", **wrong)
        assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert passwords.read_text() == "old"
