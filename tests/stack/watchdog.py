"""Outlives the test run by a moment, to end what it left behind.

Started once per run as a process of its own. It reads lines from the run (`guard PGID`, `release PGID`, `remove PATH`);
when the pipe closes, be it by the end of the run or by its death, it kills every guarded process group and removes the
temporary directories. A parent-death signal would not do: it follows the thread that started the process.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterable


def watch(lines: Iterable[str]) -> None:
    """Follow `lines` to their end, then clean up."""
    groups: set[int] = set()
    directories: list[str] = []
    for line in lines:
        verb, _, argument = line.strip().partition(" ")
        match verb:
            case "guard":
                groups.add(int(argument))
            case "release":
                groups.discard(int(argument))
            case "remove":
                directories.append(argument)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    # A Ctrl-C in the terminal is for the run, which then ends its services in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch(sys.stdin)
