"""Addresses that may be called, signatures, retries, public events: the pure rules of webhooks (F87, F88, F89)."""

from __future__ import annotations

import base64
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.webhooks.addresses import AddressRefused, Policy, Wrong, check_address, is_public, target_of
from alerts.webhooks.public import TABLE, TEST, TYPES, payload, subject_id
from alerts.webhooks.retrying import PATIENCE, Verdict, next_attempt, pause_after, verdict_of
from alerts.webhooks.signing import new_secret, secret_text, signed_headers

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WIRE = Path(__file__).parents[2] / "docs" / "integrators.md"

PRIVATE = [
    *(
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
    ),
    *(
        "127.0.0.1",
        "127.1.2.3",
        "169.254.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
    ),
    *(
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
    ),
    *(
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
    ),
    *(
        "255.255.255.255",
        "168.63.129.16",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
    ),
    *(
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
    ),
    *(
        "2001:0:7f00:1::",
        "2001:db8::1",
        "2001:10::1",
        "2001:20::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "3fff::1",
    ),
    *(
        "fc00::1",
        "fd00:ec2::254",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%1",
        "fec0::1",
        "ff02::1",
        "ff05::2",
        "5f00::1",
    ),
    *("4000::1",),
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.63.255.255", "2606:4700::1111",
          "2a00:1450:4001:81b::200e", "2400:3200::1"]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_f87_addresses_off_the_public_internet_are_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_public_internet_are_taken(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses())
def test_f87_whatever_python_calls_private_or_multicast_is_refused(address: object) -> None:
    if is_public(str(address)):
        assert address.is_global  # type: ignore[attr-defined]
        assert not address.is_multicast  # type: ignore[attr-defined]
        assert not address.is_reserved  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://erp.example/", Wrong.NOT_HTTPS),
        ("HTTP://127.0.0.1/", Wrong.NOT_HTTPS),
        ("ftp://erp.example/", Wrong.NOT_HTTPS),
        ("file:///etc/passwd", Wrong.NOT_HTTPS),
        ("gopher://erp.example/", Wrong.NOT_HTTPS),
        ("//erp.example/", Wrong.NOT_HTTPS),
        ("erp.example", Wrong.NOT_HTTPS),
        ("", Wrong.NOT_HTTPS),
        ("https://", Wrong.NOT_AN_ADDRESS),
        ("https:///path", Wrong.NOT_AN_ADDRESS),
        ("https://user:secret@erp.example/", Wrong.WITH_USER),
        ("https://8.8.8.8@127.0.0.1/", Wrong.WITH_USER),
        ("https://@erp.example/", Wrong.WITH_USER),
        ("https://erp.example/#part", Wrong.WITH_FRAGMENT),
        ("https://erp.example:22/", Wrong.PORT),
        ("https://erp.example:80/", Wrong.PORT),
        ("https://erp.example:6379/", Wrong.PORT),
        ("https://erp.example:0/", Wrong.PORT),
        ("https://erp.example:99999/", Wrong.NOT_AN_ADDRESS),
        ("https://erp.example:x/", Wrong.NOT_AN_ADDRESS),
        ("https://erp.example/ x", Wrong.NOT_AN_ADDRESS),
        ("https://erp.example/\r\nHost: x", Wrong.NOT_AN_ADDRESS),
        ("https://erp.example\\@127.0.0.1/", Wrong.NOT_AN_ADDRESS),
        ("https://[::1%25eth0]/", Wrong.NOT_AN_ADDRESS),
        ("https://[v1.x]/", Wrong.NOT_AN_ADDRESS),
        ("https://[::1/", Wrong.NOT_AN_ADDRESS),
        ("https://täst.example/", Wrong.NOT_AN_ADDRESS),
        ("https://erp..example/", Wrong.NOT_AN_ADDRESS),
        ("https://%31%32%37.0.0.1/", Wrong.NOT_AN_ADDRESS),
        ("https://erp.example/" + "x" * 500, Wrong.TOO_LONG),
    ],
)
def test_f87_urls_that_are_not_called_say_why(url: str, wrong: Wrong) -> None:
    with pytest.raises(AddressRefused) as refused:
        target_of(url, Policy())
    assert refused.value.wrong is wrong


def test_urls_that_are_called_are_taken_apart_as_they_are_sent() -> None:
    assert target_of("https://erp.example", Policy())[1:] == ("erp.example", 443, "/")
    assert target_of("https://ERP.example:8443/a?b=%20", Policy())[1:] == ("erp.example", 8443, "/a?b=%20")
    assert target_of("https://erp.example:8443/", Policy()).authority == "erp.example:8443"
    assert target_of("https://[2606:4700::1111]/", Policy()).authority == "[2606:4700::1111]"


def test_loopback_is_taken_where_the_installation_allows_it_and_by_its_own_names_alone() -> None:
    near = Policy(loopback=True)
    target = target_of("http://127.0.0.1:8000/", near)
    check_address("127.0.0.1", target, near)
    for url in ("http://erp.example/", "http://10.0.0.1/", "https://erp.example:8000/", "http://127.1/"):
        with pytest.raises(AddressRefused):
            target_of(url, near)
    with pytest.raises(AddressRefused):  # a name of theirs that leads here
        check_address("127.0.0.1", target_of("https://erp.example/", near), near)
    with pytest.raises(AddressRefused):  # our name, led elsewhere
        check_address("10.0.0.1", target, near)


OFFICIAL = [
    # (secret, id, timestamp, body, signature), made by standardwebhooks 1.1.0, the reference library.
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        '{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "evt_00000000000000000000000000000001",
        1772366400,
        '{"type":"order.paid","data":{"name":"锁"}}',
        "v1,64XTniv5IZv/7T+yf5ZoTNjAXG2FrGamgVBtrMmeFXs=",
    ),
]


@pytest.mark.parametrize(("secret", "name", "stamp", "body", "signature"), OFFICIAL)
def test_signatures_are_those_of_the_reference_library(
    secret: str, name: str, stamp: int, body: str, signature: str
) -> None:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    headers = signed_headers(name, datetime.fromtimestamp(stamp, UTC), body.encode(), [key])
    assert headers == {"webhook-id": name, "webhook-timestamp": str(stamp), "webhook-signature": signature}


def test_another_program_comes_to_the_same_signature() -> None:
    """openssl, which shares no code with us."""
    key, body = new_secret(), b'{"a":1}'
    signature = signed_headers("evt_1", NOW, body, [key])["webhook-signature"]
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"]
    done = subprocess.run(
        command, input=b"evt_1.%d." % NOW.timestamp() + body, capture_output=True, check=True, timeout=30
    )
    assert signature == "v1," + base64.b64encode(done.stdout).decode()


def test_two_live_secrets_are_two_signatures_and_secrets_are_written_as_libraries_read_them() -> None:
    old, new = new_secret(), new_secret()
    both = signed_headers("evt_1", NOW, b"{}", [new, old])["webhook-signature"].split(" ")
    assert both == [signed_headers("evt_1", NOW, b"{}", [key])["webhook-signature"] for key in (new, old)]
    text = secret_text(new)
    assert base64.b64decode(text.removeprefix("whsec_"), validate=True) == new
    assert len(new) == 32


@given(st.floats(0, 1))
def test_f88_attempts_go_on_for_exactly_72_hours_at_most_an_hour_apart(spread: float) -> None:
    now, attempts, gaps = NOW, 1, []
    while due := next_attempt(attempts=attempts, first_at=NOW, now=now, spread=spread):
        gaps.append(due - now)
        now, attempts = due, attempts + 1
    assert now == NOW + PATIENCE
    assert max(gaps) <= timedelta(hours=1)
    assert timedelta(seconds=8) <= gaps[0] <= timedelta(seconds=10)
    assert 70 < attempts < 110


def test_pauses_grow_to_five_minutes() -> None:
    pauses = [pause_after(number) for number in range(1, 9)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (timedelta(seconds=10), timedelta(minutes=5))


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, "delivered"), (299, "delivered"), (300, "refused"), (302, "refused"), (404, "refused"), (410, "gone"),
     (429, "away"), (500, "refused"), (503, "away"), (None, "away"), (100, "refused")],
)  # fmt: skip
def test_what_an_answer_says(status: int | None, verdict: str) -> None:
    assert verdict_of(status) is Verdict(verdict)


@pytest.mark.parametrize("kind", TABLE)
def test_f89_a_payload_tells_named_facts_alone(kind: str) -> None:
    """Whatever else the record holds stays here."""
    facts = {name for _side, name in TABLE[kind].facts.values()}
    recorded = {**dict.fromkeys(facts, 1), "reason": "private", "email": "private", "transaction": "private"}
    told = payload(kind, NOW, before=recorded, after=recorded, enterprise=7, about={"id": 1})
    assert set(told) == {"type", "timestamp", "data"}
    assert set(told["data"]) == {TABLE[kind].about.value, "enterprise", *TABLE[kind].facts}
    assert "private" not in str(told)
    assert told["timestamp"] == "2026-03-01T12:00:00Z"


def test_every_public_type_is_told_in_the_guide_with_its_fields() -> None:
    guide = WIRE.read_text()
    assert [name for name in (*TYPES, TEST) if f"`{name}`" not in guide] == []
    fields = {name for public in TABLE.values() for name in public.facts}
    assert [name for name in fields if f"`{name}`" not in guide] == []


def test_a_subject_without_a_number_has_none() -> None:
    assert [subject_id(text) for text in ("device:17", "list:device", "", "order:")] == [17, 0, 0, 0]
