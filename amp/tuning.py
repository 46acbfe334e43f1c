"""How Python's cycle collector works in processes that live long.

Out of the box it looks at everything that was ever loaded again and again: Django, its models and our modules are some
hundred thousand objects, and a batch of some thousand rows sets it off several times. A quarter of a batch's processor
time went into that. Rows and facts hold no cycles, so nothing is lost by looking less often.
"""

from __future__ import annotations

import gc

YOUNG = 50_000
"""Objects that are made until the youngest are looked at; some batches of rows, and a few megabytes."""


def settle() -> None:
    """Call once the process is loaded, before its work: what is there by now stays and is never looked at again.

    A process that forks afterwards also shares those pages with its children for good.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
