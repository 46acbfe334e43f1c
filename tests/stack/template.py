"""The migrated, otherwise empty database that tests copy.

Migrating takes longer than ten tests. The first process of the first run does it and dumps what came of it into
pytest's cache; every other one restores the dump. Its name holds a digest of all of the product's code and of the
locked versions, so that a changed migration, or a changed row that is made after migrating, is made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stack.postgresql import PostgreSQL, binary
from tests.stack.processes import REPOSITORY, resolved

TEMPLATE = "amp_template"
SOURCES = ("amp", "catalog", "devices", "billing", "alerts")


def ensure_template(postgresql: PostgreSQL, environment: dict[str, str], cache: Path) -> str:
    """Name of a migrated database on this running server; `environment` is the product's on that database."""
    if TEMPLATE not in postgresql.databases():
        url = postgresql.create_database(TEMPLATE)
        dump = cache / f"{digest()}.sql"
        with alone(cache / "lock"):
            if not dump.exists():
                _migrate(environment)
                _dump(url, dump)
                return TEMPLATE
        _run("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={dump}", url)
    return TEMPLATE


def digest() -> str:
    """Of everything that decides what migrating makes."""
    files = [REPOSITORY / "requirements-dev.lock", *(p for name in SOURCES for p in (REPOSITORY / name).rglob("*.py"))]
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(f"{path.relative_to(REPOSITORY)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:32]


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Only one process of this machine at a time."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _migrate(environment: dict[str, str]) -> None:
    command = resolved(("python", "manage.py", "migrate", "--noinput", "--verbosity=0"))
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=240)
    if done.returncode:
        raise RuntimeError(f"migrate failed:\n{done.stdout}{done.stderr}")


def _dump(url: str, dump: Path) -> None:
    """Under another name first: a killed run leaves no half of it. Older ones are of no use any more."""
    half = dump.with_suffix(".half")
    _run("pg_dump", "--no-owner", f"--file={half}", url)
    for old in dump.parent.glob("*.sql"):
        old.unlink()
    half.rename(dump)


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run([binary(program), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")
