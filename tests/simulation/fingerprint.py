"""`python -m tests.simulation.fingerprint SEED`: play a small history in a process of its own and print what it was.

It empties the database of `DATABASE_URL` and plays there; the rest of the environment is as tests have it.
"""

from __future__ import annotations

import sys

import django
import pytest

django.setup()

from tests.simulation.playing import play  # noqa: E402  models can be imported once Django is set up
from tests.simulation.profiles import small  # noqa: E402


def main(seed: int) -> None:
    """Print the fingerprint as the last line."""
    with pytest.MonkeyPatch.context() as patch:
        sys.stdout.write(f"\n{play(seed, small(seed), patch).trace.fingerprint}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
