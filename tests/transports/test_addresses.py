"""How MQTT_URL is read."""

import pytest

from devices.transports.mqtt import MqttAddress


def test_an_address_names_host_port_user_and_password():
    assert MqttAddress.parse("mqtt://amp:s%40cret%2F1@broker.example:1885") == MqttAddress(
        host="broker.example", port=1885, username="amp", password="s@cret/1", tls=False
    )


def test_a_device_user_name_with_a_slash_is_percent_encoded():
    assert MqttAddress.parse("mqtt://pk%2Fdk:x@h").username == "pk/dk"


@pytest.mark.parametrize(("url", "port", "tls"), [("mqtt://h", 1883, False), ("mqtts://h", 8883, True)])
def test_the_port_follows_from_the_scheme(url, port, tls):
    address = MqttAddress.parse(url)
    assert (address.port, address.tls, address.username, address.password) == (port, tls, None, None)


@pytest.mark.parametrize(
    "url", ["", "http://h", "broker:1883", "mqtt://", "mqtt://u:secret@h:none", "mqtt://h:70000", "mqtt://h/topic"]
)
def test_a_broken_address_is_an_error_that_keeps_the_password_to_itself(url):
    with pytest.raises(ValueError, match="MQTT address") as refusal:
        MqttAddress.parse(url)
    assert "secret" not in str(refusal.value)


def test_an_address_shown_in_logs_has_no_password():
    address = MqttAddress.parse("mqtt://amp:secret@h:1")
    assert "secret" not in repr(address) + str(address)
