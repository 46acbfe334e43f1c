"""The throwaway services do what the tests rely on: they start, refuse, survive a kill and come back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.stack.daemon import is_alive
from tests.stack.mosquitto import Mosquitto
from tests.stack.plugin import Stack
from tests.stack.postgresql import PostgreSQL
from tests.stack.redis import Redis
from tests.stack.waiting import eventually

ONE, OTHER = "camera/one", "camera/other"


@pytest.fixture(scope="module")
def broker(mosquitto: Mosquitto) -> Mosquitto:
    """The broker with two devices on its password list."""
    for device in (ONE, OTHER):
        mosquitto.add_user(device, "secret")
    mosquitto.reload()
    return mosquitto


@contextmanager
def connected(
    port: int, user: str | None, password: str = "secret", client_id: str = ""
) -> Iterator[tuple[paho.Client, list[str], list[str]]]:
    """A client that was let in, the topics it received, and the reasons for which it was disconnected."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id or user or "",
        protocol=paho.MQTTv5,
        reconnect_on_failure=False,  # who is refused stays away, and is gone at once
    )
    received: list[str] = []
    outcomes: list[str] = []
    ended: list[str] = []
    client.on_connect = lambda _client, _data, _flags, reason, _properties: outcomes.append(str(reason))
    client.on_disconnect = lambda _client, _data, _flags, reason, _properties: ended.append(str(reason))
    client.on_message = lambda _client, _data, message: received.append(message.topic)
    if user:
        client.username_pw_set(user, password)
    client.connect("127.0.0.1", port, clean_start=True)
    client.loop_start()
    try:
        eventually(lambda: outcomes, what="an answer to CONNECT")
        if outcomes[0] != "Success":
            raise PermissionError(outcomes[0])
        yield client, received, ended
    finally:
        client.disconnect()
        client.loop_stop()


def subscribe(client: paho.Client, topic: str) -> list[int]:
    """Reason codes of the SUBACK."""
    codes: list[int] = []
    client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: codes.extend(r.value for r in reasons)
    client.subscribe(topic, qos=1)
    return eventually(lambda: codes, what="SUBACK")


def publish(client: paho.Client, topic: str) -> int:
    """Reason code of the PUBACK: 0 delivered, 16 nobody subscribed, 135 not allowed."""
    codes: list[int] = []
    client.on_publish = lambda _client, _data, _mid, reason, _properties: codes.append(reason.value)
    client.publish(topic, "{}", qos=1)
    eventually(lambda: codes, what="PUBACK")
    return codes[0]


@pytest.fixture
def own_directory(stack: Stack) -> Path:
    """Where a test keeps servers of its own: the shared ones have other tests' connections."""
    directory = stack.directory / "own"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture
def own_postgresql(own_directory: Path) -> Iterator[PostgreSQL]:
    server = PostgreSQL(directory=own_directory)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_redis(own_directory: Path) -> Iterator[Redis]:
    server = Redis(directory=own_directory)
    server.start()
    yield server
    server.stop()


def test_postgresql_accepts_and_keeps_committed_rows_through_kill_9(own_postgresql: PostgreSQL) -> None:
    url = own_postgresql.create_database("kept")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (number int); INSERT INTO kept VALUES (1)")
    own_postgresql.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)
    own_postgresql.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(1,)]


def test_redis_refuses_without_its_password_evicts_nothing_and_forgets_all_at_a_restart(own_redis: Redis) -> None:
    client = own_redis.client(2)
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    client.set("waiting", "task")
    own_redis.restart()
    assert own_redis.client(2).get("waiting") is None
    own_redis.password, right = "wrong", own_redis.password
    try:
        assert not own_redis.is_ready()
    finally:
        own_redis.password = right


def test_broker_refuses_anonymous_clients_and_wrong_passwords(broker: Mosquitto) -> None:
    for port in (broker.port, broker.platform_port):
        for user, password in ((None, ""), (ONE, "wrong"), ("camera/unknown", "secret")):
            with pytest.raises(PermissionError), connected(port, user, password):
                pass


def test_device_may_speak_for_itself_and_for_nobody_else(broker: Mosquitto) -> None:
    """F68: own topics are open, those of another device of the same product, the other way round and all are not."""
    for topic in (f"amp/{ONE}/up/attr", f"amp/{ONE}/status"):
        assert publish_once(broker, topic) in (0, 16), topic
    for topic in (f"amp/{OTHER}/up/attr", f"amp/{OTHER}/status", f"amp/{ONE}/down/attr", "elsewhere"):
        assert publish_once(broker, topic) == 135, topic
    assert strays(broker, f"amp/{ONE}/down/#") == []
    for topic in (f"amp/{OTHER}/down/#", "amp/#", "#", "amp/+/+/down/attr", "$SYS/#"):
        assert strays(broker, topic) == [], topic


def publish_once(broker: Mosquitto, topic: str) -> int:
    """Reason code of one publish, on a connection of its own: a broker may disconnect who breaks the rules."""
    with connected(broker.port, ONE) as (device, _, _):
        return publish(device, topic)


def strays(broker: Mosquitto, topic: str) -> list[str]:
    """What a device that subscribes to `topic` receives of other devices' messages.

    The broker's ACL file is asked at delivery, not at SUBSCRIBE. A message to the device itself, sent last, shows that
    the wire works and that nothing else is on its way.
    """
    fence = f"amp/{ONE}/down/fence"
    with (
        connected(broker.port, ONE) as (device, received, _),
        connected(broker.platform_port, "platform", broker.platform_password) as (platform, _, _),
    ):
        subscribe(device, topic)
        subscribe(device, fence)
        for sent in (f"amp/{OTHER}/down/attr", f"amp/{OTHER}/up/attr", fence):
            publish(platform, sent)
        eventually(lambda: fence in received, what="the message to the device itself")
        return [each for each in received if not each.startswith(f"amp/{ONE}/")]


def test_device_would_hear_others_if_the_acl_let_it(broker: Mosquitto) -> None:
    """F68, negative control: the checks above see a stray message as soon as the ACL is opened."""
    closed = broker.acl_file.read_text()
    try:
        broker.acl_file.write_text(closed + "\npattern readwrite amp/#\n")
        broker.reload()
        assert strays(broker, "amp/#")
        assert publish_once(broker, f"amp/{OTHER}/status") in (0, 16)
    finally:
        broker.acl_file.write_text(closed)
        broker.reload()


def test_device_cannot_take_over_the_session_of_another_by_its_client_id(broker: Mosquitto) -> None:
    """F68; on the platform's listener, which does take the client id as sent, the same attempt succeeds."""
    with connected(broker.port, ONE) as (_, _, ended):
        with connected(broker.port, OTHER, client_id=ONE) as (other, _, _):
            publish(other, f"amp/{OTHER}/up/attr")
        assert not ended
    with connected(broker.platform_port, ONE) as (_, _, ended), connected(broker.platform_port, OTHER, client_id=ONE):
        eventually(lambda: ended, what="the first session's end")


def test_new_credentials_work_after_a_reload_without_a_restart(broker: Mosquitto) -> None:
    pid = broker.pid
    with pytest.raises(PermissionError), connected(broker.port, "camera/new"):
        pass
    broker.add_user("camera/new", "secret")
    broker.reload()
    with connected(broker.port, "camera/new"):
        assert broker.pid == pid


def test_broker_queues_more_than_its_default_limits_for_an_absent_session(broker: Mosquitto) -> None:
    """2,000 messages wait for a listener that is away, where the default would drop all after 1,000."""
    properties = paho.Properties(paho.PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    properties.SessionExpiryInterval = 60
    received: list[str] = []

    def listener() -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="absent", protocol=paho.MQTTv5)
        client.username_pw_set("platform", broker.platform_password)
        client.on_message = lambda _client, _data, message: received.append(message.topic)
        client.connect("127.0.0.1", broker.platform_port, clean_start=False, properties=properties)
        client.loop_start()
        return client

    first = listener()
    eventually(first.is_connected)
    subscribe(first, "amp/+/+/up/#")
    first.disconnect()
    first.loop_stop()
    with connected(broker.port, ONE) as (device, _, _):
        sent = [device.publish(f"amp/{ONE}/up/attr", str(number), qos=1) for number in range(2000)]
        eventually(lambda: all(message.is_published() for message in sent))
    second = listener()
    eventually(lambda: len(received) == 2000, what="2,000 queued messages")
    second.disconnect()
    second.loop_stop()


def test_services_end_and_leave_no_directory_when_the_test_run_is_killed(tmp_path: Path, stack: Stack) -> None:
    script = """
import sys, time
from pathlib import Path
from tests.stack.plugin import Stack
stack = Stack.in_temporary_directory(Path(sys.argv[1]))
stack.redis.start()
print(stack.redis.pid, stack.directory, stack.postgresql.memory, flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy())
    assert run.stdout is not None
    pid, *directories = run.stdout.readline().split()
    assert is_alive(int(pid))
    assert [Path(each).exists() for each in directories] == [True, True]
    run.kill()
    run.wait()
    run.stdout.close()
    eventually(
        lambda: not is_alive(int(pid)) and not any(Path(each).exists() for each in directories),
        what="the watchdog's clean-up",
    )


def test_eventually_gives_up_and_says_what_it_waited_for() -> None:
    def never() -> bool:
        return False

    started = time.monotonic()
    with pytest.raises(AssertionError, match="rain did not come true"):
        eventually(never, within=0.05, what="rain")
    assert time.monotonic() - started >= 0.05
