"""A throwaway Mosquitto, configured by the file that production uses."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.stack.daemon import Daemon, accepts, free_port
from tests.stack.waiting import eventually

PRODUCTION = Path(__file__).parents[2] / "docs" / "operations" / "mosquitto"
PLATFORM_USER = "platform"
SUBSCRIPTION = re.compile(r"^\d+: (\S+) [012] (\S+)$", re.MULTILINE)


@dataclass(kw_only=True)
class Mosquitto(Daemon):
    """A broker with a listener for devices and one for the platform.

    `password_file` and `acl_file` are where `manage.py export_mqtt_credentials` writes; `reload` makes the broker read
    them. They start as production's ACL and the single user `platform`.
    """

    name: str = "mosquitto"
    port: int = field(default_factory=free_port)
    platform_port: int = field(default_factory=free_port)
    platform_password: str = "throwaway"
    host: str = "127.0.0.1"

    @property
    def credentials(self) -> Path:
        """Directory of the password file and the ACL file."""
        return self.directory / "mosquitto"

    @property
    def password_file(self) -> Path:
        """Where user names and hashed passwords lie."""
        return self.credentials / "passwords"

    @property
    def acl_file(self) -> Path:
        """Where it is said who may publish and subscribe to what."""
        return self.credentials / "acl"

    @property
    def url(self) -> str:
        """`MQTT_URL` of the platform's own processes."""
        return f"mqtt://{PLATFORM_USER}:{self.platform_password}@{self.host}:{self.platform_port}"

    def add_user(self, name: str, password: str) -> None:
        """Let one more user in (a device is `{productKey}/{deviceKey}`), or change a password; call `reload` after."""
        subprocess.run(
            [_program("mosquitto_passwd"), "-b", self.password_file, name, password], check=True, capture_output=True
        )

    def add_users(self, names: list[str], password: str) -> None:
        """Many at once, all with the same password; none of them may be known yet. Call `reload` after."""
        fresh = self.credentials / "fresh"
        fresh.write_text("".join(f"{name}:{password}\n" for name in names))
        fresh.chmod(0o600)
        subprocess.run([_program("mosquitto_passwd"), "-U", fresh], check=True, capture_output=True)
        with self.password_file.open("a") as users:
            users.write(fresh.read_text())
        fresh.unlink()

    def reload(self) -> None:
        """SIGHUP: read passwords and ACL again; returns when the broker has begun to."""
        before = self.output().count("Reloading config")
        os.kill(self.pid, signal.SIGHUP)
        eventually(lambda: self.output().count("Reloading config") > before, what="the broker's reload")

    def subscriptions(self, client_id: str, topic: str) -> int:
        """How often the broker has taken this subscription of a client since it was first started."""
        return SUBSCRIPTION.findall(self.output()).count((client_id, topic))

    def command(self) -> tuple[str, ...]:
        """`mosquitto` with our rendering of production's configuration."""
        return (_program("mosquitto"), "-c", str(self.credentials / "mosquitto.conf"))

    def is_ready(self) -> bool:
        """Whether both listeners accept connections."""
        return accepts(self.port) and accepts(self.platform_port)

    def start(self) -> None:
        """Write the configuration at the first start, then start."""
        if not self.credentials.exists():
            self._prepare()
        super().start()

    def save_state(self) -> None:
        """SIGUSR1: write sessions, queues and retained messages to the disk; returns when they are there."""
        stored = self.credentials / "data" / "mosquitto.db"
        before = stored.stat().st_ino if stored.exists() else None
        os.kill(self.pid, signal.SIGUSR1)
        eventually(lambda: stored.exists() and stored.stat().st_ino != before, what="the broker's state on disk")

    def lose_state(self) -> None:
        """While it is down: sessions, queues and retained messages are gone, as with a new disk."""
        for stored in (self.credentials / "data").iterdir():
            stored.unlink()

    def _prepare(self) -> None:
        (self.credentials / "data").mkdir(parents=True)
        (self.credentials / "mosquitto.conf").write_text(self._configuration())
        shutil.copyfile(PRODUCTION / "acl", self.acl_file)
        self.password_file.touch(mode=0o600)
        self.add_user(PLATFORM_USER, self.platform_password)

    def _configuration(self) -> str:
        """Production's file with our ports and paths; every line that is replaced must be there once."""
        text = (PRODUCTION / "mosquitto.conf").read_text()
        for old, new in (
            ("listener 1883\n", f"listener {self.port} {self.host}\n"),
            ("listener 1884\n", f"listener {self.platform_port} {self.host}\n"),
            ("/mosquitto/credentials/passwords", str(self.password_file)),
            ("/mosquitto/credentials/acl", str(self.acl_file)),
            ("/mosquitto/data/", f"{self.credentials}/data/"),
        ):
            if text.count(old) != 1:
                raise RuntimeError(f"{PRODUCTION / 'mosquitto.conf'} must say {old!r} once")
            text = text.replace(old, new)
        # Subscriptions in the log tell tests when the bridge listens.
        return text + "\nlog_type subscribe\n" + ("user root\n" if os.geteuid() == 0 else "")


def _program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        raise RuntimeError(f"{name} is missing: install the package mosquitto.")
    return found
