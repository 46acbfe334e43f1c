"""The demo's MQTT broker: rumqttd in a child process, behind one port that speaks MQTT 3.1.1 and 5.

Loopback only, one shared password for any user name, no ACL: devices aren't kept apart here (production's broker does
that), message expiry isn't kept either. What stands at the port is `amp/demo/doorman.py`.
"""

import atexit
import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Self
from urllib.parse import quote

_DOORMAN = Path(__file__).with_name("doorman.py")
_READY = "ready"


class EmbeddedBroker:
    """A broker for the life of this process: `start`, `stop`, or use it as a context manager.

    It ends with its parent, even on kill -9, for it watches a pipe that only the parent holds. It has a session of
    its own, so Ctrl-C reaches it only through `stop`, after the devices have said goodbye.
    """

    def __init__(self, *, port: int = 1884, password: str = "demo", username: str = "platform") -> None:  # noqa: S107
        """`password` opens the door for every user name; `username` is the platform's own, for `url`."""
        self.port = port
        self.password = password
        self._username = username
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """The address for MQTT_URL."""
        return f"mqtt://{quote(self._username, safe='')}:{quote(self.password, safe='')}@127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start and return once clients are let in. Raises RuntimeError that says why if they can't be."""
        if self.is_running:
            return self
        self._process = subprocess.Popen(  # noqa: S603 - our own file, no outside input
            [sys.executable, "-P", str(_DOORMAN)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        atexit.register(self.stop)
        answer = self._hand_over(self._process, {"port": self.port, "password": self.password})
        if answer != _READY:
            self.stop()
            raise RuntimeError(f"The demo's broker can't start on port {self.port}: {answer or 'it ended at once'}")
        return self

    @staticmethod
    def _hand_over(process: subprocess.Popen[str], settings: dict[str, object]) -> str:
        """Give the child its settings (stdin, so that no password shows in a process list); what it answers."""
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the demo's broker was started without pipes")
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    def stop(self) -> None:
        """End the broker and free its port; may be called again."""
        process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.stop)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
