"""A Python client, generated from the committed description."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from amp.management.commands.schema import WHERE

PACKAGE = "amp_client"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The client as openapi-python-client writes it from the committed description, on the path for imports."""
    from openapi_python_client.cli import app

    made = tmp_path_factory.mktemp("client") / PACKAGE
    arguments = ["generate", "--path", str(WHERE), "--output-path", str(made), "--meta", "none"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    sys.path.insert(0, str(made.parent))
    yield made
    sys.path.remove(str(made.parent))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
