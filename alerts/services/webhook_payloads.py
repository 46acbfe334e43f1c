"""Bodies of messages: made when they are sent, from the record and within the reach of the endpoint (F89)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from alerts.models import Webhook, WebhookDelivery
from alerts.webhooks.public import TABLE, About, payload, subject_id
from amp.foundation.models import Enterprise, Event
from billing.models import Order
from devices.models import Device

Facts = Mapping[int, dict[str, Any]]


def bodies(deliveries: Sequence[WebhookDelivery]) -> dict[int, bytes | None]:
    """The body of each delivery (read with `event` and `webhook`); None where the endpoint may not see the event any
    more. Four queries at most, however many there are.
    """
    events = [delivery.event for delivery in deliveries]
    about: dict[About, Facts] = {
        About.DEVICE: _devices(_ids(events, About.DEVICE)),
        About.ORDER: _orders(_ids(events, About.ORDER)),
    }
    paths = _paths(deliveries)
    return {
        delivery.pk: _body(delivery.event, about) if _may_see(delivery.webhook, delivery.event, paths) else None
        for delivery in deliveries
    }


def _body(event: Event, about: dict[About, Facts]) -> bytes:
    kind, number = TABLE[event.kind].about, subject_id(event.subject)
    told = payload(
        event.kind,
        event.happened_at,
        before=event.before,
        after=event.after,
        enterprise=event.enterprise_id,
        about={"id": number, **about.get(kind, {}).get(number, {})},
    )
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _may_see(webhook: Webhook, event: Event, paths: Mapping[int, str]) -> bool:
    """Within its reach, and of a kind that is (still) public."""
    if event.kind not in TABLE:
        return False
    if event.enterprise_id == webhook.enterprise_id:
        return True
    own, place = paths[webhook.enterprise_id], paths.get(event.enterprise_id or 0, "")
    return webhook.includes_descendants and place.startswith(own)


def _paths(deliveries: Sequence[WebhookDelivery]) -> dict[int, str]:
    ids = {delivery.webhook.enterprise_id for delivery in deliveries}
    ids |= {delivery.event.enterprise_id for delivery in deliveries if delivery.event.enterprise_id}
    return dict(Enterprise.objects.filter(pk__in=ids).values_list("pk", "path"))


def _ids(events: Sequence[Event], about: About) -> set[int]:
    public = [event for event in events if event.kind in TABLE]
    return {subject_id(event.subject) for event in public if TABLE[event.kind].about is about}


def _devices(ids: set[int]) -> Facts:
    """What never changes of a device: its names may hold a person's."""
    rows = Device.objects.filter(pk__in=ids).values_list("pk", "key", "product__key") if ids else ()
    return {pk: {"key": key, "product_key": product} for pk, key, product in rows}


def _orders(ids: set[int]) -> Facts:
    names = ("number", "total", "currency", "line_count")
    rows = Order.objects.filter(pk__in=ids).values_list("pk", *names) if ids else ()
    return {
        pk: {"number": number, "total": total, "currency": currency, "devices": devices}
        for pk, number, total, currency, devices in rows
    }
