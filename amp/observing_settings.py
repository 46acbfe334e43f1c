"""Settings of what operations see that take more than a line (X10)."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def metrics_directory(installation: str) -> str:
    """Where counts lie unless told otherwise: one place for each installation and user of this host."""
    name = hashlib.sha256(installation.encode()).hexdigest()[:12]
    return str(Path(tempfile.gettempdir()) / f"amp-metrics-{os.geteuid()}-{name}")


def refuse_missing_sentry(dsn: str) -> None:
    """Raise ImproperlyConfigured where errors are to be sent and the package for it is missing (X9)."""
    if dsn and importlib.util.find_spec("sentry_sdk") is None:
        raise ImproperlyConfigured(
            "AMP_SENTRY_DSN is set, but sentry-sdk is missing: install amp[sentry], or unset it."
        )
