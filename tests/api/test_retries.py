"""POST that is sent again: the same answer once, whatever died in between (R7, F02, F19, F33, F34)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amp.foundation import clock
from amp.foundation.models import IdempotencyRecord
from amp.foundation.scoping import system_scope
from amp.foundation.services import idempotency
from catalog.models import Product
from tests.api.calling import Api, Tenant, code, new_key


def wanted(tenant: Tenant, name: str = "New") -> dict[str, Any]:
    """A product to be made."""
    return {"enterprise": tenant.enterprise.pk, "name": name}


def products(name: str = "New") -> int:
    """How many of that name there are."""
    with system_scope():
        return Product.objects.filter(name=name).count()


def record() -> IdempotencyRecord:
    """The one record."""
    with system_scope():
        return IdempotencyRecord.objects.get()


def change(**fields: Any) -> None:
    """Change the one record."""
    with system_scope():
        assert IdempotencyRecord.objects.update(**fields) == 1


def test_same_key_and_body_get_the_same_answer_and_one_product_R7(ours: Tenant) -> None:
    first = ours.api.post("/products", wanted(ours), once="a-1")
    again = ours.api.post("/products", wanted(ours), once="a-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert first["ETag"] == again["ETag"]
    assert first["Location"] == again["Location"] == f"/api/v1/products/{first.json()['id']}"
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    assert products() == 1


def test_other_key_makes_it_again(ours: Tenant) -> None:
    """Negative control: it is the key that makes the second request harmless."""
    assert ours.api.post(f"/plans/{ours.plan.pk}/withdraw", once="a-1").status_code == 200
    draft = {**wanted(ours, "P"), "product": ours.product.pk, "amount": 1, "currency": "CNY", "months": 1}
    ids = {ours.api.post("/plans", draft, once=name).json()["id"] for name in ("b-1", "b-2", "b-2")}
    assert len(ids) == 2


def test_same_key_with_another_body_is_refused_R7(ours: Tenant) -> None:
    ours.api.post("/products", wanted(ours), once="a-1")
    assert code(ours.api.post("/products", wanted(ours, "Other"), once="a-1")) == (422, "idempotency_key_reused")
    assert products("Other") == 0


def test_same_key_while_in_flight_is_refused_and_says_when_R7(ours: Tenant) -> None:
    ours.api.post("/products", wanted(ours), once="a-1")
    change(answer=None, status=None)
    response = ours.api.post("/products", wanted(ours), once="a-1")
    assert code(response) == (409, "request_in_flight")
    assert 1 <= int(response["Retry-After"]) <= 60


def test_key_is_asked_for_and_must_be_plain(ours: Tenant) -> None:
    for once in ("", "a b", "x" * 129, "\u00e9"):
        assert code(ours.api.post("/products", wanted(ours), once=once)) == (400, "idempotency_key_required")
    assert products() == 0


def test_key_counts_within_its_api_key_method_and_path_F34(ours: Tenant, other: Tenant) -> None:
    ours.api.post("/products", wanted(ours), once="a-1")
    assert other.api.post("/products", wanted(other), once="a-1").status_code == 201
    second = ours.keyed("products:write")
    assert code(second.post("/products", wanted(ours), once="a-1")) == (422, "product_refused")  # not a repeat
    assert ours.api.post(f"/plans/{ours.plan.pk}/withdraw", once="a-1").status_code == 200


def test_refusal_is_repeated_even_when_it_would_succeed_now_R7(ours: Tenant) -> None:
    ours.api.post("/products", wanted(ours), once="a-1")
    refused = ours.api.post("/products", wanted(ours), once="a-2")
    assert code(refused) == (422, "product_refused")
    with system_scope():
        Product.objects.filter(name="New").update(name="Renamed")
    again = ours.api.post("/products", wanted(ours), once="a-2")
    assert again.content == refused.content
    assert products() == 0


def test_badly_put_request_may_be_mended_under_its_key(ours: Tenant) -> None:
    assert code(ours.api.post("/products", {"name": "New"}, once="a-1")) == (400, "invalid_request")
    assert ours.api.post("/products", wanted(ours), once="a-1").status_code == 201


def test_failure_of_ours_may_be_repeated_and_does_the_work_once(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    ours.api.client.raise_request_exception = False
    with monkeypatch.context() as broken:
        broken.setattr(idempotency, "answer", _fails)
        assert code(ours.api.post("/products", wanted(ours), once="a-1")) == (500, "internal_error")
    assert products() == 0  # the work went with its answer
    assert ours.api.post("/products", wanted(ours), once="a-1").status_code == 201
    assert products() == 1


def _fails(*_arguments: Any) -> None:
    raise RuntimeError("the process dies between the work and its answer")


class Killed(BaseException):
    """A process that is killed handles nothing."""


def test_killed_process_leaves_nothing_and_the_next_one_takes_over_after_the_lease_F02(
    ours: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(idempotency, "answer", kill)
        with pytest.raises(Killed):
            ours.api.post("/products", wanted(ours), once="a-1")
    assert products() == 0
    assert code(ours.api.post("/products", wanted(ours), once="a-1")) == (409, "request_in_flight")
    change(lease_until=clock.wall())
    assert ours.api.post("/products", wanted(ours), once="a-1").status_code == 201
    assert products() == 1


def test_process_that_lost_its_lease_stores_nothing(ours: Tenant) -> None:
    """A slow first process and the one that took over from it: only one product is there in the end."""
    request = idempotency.Request(ours.key, "POST", "/x", "a-1", "0" * 64)
    with system_scope():
        slow = idempotency.claim(request, wall=clock.wall())
        quick = idempotency.claim(request, wall=clock.wall() + idempotency.LEASE)
        assert isinstance(slow, IdempotencyRecord)
        assert isinstance(quick, IdempotencyRecord)
        given = idempotency.Answer(200, b"{}", "application/json")
        with pytest.raises(idempotency.LeaseLost):
            idempotency.answer(slow, given)
        idempotency.answer(quick, given)
        assert idempotency.claim(request, wall=clock.wall()) == given


def test_record_let_go_between_two_looks_is_a_request_to_repeat_R7(
    ours: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request of two was badly put: its record goes while the second one waits for it."""
    request = idempotency.Request(ours.key, "POST", "/x", "a-1", "0" * 64)
    rows = type(IdempotencyRecord.objects.none())
    found = rows.get_or_create

    def and_gone(self: Any, *args: Any, **kwargs: Any) -> Any:
        there, is_new = found(self, *args, **kwargs)
        idempotency.release(there)
        return there, is_new

    with system_scope():
        assert isinstance(idempotency.claim(request, wall=clock.wall()), IdempotencyRecord)
        monkeypatch.setattr(rows, "get_or_create", and_gone)
        with pytest.raises(idempotency.RequestInFlight) as busy:
            idempotency.claim(request, wall=clock.wall())
    assert busy.value.retry_after == 1


def test_answer_is_kept_for_a_day_and_then_forgotten_F34(ours: Tenant) -> None:
    ours.api.post("/products", wanted(ours), once="a-1")
    kept = record().expires_at - clock.wall()
    assert timedelta(hours=23, minutes=59) < kept <= timedelta(hours=24)
    with system_scope():
        assert idempotency.forget_expired(wall=clock.wall(), limit=10) == 0
        change(expires_at=clock.wall())
        assert code(ours.api.post("/products", wanted(ours), once="a-1")) == (422, "product_refused")  # asked anew
        change(expires_at=clock.wall())
        assert idempotency.forget_expired(wall=clock.wall(), limit=10) == 1
        assert not IdempotencyRecord.objects.exists()


def test_stored_answer_is_sealed(ours: Tenant) -> None:
    """An answer may hold what is shown only once."""
    ours.api.post("/products", wanted(ours, "A very visible name"), once="a-1")
    assert "visible" not in str(record().answer)


def test_key_of_another_tenant_never_answers_R6(ours: Tenant, other: Tenant) -> None:
    """The same idempotency key and body, sent by two tenants: each gets its own refusal or its own product."""
    told = {"enterprise": ours.enterprise.pk, "name": "New"}
    assert ours.api.post("/products", told, once="a-1").status_code == 201
    assert code(other.api.post("/products", told, once="a-1")) == (400, "invalid_request")


def test_new_key_of_the_same_enterprise_is_its_own_memory(ours: Tenant) -> None:
    _key, text = new_key(ours.enterprise, ours.user)
    ours.api.post("/products", wanted(ours), once="a-1")
    assert "Idempotency-Replayed" not in Api(text).post("/products", wanted(ours, "B"), once="a-1")
