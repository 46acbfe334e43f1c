"""From a webhook's request to the request that caused it, by the lines of the log alone (X10)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import TestCase

from amp.foundation.api.request_ids import named_request
from amp.foundation.models import Enterprise, Event
from amp.foundation.services.events import TOLD, EventDraft, record_events
from amp.logs import formatter
from tests.factories import NOW
from tests.services.receivers import answers, happen, hook, in_system_scope, maker, receiver, send, spread, standing

__all__ = ["in_system_scope", "maker"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    """What a process writes, as its JSON has it."""
    written: list[dict[str, Any]] = []
    form = formatter(lambda _logger, _method, event: str(written.append(dict(event)) or ""))
    before = caplog.handler.formatter
    caplog.handler.setFormatter(form)  # pytest has one handler for all tests
    caplog.set_level(logging.INFO)
    yield written
    caplog.handler.setFormatter(before)


def told(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == event]


def test_an_attempt_and_the_request_that_caused_its_event_are_joined_by_the_message_X10(
    maker: Enterprise, lines: list[dict[str, Any]]
) -> None:
    with receiver(answers(500)) as erp:
        webhook = hook(maker, erp.url)
        with named_request("request-of-ann"), TestCase.captureOnCommitCallbacks(execute=True):
            happen(maker)
        spread()
        send()
        assert standing(webhook) == [("PENDING", 1, 500)]
    [sent] = told(lines, "Webhook sent")
    assert {"attempt": 1, "outcome": "refused", "status": 500, "webhook": webhook.pk}.items() <= sent.items()
    assert sent["message_id"] == erp.ids[0], "what the receiver's own log has"
    [caused] = [line for line in told(lines, "Event written") if line["message_id"] == sent["message_id"]]
    assert caused["request_id"] == "request-of-ann"
    assert "request_id" not in sent


def test_a_batch_of_events_does_not_flood_the_log_X10(maker: Enterprise, lines: list[dict[str, Any]]) -> None:
    drafts = [EventDraft("device.imported", f"device:{n}", maker.pk, NOW) for n in range(TOLD + 1)]
    with TestCase.captureOnCommitCallbacks(execute=True):
        record_events(drafts, now=NOW)
    assert not told(lines, "Event written")
    with TestCase.captureOnCommitCallbacks(execute=True):
        record_events(drafts[1:], now=NOW)
    assert len(told(lines, "Event written")) == TOLD
    assert Event.objects.filter(kind="device.imported").count() == 2 * TOLD + 1


@pytest.mark.django_db(transaction=True)
def test_an_event_that_was_rolled_back_is_not_told_X10(maker: Enterprise, lines: list[dict[str, Any]]) -> None:
    with transaction.atomic():
        happen(maker)
        transaction.set_rollback(True)
    assert not told(lines, "Event written")
    happen(maker)
    assert len(told(lines, "Event written")) == 1
