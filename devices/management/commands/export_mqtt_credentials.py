"""`manage.py export_mqtt_credentials`: the password file and the ACL of Mosquitto."""

from __future__ import annotations

import os
import signal
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from amp.foundation.scoping import system_scope
from devices.services.broker_files import rendered_files


class Command(BaseCommand):
    """Writes both files beside their old versions and puts them in place in one step each, where they changed.

    New files are for their owner alone (0600); one that is there keeps its owner and mode, but nothing for others.
    """

    help = "Write the broker's password file and ACL for all live devices and the platform's own user."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to write, who the platform is, whom to tell."""
        parser.add_argument("--password-file", type=Path, required=True, help="path of Mosquitto's password_file")
        parser.add_argument("--acl-file", type=Path, required=True, help="path of Mosquitto's acl_file")
        parser.add_argument("--platform-user", help="user of bridge and dispatch; default: the one in MQTT_URL")
        parser.add_argument(
            "--platform-password",
            default=os.environ.get("AMP_MQTT_PLATFORM_PASSWORD"),
            help="its password; default: AMP_MQTT_PLATFORM_PASSWORD, else the one in MQTT_URL",
        )
        parser.add_argument(
            "--reload-pid", help="process id of Mosquitto, or a file that holds it: gets SIGHUP when a file changed"
        )
        parser.add_argument("--force", action="store_true", help="write and signal even where nothing changed")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, render, replace, tell the broker."""
        user, password = _platform(options)
        paths: tuple[Path, Path] = (options["password_file"], options["acl_file"])
        try:
            before = [path.read_text("utf-8", errors="replace") if path.exists() else None for path in paths]
            with system_scope():
                files = rendered_files(platform_user=user, platform_password=password, before=before[0] or "")
            pid = _pid(options["reload_pid"]) if options["reload_pid"] else None
            wanted = zip(paths, before, (files.passwords, files.acl), strict=True)
            changed = [(path, new) for path, old, new in wanted if new != old or options["force"]]
            for path, new in changed:
                _replace(path, new)
            if pid and changed:
                os.kill(pid, signal.SIGHUP)
        except OSError as failure:
            raise CommandError(f"The broker's files are not all in place: {failure}") from failure
        self.stdout.write(f"{files.devices} devices and the user {user}" + ("" if changed else ", as before"))


def _platform(options: dict[str, Any]) -> tuple[str, str]:
    parts = urlsplit(settings.MQTT_URL)
    user = options["platform_user"] or unquote(parts.username or "")
    password = options["platform_password"] or unquote(parts.password or "")
    if not user or not password:
        raise CommandError("Give the platform's user and password, by option or in MQTT_URL.")
    return user, password


def _pid(given: str) -> int:
    try:
        text = given if given.isdigit() else Path(given).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as unreadable:
        raise CommandError(f"{given} can't be read: {unreadable}") from None
    if not text.isdigit() or int(text) < 2:
        raise CommandError(f"{given} names no process: give a process id, or a file that holds one.")
    return int(text)


def _replace(path: Path, content: str) -> None:
    """Write `content` so that a reader sees the old file or the new one, with the old one's owner and mode."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _copy_owner(path, temporary)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _copy_owner(path: Path, temporary: str) -> None:
    if not path.exists():
        Path(temporary).chmod(0o600)
        return
    known = path.stat()
    Path(temporary).chmod(known.st_mode & 0o770)
    if os.geteuid() == 0:
        os.chown(temporary, known.st_uid, known.st_gid)
