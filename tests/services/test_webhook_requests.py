"""What reaches a receiver, and whom we never connect to: against real servers on this machine (F87, F88)."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alerts.channels import webhooks as channel
from alerts.channels.webhooks import MAX_ANSWER, Answer, post
from alerts.webhooks.addresses import Policy
from tests.services.receivers import Receiver, answers, certificate, free_port, hangs, receiver, writes

NEAR = Policy(loopback=True)
QUICK = 0.6
"""Seconds that a request may take here, in the place of ten."""


def ask(url: str, **more: Any) -> Answer:
    """A request as the sender makes it."""
    return post(url, b'{"a":1}', {"webhook-id": "evt_1"}, **{"policy": NEAR, **more})


@pytest.fixture
def listening() -> Iterator[Receiver]:
    """A server on every address of this machine that somebody could mean."""
    with receiver() as found:
        yield found


NAMES = [
    *("127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1"),
    *("0", "0.0.0.0", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    *("[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[2002:7f00:1::1]", "[0:0:0:0:0:0:0:1]"),
    *("10.0.0.1", "169.254.169.254", "192.168.0.1", "100.100.100.200", "[fd00:ec2::254]", "[fe80::1]"),
]
LEADS_TO = [
    *("127.0.0.1", "127.0.0.53", "127.255.255.254", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:7f00:1"),
    *("10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255"),
    *("64:ff9b::7f00:1", "2002:7f00:1::1", "fd12::1", "fe80::1", "fe80::1%1", "ff02::1", "168.63.129.16", "198.18.0.1"),
    "not an address",
]
assert len(NAMES) + len(LEADS_TO) >= 40


def everywhere(port: int) -> Policy:
    """As production, if the server's port were one of ours: so that only the address protects it."""
    return Policy(ports=frozenset({port}))


@pytest.mark.parametrize("name", NAMES)
def test_f87_no_way_of_writing_an_address_of_ours_gets_a_connection(listening: Receiver, name: str) -> None:
    answer = ask(f"https://{name}:{listening.port}/", policy=everywhere(listening.port), seconds=5)
    assert answer.status is None
    assert "not allowed" in answer.problem or "not found" in answer.problem
    assert listening.connections == 0


@pytest.mark.parametrize("address", LEADS_TO)
def test_f87_no_name_that_leads_inside_gets_a_connection(listening: Receiver, address: str) -> None:
    """Nor one that leads to a public address as well: all are checked."""
    for found in ([address], ["93.184.216.34", address], [address, "93.184.216.34"]):
        url = f"https://erp.example:{listening.port}/"
        answer = ask(url, policy=everywhere(listening.port), resolve=lambda *_, found=found: found, seconds=5)
        assert answer.problem == "the address is not allowed: not_public"
    assert listening.connections == 0


def test_f87_without_the_check_these_would_be_connected_to(listening: Receiver, monkeypatch: Any) -> None:
    """Negative control of both tables: what keeps us away is the check, and nothing else."""
    monkeypatch.setattr(channel, "check_address", lambda *_args: None)
    for name in ("127.0.0.1", "2130706433", "0x7f.1", "localhost", "0.0.0.0"):
        before = listening.connections
        ask(f"https://{name}:{listening.port}/", policy=everywhere(listening.port), seconds=2)
        assert listening.connections == before + 1, name


def test_f87_a_name_that_changes_its_address_is_asked_once(listening: Receiver) -> None:
    """DNS rebinding: the second answer would lead inside, and is never asked for."""
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["192.0.2.1"] if len(asked) > 1 else ["127.0.0.1"]

    answer = ask(f"http://localhost:{listening.port}/", resolve=rebinding)
    assert (answer.status, asked) == (200, ["localhost"])


def test_f87_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch: Any) -> None:
    connected: list[Any] = []

    def refuse(address: Any, timeout: float) -> Any:
        connected.append(address)
        raise OSError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    answer = ask("https://erp.example/", policy=Policy(), resolve=lambda *_: ["93.184.216.34", "2606:4700::1111"])
    assert connected == [("93.184.216.34", 443), ("2606:4700::1111", 443)]
    assert answer.problem == "no connection: Connection refused"


def test_f87_no_proxy_of_the_environment_is_asked(listening: Receiver, monkeypatch: Any) -> None:
    with receiver() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert ask(listening.url).status == 200
        assert proxy.connections == 0


def test_f87_redirects_are_answers_and_no_more(listening: Receiver) -> None:
    with receiver(answers(302, Location=listening.url)) as erp:
        assert ask(erp.url).status == 302
        assert listening.connections == 0


def test_the_first_address_that_takes_a_connection_is_used(listening: Receiver) -> None:
    answer = ask(f"http://localhost:{listening.port}/x?y=1", resolve=lambda *_: ["::1", "127.0.0.1"])
    assert answer.status == 200
    assert (listening.got[0].path, listening.got[0].body) == ("/x?y=1", b'{"a":1}')
    assert listening.got[0].headers == {
        "host": f"localhost:{listening.port}",
        "content-type": "application/json",
        "content-length": "7",
        "user-agent": "AMP-Webhooks/1",
        "accept": "*/*",
        "connection": "close",
        "webhook-id": "evt_1",
    }


@pytest.fixture
def trusting(monkeypatch: Any) -> Callable[[Path], None]:
    """Makes the authority of these tests one of the system's."""

    def trust(authority: Path) -> None:
        context = ssl.create_default_context(cafile=str(authority))
        monkeypatch.setattr(channel, "_context", lambda: context)

    return trust


def test_tls_verifies_the_name_that_was_written_at_the_address_that_was_checked(
    tmp_path: Path, trusting: Callable[[Path], None]
) -> None:
    own = certificate(tmp_path, "localhost")
    with receiver(tls=own) as erp:
        trusting(own)
        assert ask(f"https://localhost:{erp.port}/").status == 200
        wrong = ask(f"https://127.0.0.1:{erp.port}/")  # the same server, by a name that it has no certificate for
        assert (wrong.status, wrong.problem.split(":")[0]) == (None, "the certificate is not valid")
        assert len(erp.got) == 1


def test_a_certificate_that_nobody_vouches_for_gets_no_request(tmp_path: Path) -> None:
    with receiver(tls=certificate(tmp_path, "localhost")) as erp:
        answer = ask(f"https://localhost:{erp.port}/")
        assert answer.problem.startswith("the certificate is not valid: self-signed certificate")
        assert (answer.status, erp.got) == (None, [])


def test_plain_http_behind_https_and_nobody_at_all_are_failures(listening: Receiver) -> None:
    assert ask(f"https://localhost:{listening.port}/", seconds=2).status is None
    assert ask(f"http://127.0.0.1:{free_port()}/").problem == "no connection: Connection refused"
    assert ask("http://localhost/", resolve=_unknown).problem == "the name was not found"


def _unknown(_host: str, _port: int) -> list[str]:
    raise socket.gaierror(-2, "Name or service not known")


OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "garbage": (writes(b"\x00\xff\xfe garbage\r\n\r\n"), None),
    "nothing": (writes(), None),
    "half a head": (writes(b"HTTP/1.1 200 OK\r\nContent-Le"), 200),
    "another protocol": (writes(b"SSH-2.0-OpenSSH_9.2\r\n"), None),
    "a status that is none": (writes(b"HTTP/1.1 20x OK\r\n\r\n"), None),
    "a long line": (writes(b"HTTP/1.1 200 " + b"x" * 100_000), None),
    "endless headers": (writes(OK, *[b"X-A: " + b"a" * 900 + b"\r\n"] * 2_000), None),
    "a huge body": (writes(OK + b"Content-Length: 99999999999\r\n\r\n", *[b"x" * 65_536] * 64), 200),
    "an endless body": (writes(OK + b"Transfer-Encoding: chunked\r\n\r\n", *[b"4\r\nabcd\r\n"] * 50_000), 200),
    "a bad chunk": (writes(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 200),
    "a negative length": (writes(OK + b"Content-Length: -1\r\n\r\n"), 200),
    "continue for ever": (writes(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 10_000), None),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_f88_a_hostile_receiver_costs_a_bounded_answer(kind: str) -> None:
    behave, status = HOSTILE[kind]
    with receiver(behave) as erp:
        answer = ask(erp.url, seconds=5)
    assert answer.status == status
    assert len(answer.excerpt) <= 300
    assert answer.problem or status


@pytest.mark.parametrize(
    "behave",
    [
        hangs(threading.Event()),
        writes(*[b"H"] * 100, pause=0.1),
        writes(OK, *[b"X-A: b\r\n"] * 90, pause=0.1),
    ],
    ids=["silent", "one byte at a time", "one header at a time"],
)
def test_f88_a_receiver_that_takes_its_time_costs_the_deadline_and_no_more(behave: Any) -> None:
    with receiver(behave) as erp:
        answer = ask(erp.url, seconds=QUICK)
    assert (answer.status, answer.problem) == (None, "no answer in time: 0.6 s")


def test_f88_a_slow_body_behind_a_good_status_is_a_delivery() -> None:
    with receiver(writes(OK + b"\r\n", *[b"x"] * 100, pause=0.1)) as erp:
        assert ask(erp.url, seconds=QUICK).status == 200


def test_f88_a_receiver_that_never_accepts_costs_the_deadline_and_no_more() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(8)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        answer = ask(f"http://127.0.0.1:{port}/", seconds=QUICK)
        for each in waiting:
            each.close()
    assert answer.status is None
    assert "in time" in answer.problem or "timed out" in answer.problem


def test_f88_a_name_server_that_does_not_answer_costs_the_deadline_and_no_more() -> None:
    answer = ask("http://localhost/", resolve=lambda *_: time.sleep(5) or ["127.0.0.1"], seconds=QUICK)
    assert answer.problem == "the name server did not answer in time"


def test_an_excerpt_is_text_that_can_be_shown() -> None:
    with receiver(answers(500, b"<script>\x1b[31m\x00\r\n\xff" + b"x" * MAX_ANSWER)) as erp:
        answer = ask(erp.url)
    assert answer.excerpt.startswith("<script> [31m   \ufffdx")
    assert answer.excerpt.isprintable()
    assert len(answer.excerpt) == 300
