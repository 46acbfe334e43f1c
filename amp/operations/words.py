"""Promises in the reader's language."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.operations.limits import Breach, Promise

PROMISES = {
    Promise.LOCK: gettext_lazy("a device is locked at most 90 s after its service ended"),
    Promise.DELIVERY: gettext_lazy("a command leaves within 5 s, and one without an answer is sent again"),
    Promise.PAYMENT: gettext_lazy("paid devices are renewed and refunds are sent within a minute, whatever went wrong"),
    Promise.PRESENCE: gettext_lazy("a device that fell silent or was revoked is offline within a minute"),
    Promise.NOTICE: gettext_lazy("whoever is to be told of an end or an event is told on time"),
    Promise.WATCH: gettext_lazy("what is wrong with the platform shows within two minutes"),
}


def told(breach: Breach) -> str:
    """What breaks, in one sentence."""
    promise = PROMISES[breach.promise]
    if not breach.longest:
        return _("While this is off, nobody keeps this promise: %(promise)s.") % {"promise": promise}
    words = {"promise": promise, "seconds": breach.longest}
    return _("Above %(seconds)d s this promise is broken: %(promise)s.") % words
