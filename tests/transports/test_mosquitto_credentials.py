"""The password and ACL files that we write, read by a real Mosquitto (F68, R6)."""

import subprocess

import paho.mqtt.client as paho
import pytest

from devices.transports.mosquitto import (
    CredentialNotExportable,
    hash_password,
    render_acl,
    render_password_file,
)
from tests.stack.mosquitto import PLATFORM_USER, Mosquitto
from tests.transports.conftest import DEVICE_PASSWORD

NAMES = ("pk/a", "pk/b", "pk2/a", "pk/wild")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A broker that has nothing but the files we wrote."""
    broker = Mosquitto(directory=tmp_path_factory.mktemp("exported"))
    broker.start()
    write(broker, [(name, DEVICE_PASSWORD) for name in NAMES])
    yield broker
    broker.stop()


def write(broker, users):
    users = [(PLATFORM_USER, broker.platform_password), *users]
    broker.password_file.write_text(render_password_file((name, hash_password(password)) for name, password in users))
    broker.acl_file.write_text(render_acl(PLATFORM_USER))
    broker.reload()


@pytest.fixture
def platform(exported, client):
    """Sees and may send everything."""
    one = client(exported.platform_port, PLATFORM_USER, exported.platform_password, client_id="platform-test")
    assert one.connect() == 0
    one.subscribe("amp/#")
    return one


@pytest.fixture
def login(exported, client):
    def connect(name, password=DEVICE_PASSWORD, **options):
        one = client(exported.port, name, password, **options)
        return one, one.connect()

    return connect


def test_mosquitto_accepts_a_hash_of_ours_and_only_its_password(login):
    assert login("pk/a")[1] == 0
    assert login("pk/a", DEVICE_PASSWORD + "x")[1] != 0
    assert login("pk/unknown")[1] != 0


@pytest.mark.parametrize("password", ["päß 词", "with:colon$and/slash", "x" * 60])
def test_any_password_can_be_hashed(exported, login, password):
    write(exported, [(name, DEVICE_PASSWORD) for name in NAMES] + [("pk/odd", password)])
    assert login("pk/odd", password)[1] == 0


def test_more_rounds_are_accepted_too(exported, login):
    exported.password_file.write_text(
        exported.password_file.read_text() + f"pk/slow:{hash_password('x', iterations=5000)}\n"
    )
    exported.reload()
    assert login("pk/slow", "x")[1] == 0


def test_two_hashes_of_one_password_differ():
    assert hash_password("same") != hash_password("same")


@pytest.fixture
def say(exported):
    """Publishes once as a device, with mosquitto_pub: Mosquitto throws a 3.1.1 client out that may not."""

    def publish(topic, *, name="pk/a", client_id="", version="mqttv311"):
        subprocess.run(
            ["mosquitto_pub", "-p", str(exported.port), "-u", name, "-P", DEVICE_PASSWORD, "-V", version,
             "-i", client_id or name, "-t", topic, "-q", "1", "-m", "mine"],
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip

    return publish


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_a_device_speaks_below_its_own_topics_and_nowhere_else(platform, say, version):
    """The last messages are the proof that the ones before them were dropped, not late."""
    for topic in (
        "amp/pk/b/up/attr",
        "amp/pk/b/status",
        "amp/pk2/a/up/attr",
        "amp/pk/a/down/attr",
        "amp/pk/a",
        "amp/pk/a/status/more",
        "amp/up/attr",
        "elsewhere",
        "amp/pk/a/up/attr",
        "amp/pk/a/status",
    ):
        say(topic, version=version)
    assert [platform.next().topic for _ in range(2)] == ["amp/pk/a/up/attr", "amp/pk/a/status"]


@pytest.mark.parametrize("wish", ["#", "amp/#", "amp/+/+/down/#", "amp/pk/b/down/#", "amp/pk/+/down/attr", "$SYS/#"])
def test_a_device_hears_its_own_commands_and_no_others(platform, login, wish):
    """Whatever a device subscribes to (`#` too): Mosquitto may grant it, and must not deliver."""
    device, _ = login("pk/a")
    device.subscribe(wish)
    device.subscribe("amp/pk/a/down/#")
    login("pk/b")[0].publish("amp/pk/b/up/attr", "of b")
    platform.publish("amp/pk/b/down/attr", "for b")
    platform.publish("amp/pk2/a/down/attr", "for the same key of another product")
    platform.publish("amp/pk/a/down/attr", "for a")
    assert device.next().payload == b"for a"


def test_a_last_will_about_another_device_is_not_published(platform, login):
    attacker, reason = login("pk/a", will=("amp/pk/b/status", "forged"))
    if reason == 0:
        attacker.mqtt.socket().shutdown(2)
    login("pk/b")[0].publish("amp/pk/b/status", "true")
    assert platform.next().payload == b"true"


@pytest.mark.parametrize("client_id", ["#", "+", "pk/+", "pk/#", "+/+"])
@pytest.mark.parametrize("protocol", [paho.MQTTv311, paho.MQTTv5])
def test_a_client_id_with_wildcards_opens_nothing(platform, login, say, client_id, protocol):
    """F68. The broker replaces it by the user name, so the device hears its own commands and nobody else's."""
    for topic in ("amp/pk/b/up/attr", "amp/pk/wild/up/attr"):
        say(topic, name="pk/wild", client_id=client_id)
    assert platform.next().topic == "amp/pk/wild/up/attr"
    device, reason = login("pk/wild", client_id=client_id, protocol=protocol)
    assert reason == 0
    device.subscribe("#")
    platform.publish("amp/pk/b/down/attr", "for b")
    platform.publish("amp/pk/wild/down/attr", "own")
    assert device.next().payload == b"own"


def test_a_device_cannot_take_over_the_connection_of_another(login):
    """It is what it logged in as, whatever client id it claims."""
    victim, _ = login("pk/b")
    victim.subscribe("amp/pk/b/down/#")
    assert login("pk/a", client_id="pk/b")[1] == 0
    assert victim.mqtt.is_connected()
    victim.publish("amp/pk/b/up/attr", "still here")


def test_without_the_acl_a_device_would_hear_another(client, tmp_path):
    """Negative control: the same attempt succeeds when everything is allowed."""
    broker = Mosquitto(directory=tmp_path)
    broker.start()
    try:
        write(broker, [(name, DEVICE_PASSWORD) for name in NAMES])
        broker.acl_file.write_text("pattern readwrite #\n")
        broker.reload()
        spy = client(broker.port, "pk/a", DEVICE_PASSWORD)
        assert spy.connect() == 0
        spy.subscribe("#")
        other = client(broker.port, "pk/b", DEVICE_PASSWORD)
        assert other.connect() == 0
        other.publish("amp/pk/b/up/attr", "secret")
        assert spy.next().payload == b"secret"
    finally:
        broker.stop()


@pytest.mark.parametrize("name", ["", "a:b", "pk/+", "#", "line\nbreak", " pk/a", "nul\0"])
def test_a_user_name_that_would_break_the_files_is_refused(name):
    with pytest.raises(CredentialNotExportable):
        render_password_file([(name, hash_password("x"))])
    with pytest.raises(CredentialNotExportable):
        render_acl(name)


@pytest.mark.parametrize("digest", ["", "plain", "$6$salt$hash", "$7$101$salt$hash\npk/x:$7$101$a$b"])
def test_a_hash_that_is_none_is_refused(digest):
    with pytest.raises(CredentialNotExportable):
        render_password_file([("pk/a", digest)])


def test_the_files_come_out_line_by_line():
    digest = hash_password("x")
    assert render_password_file([("pk/a", digest), ("pk/b", digest)]) == f"pk/a:{digest}\npk/b:{digest}\n"
    assert digest.split("$")[1:3] == ["7", "101"]
