"""The demo's data set is never made where it does harm; that it is whole, who looks at its pages checks first."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from amp.foundation.models import Enterprise
from amp.foundation.scoping import system_scope

pytestmark = pytest.mark.django_db


def test_production_gets_no_demo_data(settings: Any) -> None:
    settings.IS_PRODUCTION = True
    with pytest.raises(CommandError, match="Production gets no demo data"):
        call_command("seed_demo")
    with system_scope():
        assert not Enterprise.objects.exists()
