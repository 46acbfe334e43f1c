"""The tenant guard (R6): every tenant table is filtered by the active scope, and no scope is an error.

A scope has two dimensions. `enterprise` is what a user may see and change: the own enterprise and its descendants.
`readable` adds the ancestors, for the few tables that may be read upward (E1): those name `readable` here, in
`READ_UPWARD`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from django.db import models
from django_scopes import ScopedManager, get_scope, scope, scopes_disabled
from django_scopes.manager import DisabledQuerySet

READ_UPWARD = frozenset(
    {
        "foundation.Merchant",
        "catalog.Product",
        "catalog.ThingModel",
        "catalog.ServiceRule",
        "catalog.ServiceLevel",
        "catalog.Plan",
    }
)
"""Tables of an ancestor that its descendants may read, never change."""

for _verb in ("bulk_update", "contains", "exclude", "exists", "explain", "in_bulk"):
    # Questions that django-scopes forgot to refuse: they would be answered from all tenants' rows.
    setattr(DisabledQuerySet, _verb, DisabledQuerySet.error)


def tenant_manager(queryset: type[models.QuerySet[Any]] = models.QuerySet, path: str = "enterprise") -> Any:
    """Default manager of a tenant table; `path` leads to its enterprise."""
    return ScopedManager(_manager_class=models.Manager.from_queryset(queryset), enterprise=path)


def upward_manager(
    queryset: type[models.QuerySet[Any]] = models.QuerySet, path: str = "enterprise", above: models.Q | None = None
) -> Any:
    """Default manager of a table that descendants may read; list the model in `READ_UPWARD`.

    `above` says which rows of an ancestor they may read; all of them where it isn't given.
    """
    bases: Any = (models.Manager.from_queryset(queryset),)
    if above is not None:
        bases = (_LimitedAbove, *bases)
    limits: dict[str, Any] = {"own": f"{path}__in", "above": above}
    return ScopedManager(_manager_class=type("UpwardManager", bases, limits), readable=path)


class _LimitedAbove(models.Manager[Any]):
    """Of ancestors, only the rows that `above` describes."""

    own: str
    above: models.Q

    def get_queryset(self) -> models.QuerySet[Any]:
        rows = super().get_queryset()
        active = getattr(self, "_override_scope", None) or get_scope()
        if not active.get("_enabled", True):
            return rows
        return rows.filter(models.Q(**{self.own: active.get("enterprise", ())}) | self.above)


def enterprises_in_scope() -> list[int] | None:
    """Ids of the enterprises whose rows may be read now; None in the system's scope, which reads all."""
    active = get_scope()
    return list(active.get("enterprise", ())) if active.get("_enabled", True) else None


def enterprise_scope(ids: Iterable[int], ancestors: Iterable[int] = ()) -> AbstractContextManager[None]:
    """See and change the enterprises `ids`; read the named tables of `ancestors` too."""
    own = sorted(set(ids))
    return scope(enterprise=own, readable=sorted({*own, *ancestors}))


def system_scope() -> AbstractContextManager[None]:
    """For work that is nobody's view: sweeps, the bridge, settlement. Never around a page or an API answer."""
    return scopes_disabled()


def may_change(enterprise_id: int) -> bool:
    """True where the active scope may change rows of this enterprise, not merely read them upward."""
    active = get_scope()
    return not active.get("_enabled", True) or enterprise_id in active.get("enterprise", ())


def author_in(enterprise_id: int, author: str) -> str | None:
    """Who made a row; None where it belongs to an enterprise above, whose people are nobody's business (E1, R6)."""
    return author if may_change(enterprise_id) else None


def captured_scope() -> Callable[[], AbstractContextManager[None]]:
    """Opens the scope that is active now again, later: an answer in pieces is read after its request has ended."""
    active = get_scope()
    if not active.get("_enabled", True):
        return system_scope
    dimensions = {name: value for name, value in active.items() if not name.startswith("_")}
    return lambda: scope(**dimensions)
