"""Words of the filters above a list (F72)."""

from __future__ import annotations

from django.http import QueryDict

from amp.foundation.scoping import system_scope
from catalog.filters import PlanFilters
from catalog.models import Plan


def test_a_filter_says_all_although_the_description_of_the_api_asked_for_its_field_before() -> None:
    """The description keeps the field of the class, with a line of dashes for its empty choice (F72)."""
    kept = PlanFilters.base_filters["status"].field
    assert next(iter(kept.choices)) == ("", "---------")
    with system_scope():
        shown = PlanFilters(QueryDict(), Plan.objects.none()).form.fields["status"]
    assert next(iter(shown.choices)) == ("", "All")
