"""Two requests at the same moment, each on a connection of its own (R7, F99)."""

from __future__ import annotations

import pytest

from tests.api.calling import Api, make_tenant
from tests.api.test_retries import products, wanted
from tests.stack.waiting import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_at_once_make_one_product_R7() -> None:
    """Both send the same request at the same moment, each on a connection of its own."""
    tenant = make_tenant("ours")
    answers = at_once(
        *[lambda: Api(tenant.api.key).post("/products", wanted(tenant), once="a-1").status_code for _ in range(2)],
        scoped=False,
    )
    assert products() == 1
    assert sorted(answers) in ([201, 201], [201, 409])


def test_two_at_once_with_keys_of_their_own_make_two_plans() -> None:
    """Negative control: the race is there when the idempotency keys differ."""
    tenant = make_tenant("ours")
    draft = {**wanted(tenant, "P"), "product": tenant.product.pk, "amount": 1, "currency": "CNY", "months": 1}
    answers = at_once(
        *[
            lambda name=name: Api(tenant.api.key).post("/plans", draft, once=name).json()["id"]  # type: ignore[misc]
            for name in ("a-1", "a-2")
        ],
        scoped=False,
    )
    assert len(set(answers)) == 2


def test_two_at_once_with_one_etag_change_once_F99() -> None:
    """Both read the same version; the second finds that it is gone, for the row is locked before it is compared."""
    tenant = make_tenant("ours")
    path = f"/products/{tenant.product.pk}"
    etag = tenant.api.get(path)["ETag"]
    answers = at_once(
        *[
            lambda name=name: Api(tenant.api.key).patch(path, {"name": name}, If_Match=etag).status_code  # type: ignore[misc]
            for name in ("First", "Second")
        ],
        scoped=False,
    )
    assert sorted(answers) == [200, 412]
