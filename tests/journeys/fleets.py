"""Many devices of a product, as journeys of batches need them."""

from __future__ import annotations

from datetime import datetime

from catalog.models import Product
from devices.lifecycle import State
from devices.models import DeviceService
from devices.services.registration import DeviceRow, register_many


def expired_devices(product: Product, count: int, *, now: datetime, prefix: str = "B-") -> list[int]:
    """So many devices whose service has run out, with keys `prefix` and a number of five digits."""
    ids: list[int] = []
    for start in range(0, count, 1_000):
        rows = [DeviceRow(f"{prefix}{number:05d}", "", "", "") for number in range(start, min(start + 1_000, count))]
        made = register_many(product=product, enterprise=product.enterprise, rows=rows, actor="test", now=now)
        ids += [device.device_id for device in made]
    DeviceService.objects.filter(pk__in=ids).update(state=State.EXPIRED.value)
    return ids
