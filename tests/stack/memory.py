"""Where files live in memory: PostgreSQL makes and removes thousands of files, one for each table and index of a copy.

On a disk's file system that alone was a seventh of the tests' processor time. What a killed server committed is in the
kernel's hands there as well.
"""

from __future__ import annotations

import shutil
from pathlib import Path

SHARED = Path("/dev/shm")
ENOUGH = 4 * 2**30
"""Bytes that must be free: far more than the databases of all workers take."""


def memory_to_spare(
    shared: Path = SHARED,
    meminfo: Path = Path("/proc/meminfo"),
    limit: Path = Path("/sys/fs/cgroup/memory.max"),
) -> Path | None:
    """The system's file system in memory, where it has room for databases."""
    return shared if min(_free(shared), _available(meminfo), _allowed(limit)) >= ENOUGH else None


def _free(directory: Path) -> int:
    return shutil.disk_usage(directory).free if directory.is_dir() else 0


def _available(meminfo: Path) -> int:
    lines = meminfo.read_text().splitlines() if meminfo.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _allowed(limit: Path) -> int:
    """What a container may use: a small one has as much shared memory on paper as the whole machine."""
    told = limit.read_text().strip() if limit.exists() else "max"
    return ENOUGH if told == "max" else int(told)
