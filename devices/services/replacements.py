"""Which device takes over, and why remaining service can't move to it (A26)."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.foundation.services.refusals import Refused
from devices.models import Device
from devices.models.devices import KEY_PATTERN
from devices.periods import TransferRefusal

SENTENCES = {
    TransferRefusal.SAME_DEVICE: gettext_lazy("That is the same device. Give the key of its replacement."),
    TransferRefusal.OTHER_PRODUCT: gettext_lazy(
        "The replacement is of another product. Service moves only within one product: choose a device of the same."
    ),
    TransferRefusal.PAID_MODE_OFF: gettext_lazy(
        "Paid service is off for this product, so nothing changes its state. Switch it on first."
    ),
    TransferRefusal.SOURCE_TERMINATED: gettext_lazy("This device is terminated: nothing is left to move."),
    TransferRefusal.TARGET_TERMINATED: gettext_lazy("The replacement is terminated. Choose a live device."),
    TransferRefusal.NOTHING_LEFT: gettext_lazy("This device has no time left to move. Renew the replacement instead."),
    TransferRefusal.TARGET_RUNS: gettext_lazy(
        "The replacement runs on an included period already. Wait for its end, or choose another device."
    ),
    TransferRefusal.TARGET_HAS_PAID: gettext_lazy(
        "The replacement has a paid period of its own. Choose a device without one, or restart it after its end."
    ),
}


class TransferRefused(Refused):
    """The service can't move like this; nothing was changed. `code` is stable (API), None where the form is wrong."""

    code: TransferRefusal | None = None

    @classmethod
    def for_reason(cls, reason: TransferRefusal) -> TransferRefused:
        """A refusal by the rules, with what to do about it."""
        refused = cls.because(str(SENTENCES[reason]), "target")
        refused.code = reason
        return refused


def replacement(*, source: Device, key: str) -> Device:
    """The live device of the same product with this key, of any authorised enterprise. Raises TransferRefused."""
    key = key.strip()
    live = Device.objects.filter(key=key).live() if re.fullmatch(KEY_PATTERN, key) else Device.objects.none()
    others = live.exclude(pk=source.pk).select_related("enterprise", "product")
    device: Device | None = others.filter(product_id=source.product_id).first()
    if device is not None:
        return device
    if key == source.key:
        raise TransferRefused.for_reason(TransferRefusal.SAME_DEVICE)
    if others.exists():
        raise TransferRefused.for_reason(TransferRefusal.OTHER_PRODUCT)
    message = _("No live device with this key in your enterprises. Check the key, or register the device first.")
    raise TransferRefused.because(message, "target")
