"""Where a test may end a process by kill -9, as a power cut or the kernel would: between any two steps of money (R2).

Nothing dies unless a test says so. `AMP_CRASH_FILE` names a file; the first process that comes by the point whose name
stands in it takes the file away and dies. Production refuses the setting; elsewhere a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from django.conf import settings

CRASH_FILE = "" if settings.IS_PRODUCTION else os.environ.get("AMP_CRASH_FILE", "")

POINTS = frozenset(
    {
        # a payment is made: its row is committed, the gateway has answered, the answer is stored
        *("attempt.committed", "attempt.answered", "attempt.stored"),
        # a notice has come, is proved genuine, is settled and not yet answered
        *("notice.received", "notice.verified", "notice.settled"),
        # settling, all in one transaction
        *("settle.locked", "settle.marked", "settle.booked", "settle.order_paid", "settle.case_raised"),
        # committed, and nobody woken
        "wakeup.unsent",
        # asking gateways, closing codes, ending orders
        *("poll.claimed", "poll.answered", "poll.closed", "expire.claimed", "expire.closed"),
        # a slice of an order's devices
        *("fulfil.claimed", "fulfil.locked", "fulfil.renewed", "fulfil.marked", "fulfil.booked", "fulfil.committed"),
        # asked for, approved, sent, answered, and how it ended
        *("refund.made", "refund.reserved", "refund.approved", "refund.claimed", "refund.answered", "refund.settled"),
        *("refund.succeeded", "refund.booked", "refund.cases_closed", "refund.failed", "refund.released"),
        # a slice of the devices whose money is back
        *("refund.shortened", "refund.marked", "refund.committed"),
        # the second person's word about a bank transfer, and about one that goes back
        *("receipt.confirmed", "payout.noted", "payout.confirmed"),
    }
)
"""Every point in the product; a test walks them all and finds any other."""


def crash_point(name: str) -> None:
    """Die here if a test wants this process to."""
    if CRASH_FILE and _is_wanted(name):
        os.kill(os.getpid(), signal.SIGKILL)


def _is_wanted(name: str) -> bool:
    """Whether the file names this point; true for one process only, which takes it away."""
    wanted = Path(CRASH_FILE)
    try:
        if wanted.read_text() != name:
            return False
        wanted.unlink()
    except FileNotFoundError:
        return False
    return True
