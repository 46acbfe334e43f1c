"""One POST to an integrator's system: to the address that was checked, within a deadline, with a bounded answer (F87).

The name is looked up once. Each address it leads to is checked, and the one that is connected to is one of these: no
second lookup lies in between, so no answer of a name server can lead elsewhere. TLS verifies the name all the same.
Nothing is followed, and no proxy of the environment is asked.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from alerts.webhooks.addresses import AddressRefused, Policy, Target, check_address, target_of

DEADLINE_SECONDS = 10.0
"""For everything: lookup, connection, TLS, request and answer."""
MAX_ANSWER = 64 * 1024
EXCERPT = 300
BLOCK = 16 * 1024

Resolve = Callable[[str, int], list[str]]


class Answer(NamedTuple):
    """What came of it. `status` is None where there was no answer, and `problem` says why, in a stable English word or
    two; `duration_ms` counts from the lookup on."""

    status: int | None
    excerpt: str
    duration_ms: int
    problem: str


class NoAnswer(Exception):
    """No answer that could be read; the message is for the log of the endpoint."""


def look_up(host: str, port: int) -> list[str]:
    """All addresses of a name, as the system knows it. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_rest, address in found))


def addresses_of(target: Target, policy: Policy, deadline: float, resolve: Resolve = look_up) -> list[str]:
    """Where the target's name leads; every address is checked, so that one bad one refuses all.

    Raises AddressRefused, and NoAnswer where the name leads nowhere in time.
    """
    found = _in_time(lambda: resolve(target.host, target.port), deadline)
    if not found:
        raise NoAnswer("the name was not found")
    for address in found:
        check_address(address, target, policy)
    return found


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    policy: Policy,
    resolve: Resolve = look_up,
    seconds: float = DEADLINE_SECONDS,
) -> Answer:
    """Send it; never raises for what the network, the name server or the receiver does."""
    began = time.monotonic()
    deadline = began + seconds
    status, excerpt, problem = None, "", ""
    try:
        target = target_of(url, policy)
        status, excerpt = _exchange(target, addresses_of(target, policy, deadline, resolve), body, headers, deadline)
    except AddressRefused as refused:
        problem = f"the address is not allowed: {refused.wrong.value}"
    except NoAnswer as failed:
        problem = str(failed)
    except TimeoutError:
        problem = f"no answer in time: {seconds:g} s"
    except ssl.SSLCertVerificationError as failed:
        problem = f"the certificate is not valid: {failed.verify_message}"
    except ssl.SSLError as failed:
        problem = f"TLS failed: {failed.reason or 'closed'}"
    except http.client.HTTPException as failed:
        problem = f"the answer is not HTTP: {type(failed).__name__}"
    except (OSError, ValueError) as failed:
        problem = f"no connection: {getattr(failed, 'strerror', None) or type(failed).__name__}"
    return Answer(status, excerpt, int((time.monotonic() - began) * 1_000), problem[:200])


def _exchange(
    target: Target, addresses: list[str], body: bytes, headers: Mapping[str, str], deadline: float
) -> tuple[int, str]:
    line = _Line(_connected(target, addresses, deadline), deadline)
    try:
        line.sendall(_request(target, body, headers))
        answer = http.client.HTTPResponse(line, method="POST")  # type: ignore[arg-type]
        answer.begin()
        return answer.status, _excerpt(answer)
    finally:
        line.close()


def _connected(target: Target, addresses: list[str], deadline: float) -> socket.socket:
    """A connection to the first checked address that takes one, with TLS for the target's name."""
    trouble: OSError | None = None
    for address in addresses:
        try:
            raw = socket.create_connection((address, target.port), timeout=min(_left(deadline), 5.0))
        except OSError as failed:
            trouble = failed
            continue
        try:
            raw.settimeout(_left(deadline))
            return _context().wrap_socket(raw, server_hostname=target.host) if target.is_tls else raw
        except BaseException:
            raw.close()
            raise
    raise trouble or NoAnswer("no connection")


def _request(target: Target, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = {
        "Host": target.authority,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "User-Agent": "AMP-Webhooks/1",
        "Accept": "*/*",
        "Connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


def _excerpt(answer: http.client.HTTPResponse) -> str:
    """The beginning of the answer as text that can be shown; what can't be read of it is left out."""
    try:
        raw = answer.read(EXCERPT * 4)
    except (OSError, http.client.HTTPException, NoAnswer, ValueError):
        return ""
    text = raw.decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in text)[:EXCERPT].strip()


class _Line(io.RawIOBase):
    """A socket that keeps one deadline over all reads and writes, and an end to what it reads.

    A timeout of a socket starts anew with every byte: a receiver that sends one a second would hold us for ever.
    """

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        super().__init__()
        self._socket, self._deadline, self._read = connection, deadline, 0

    def makefile(self, _mode: str) -> Any:
        """What http.client reads from."""
        return io.BufferedReader(self, BLOCK)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As much as there is. Raises TimeoutError at the deadline, NoAnswer where the answer is too long."""
        if self._read >= MAX_ANSWER:
            raise NoAnswer("the answer is too long")
        self._socket.settimeout(_left(self._deadline))
        got = self._socket.recv_into(buffer)
        self._read += got
        return got

    def sendall(self, content: bytes) -> None:
        """All of it, within the deadline."""
        rest = memoryview(content)
        while rest:
            self._socket.settimeout(_left(self._deadline))
            rest = rest[self._socket.send(rest[:BLOCK]) :]

    def close(self) -> None:
        """The socket too; http.client closes its file early, when an answer has no body."""
        super().close()
        self._socket.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _in_time(work: Callable[[], list[str]], deadline: float) -> list[str]:
    """A lookup can't be interrupted; it is left alone when its time is over."""
    found: list[list[str]] = []
    failed: list[OSError | UnicodeError] = []

    def run() -> None:
        try:
            found.append(work())
        except (OSError, UnicodeError) as trouble:
            failed.append(trouble)

    thread = threading.Thread(target=run, daemon=True, name="webhook lookup")
    thread.start()
    thread.join(_left(deadline))
    if failed:
        raise NoAnswer("the name was not found")
    if not found:
        raise NoAnswer("the name server did not answer in time")
    return found[0]


@cache
def _context() -> ssl.SSLContext:
    """The system's authorities, TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
