"""The table for people and the file for machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amp.foundation import clock
from bench.rounds import Figure


def machine() -> dict[str, Any]:
    """What the figures were seen on; without names."""
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def line(figure: Figure) -> str:
    """One figure, to be printed as soon as it is there."""
    low, high = figure.spread
    met = {True: "met", False: "MISSED", None: ""}[figure.is_met]
    target = str(figure.target) if figure.target else ""
    ratio = f"{figure.median:8.3f}  {low:8.3f} – {high:<8.3f}"
    return f"{figure.row}  {figure.what:<58} {_shown(figure):>22}  {ratio} {target:>8} {met:<7} {figure.note}".rstrip()


def heading() -> str:
    """Above the lines."""
    return (
        f"   {'what':<58} {'product / limit':>22}  {'ratio':>8}  {'lowest – highest':<19} {'target':>8}\n"
        "   A rate's ratio is to be high, a duration's (s, ms) low. Growth (MB) is shown as it is."
    )


def write(path: Path, figures: Sequence[Figure], *, scale: int, rounds: int) -> None:
    """results.json; figures of rows that did not run this time stay out."""
    document = {
        "measured_at": clock.wall().isoformat(timespec="seconds"),
        "machine": machine(),
        "scale": scale,
        "rounds": rounds,
        "figures": [figure.as_dict() for figure in figures],
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _shown(figure: Figure) -> str:
    middle = sorted(figure.product)[len(figure.product) // 2]
    if not figure.limit:
        return f"{middle:,.1f} {figure.unit}"
    limit = sorted(figure.limit)[len(figure.limit) // 2]
    digits = 0 if middle > 100 and limit > 100 else 2
    return f"{middle:,.{digits}f} / {limit:,.{digits}f} {figure.unit}"
