"""Saved views of lists: own or shared within an enterprise, never another tenant's (F76)."""

from __future__ import annotations

import pytest

from amp.foundation.models import Event, Membership, Role, SavedView
from amp.foundation.scoping import system_scope
from amp.foundation.services import saved_views
from tests.services.admin_world import Maker, made_makers, makers

__all__ = ["made_makers", "makers"]
DEVICES = "/admin/devices/device/"
KEEP = f"{DEVICES}views/"
EXPIRED = {"name": "Expired ones", "query": "state=EXPIRED&columns=serial&sort=ends"}


def test_a_view_keeps_filters_order_and_columns_under_its_name(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    client = ours.client()
    answer = client.post(KEEP, EXPIRED, follow=True)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "Expired ones" in page
    assert "ours-0" in page
    assert "ours-1" not in page
    with system_scope():
        view = SavedView.objects.get()
        assert view.query == EXPIRED["query"]
        assert Event.objects.filter(kind="saved_view.saved", subject=f"saved_view:{view.pk}").count() == 1
    assert f"?{EXPIRED['query'].replace('&', '&amp;')}&amp;view={view.pk}" in client.get(DEVICES).content.decode()
    assert "Expired ones" not in client.get("/admin/devices/deviceservice/").content.decode()


def test_own_views_are_the_owners_alone_and_shared_ones_the_enterprises_F76(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    ours.client().post(KEEP, EXPIRED)
    ours.client().post(KEEP, {**EXPIRED, "name": "For all of us", "shared": "on"})
    colleague = ours.client(Role.READ_ONLY).get(DEVICES).content.decode()
    assert "Expired ones" not in colleague
    assert "For all of us" in colleague
    foreign = other.client().get(DEVICES).content.decode()
    assert "Expired ones" not in foreign
    assert "For all of us" not in foreign


def test_its_owner_renames_a_view_and_nobody_else_F76(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    client = ours.client()
    client.post(KEEP, EXPIRED)
    client.post(KEEP, {**EXPIRED, "name": "Second"})
    with system_scope():
        first = SavedView.objects.get(name="Expired ones")
    opened = client.get(f"{DEVICES}?{first.query}&view={first.pk}").content.decode()
    assert f'name="view" value="{first.pk}"' in opened
    renamed = {**EXPIRED, "name": "Stopped ones", "view": first.pk}
    client.post(KEEP, renamed)
    taken = client.post(KEEP, {**renamed, "name": "Second"}, follow=True).content.decode()
    assert "You have another view of that name" in taken
    ours.client(Role.OPERATOR).post(KEEP, {**renamed, "name": "Mine now"})
    client.post(KEEP, {**renamed, "name": "Third", "view": "x"})
    with system_scope():
        first.refresh_from_db()
        assert first.name == "Stopped ones"
        assert SavedView.objects.count() == 4, "what isn't one's own, or no view at all, is kept as a new one"


def test_sharing_needs_the_permission_X2(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    client = ours.client(Role.OPERATOR)
    answer = client.post(KEEP, {**EXPIRED, "shared": "on"}, follow=True)
    assert "Your role does not include sharing views" in answer.content.decode()
    client.post(KEEP, EXPIRED)
    with system_scope():
        assert [view.is_shared for view in SavedView.objects.all()] == [False]


def test_only_its_owner_deletes_a_view_F76(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    ours.client().post(KEEP, {**EXPIRED, "shared": "on"})
    with system_scope():
        address = f"{DEVICES}views/{SavedView.objects.get().pk}/delete/"
    for stranger in (other.client(), ours.client(Role.OPERATOR)):
        assert stranger.post(address).status_code == 404
    assert ours.client().get(address).status_code == 405
    assert ours.client().post(address).status_code == 302
    with system_scope():
        assert not SavedView.objects.exists()


def test_a_view_whose_filter_is_gone_tells_so(makers: tuple[Maker, Maker]) -> None:
    ours, _other = makers
    client = ours.client()
    client.post(KEEP, {"name": "Old one", "query": "colour=red"})
    with system_scope():
        view = SavedView.objects.get()
    answer = client.get(f"{DEVICES}?{view.query}&view={view.pk}")
    assert answer.status_code == 400
    assert "colour" in answer.content.decode()
    assert "saved view “Old one”" in answer.content.decode()


@pytest.mark.parametrize("name", ["", "   ", "x" * 61])
def test_a_view_needs_a_name_that_fits(makers: tuple[Maker, Maker], name: str) -> None:
    ours, _other = makers
    answer = ours.client().post(KEEP, {**EXPIRED, "name": name}, follow=True)
    assert "Give the view a name of at most 60 characters." in answer.content.decode()


def test_the_same_name_replaces_and_their_number_is_bounded(
    makers: tuple[Maker, Maker], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _other = makers
    monkeypatch.setattr(saved_views, "MOST", 2)
    for query in ("state=EXPIRED", "state=ACTIVE"):
        ours.client().post(KEEP, {"name": "One", "query": query})
    ours.client().post(KEEP, {"name": "Two", "query": ""})
    refused = ours.client().post(KEEP, {"name": "Three", "query": ""}, follow=True)
    assert "Delete one first" in refused.content.decode()
    with system_scope():
        assert sorted(SavedView.objects.values_list("name", "query")) == [("One", "state=ACTIVE"), ("Two", "")]


def test_somebody_who_moved_keeps_a_view_under_the_name_of_an_older_one_F79(makers: tuple[Maker, Maker]) -> None:
    """The older view lies in an enterprise that they no longer see, and still holds its name."""
    ours, other = makers
    client, person = ours.client(), ours.person(Role.ENTERPRISE_ADMINISTRATOR)
    client.post(KEEP, EXPIRED)
    with system_scope():
        Membership.objects.filter(user=person).update(enterprise=other.enterprise)
    answer = client.post(KEEP, {**EXPIRED, "query": "state=ACTIVE"}, follow=True)
    assert answer.status_code == 200
    assert "Expired ones" in answer.content.decode()
    with system_scope():
        view = SavedView.objects.get()
    assert (view.enterprise_id, view.query) == (other.enterprise.pk, "state=ACTIVE")


def test_a_view_leads_nowhere_but_to_its_list(makers: tuple[Maker, Maker]) -> None:
    """What was typed as a query never becomes an address outside."""
    ours, _other = makers
    answer = ours.client().post(KEEP, {"name": "Away", "query": "https://evil.example/?a=1"})
    assert answer.headers["Location"].startswith(DEVICES)
