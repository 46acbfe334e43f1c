"""Which file of counts is this process's: the lowest number that no living process of this host holds.

A scrape is answered by any one of gunicorn's workers, and it must tell what all of them counted. prometheus-client does
that by files, one for each process id, which pile up while workers are replaced. Here a process locks a number, and its
file is that of the number: the kernel frees the lock of whoever dies in whatever way, and the next process goes on from
the counts in the file. So there are as many files as there were ever processes at once, and no count goes back.
"""

from __future__ import annotations

import fcntl
import os
import stat
from itertools import count
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_pid = 0
_number = 0
_lock: IO[bytes] | None = None


def directory() -> Path:
    """The directory of the counts, made where it is missing. Raises ImproperlyConfigured where others can write."""
    path = Path(settings.METRICS_DIR)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ImproperlyConfigured(f"AMP_METRICS_DIR: {path} must be a directory that only this user writes to.")
    return path


def slot() -> str:
    """The number of this process; a child that was forked takes one of its own."""
    if _pid != os.getpid():
        _take()
    return str(_number)


def _take() -> None:
    global _pid, _number, _lock
    if _lock is not None:
        _lock.close()  # the parent's lock stays the parent's
    place = directory()
    for number in count():
        lock = (place / f"{number}.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _pid, _number, _lock = os.getpid(), number, lock
        return
