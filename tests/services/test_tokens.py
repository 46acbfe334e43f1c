"""Secrets of public renewal pages (F85)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from amp.foundation.models import Event
from amp.foundation.scoping import enterprise_scope, system_scope
from devices.models import PublicToken
from devices.services.registration import terminate_device
from devices.services.tokens import DeviceGone, device_for_token, issue_token, revoke_token
from tests.factories import NOW, make_device

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


def test_a_token_leads_to_its_device_and_is_nowhere_stored() -> None:
    made = make_device()
    assert device_for_token(made.renewal_token) == made.device
    stored = PublicToken.objects.values().get()
    assert made.renewal_token not in str(stored)
    assert len(made.renewal_token) == 43  # 256 bits


def test_tokens_differ_and_an_older_one_keeps_working() -> None:
    made = make_device()
    tokens = {made.renewal_token, *(issue_token(device=made.device, actor="ann", now=NOW) for _ in range(5))}
    assert len(tokens) == 6
    assert {device_for_token(token) for token in tokens} == {made.device}


def test_a_revoked_token_is_as_unknown_as_one_that_never_was() -> None:
    made = make_device()
    row = PublicToken.objects.get()
    for _ in range(2):
        revoke_token(token=row, actor="ann", now=LATER)
    assert device_for_token(made.renewal_token) is None
    assert Event.objects.filter(kind="device.link_revoked").count() == 1
    assert device_for_token(issue_token(device=made.device, actor="ann", now=LATER)) == made.device


@pytest.mark.parametrize("guess", ["", "x", "x" * 10_000, "\0", "\ud800", "../..", "%00", "' OR 1=1 --"])
def test_a_guess_is_answered_with_none(guess: str) -> None:
    make_device()
    assert device_for_token(guess) is None


def test_found_revoked_and_unknown_cost_the_same_single_query(django_assert_num_queries) -> None:
    live, revoked = make_device(), make_device()
    revoke_token(token=PublicToken.objects.get(device=revoked.device), actor="ann", now=LATER)
    for token in (live.renewal_token, revoked.renewal_token, "unknown"):
        with django_assert_num_queries(1):
            device_for_token(token)


def test_a_visitor_needs_no_scope() -> None:
    made = make_device()
    with enterprise_scope([]):
        assert device_for_token(made.renewal_token) == made.device


def test_a_terminated_device_has_no_page_and_gets_no_link() -> None:
    made = make_device()
    terminate_device(device=made.device, actor="ann", now=LATER)
    assert device_for_token(made.renewal_token) is None
    with pytest.raises(DeviceGone):
        issue_token(device=made.device, actor="ann", now=LATER)
