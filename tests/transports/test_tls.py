"""mqtts:// against a Mosquitto with a certificate."""

import ssl
import subprocess

import pytest

from devices.transports.base import BrokerRefused, BrokerUnavailable, Downlink
from devices.transports.mqtt import MqttAddress
from devices.transports.mqtt_listener import MqttListener
from devices.transports.mqtt_publisher import MqttPublisher
from tests.stack.daemon import free_port
from tests.stack.waiting import eventually
from tests.transports.conftest import UPLINKS, take, ticking_clock


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """(Port, path of the certificate) of a broker on TLS that lets everybody in."""
    directory = tmp_path_factory.mktemp("tls")
    key, certificate, port = directory / "key.pem", directory / "certificate.pem", free_port()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    configuration = directory / "mosquitto.conf"
    configuration.write_text(
        f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\n"
        f"max_queued_messages 0\ncertfile {certificate}\nkeyfile {key}\n"
    )
    process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", configuration], stderr=subprocess.DEVNULL)
    try:
        yield port, certificate
    finally:
        process.kill()
        process.wait()


def test_big_batches_pass_both_ways_over_tls(secured):
    port, certificate = secured
    address = MqttAddress.parse(f"mqtts://localhost:{port}")
    trusting = ssl.create_default_context(cafile=certificate)
    publisher = MqttPublisher(address, tls=trusting)

    def answers():
        try:
            return publisher.ping()
        except BrokerUnavailable:
            return None

    eventually(answers, what="the broker")
    listener = MqttListener(address, client_id="tls", filters=UPLINKS, stamp=ticking_clock(), tls=trusting)
    with listener:
        batch = [Downlink("amp/pk/a/up/attr", b"%d " % number + b"x" * 500) for number in range(5000)]
        assert all(receipt.ok for receipt in publisher.publish(batch, timeout=60))
        assert [message.payload for message in take(listener, 5000)] == [payload for _, payload in batch]
        assert listener.ping(timeout=30) > 0
    publisher.close()


def test_a_certificate_nobody_vouches_for_is_refused(secured):
    port, _ = secured
    publisher = MqttPublisher(MqttAddress.parse(f"mqtts://localhost:{port}"))
    with pytest.raises(BrokerRefused, match="isn't trusted"):
        publisher.ping()
