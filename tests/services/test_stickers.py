"""Sheets of stickers: each code leads to its device, links are issued in bulk and stored nowhere (F85, row G)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from django.conf import settings
from django.test import Client
from django.urls import reverse

from amp.foundation.models import Event, Role
from amp.foundation.scoping import enterprise_scope, system_scope
from devices.models import Device, PublicToken
from devices.papers import A_PAGE, SIDE, Sticker, mm, pages_for, sticker_sheet
from devices.qr import PAPER, matrix, qr_svg, runs, version_for
from devices.services.registration import terminate_device
from devices.services.tokens import device_for_token, issue_token, issue_tokens, link_of, new_token, revoke_tokens
from tests.factories import NOW, make_device, make_enterprise, make_member, make_product

pytestmark = pytest.mark.django_db
STICKERS = "/admin/devices/device/stickers/"
LINKS = "/admin/devices/device/links/"
PRINT = {"line": "Scan to renew", "older": "keep", "marks": "on"}


@pytest.fixture(autouse=True)
def in_system_scope() -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def devices() -> list[Device]:
    product = make_product(make_enterprise("Warm & Co"))
    return [make_device(product, key=f"heater-{number}", serial=f"SN-2026-{number:04d}").device for number in range(3)]


def staff(device: Device, role: Role = Role.OPERATOR) -> Client:
    client = Client()
    client.force_login(make_member(device.product.enterprise, role))
    return client


def read(document: bytes) -> list[str]:
    """What a scanner finds on every page."""
    pages = pypdfium2.PdfDocument(document)
    return [found.text for page in pages for found in zxingcpp.read_barcodes(page.render(scale=3).to_pil())]


def words(document: bytes) -> str:
    return "\n".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(document))


def ids(devices: list[Device]) -> str:
    return ",".join(str(device.pk) for device in devices)


def device_of(link: str) -> Device | None:
    assert link.startswith(f"{settings.BASE_URL}/r/")
    return device_for_token(link.rpartition("/")[2])


def test_every_code_of_a_sheet_leads_to_its_devices_live_link(devices: list[Device]) -> None:
    answer = staff(devices[0]).post(f"{STICKERS}?ids={ids(devices)}", PRINT)
    assert answer["Content-Type"] == "application/pdf"
    assert "no-store" in answer["Cache-Control"]
    links = read(answer.content)
    assert {device_of(link) for link in links} == set(devices)
    assert len(links) == 3
    said = words(answer.content)
    for number in range(3):
        assert f"heater-{number}" in said
        assert f"{number:04d}" in said
    assert said.count("Warm & Co") == 3


def test_a_sheet_holds_forty_and_the_next_begins_another_page() -> None:
    links = [link_of(new_token()) for _ in range(A_PAGE + 1)]
    made = [Sticker(link, "暖气 – 客厅东侧的那一台 📡", "4F2A", "暖通科技有限公司") for link in links]
    document = sticker_sheet(made, line="扫码续费", title="Stickers", cut_marks=True)
    assert len(pypdfium2.PdfDocument(document)) == pages_for(len(links)) == 2
    assert sorted(read(document)) == sorted(links)


def test_codes_are_25_mm_wide_at_level_Q_and_fit_their_sticker() -> None:
    sheet = sticker_sheet([Sticker("https://example.com/r/x", "n", "s", "m")], line="l", title="t", cut_marks=False)
    [found] = zxingcpp.read_barcodes(pypdfium2.PdfDocument(sheet)[0].render(scale=4).to_pil())
    assert found.ec_level == "Q"
    width = found.position.top_right.x - found.position.top_left.x
    assert width / 4 / mm == pytest.approx(SIDE / mm, abs=0.3)
    assert round(SIDE / mm, 6) >= 25


@pytest.mark.parametrize("text", ["x", "https://portal.example.com/r/" + "aZ" * 22, "1" * 300, "中文" * 40])
@pytest.mark.parametrize("level", [0, PAPER])
def test_the_table_of_places_yields_what_the_library_draws(text: str, level: int) -> None:
    import qrcode

    peer = qrcode.QRCode(error_correction=level, border=0, mask_pattern=2)
    peer.add_data(text, optimize=0)
    peer.make(fit=True)
    assert matrix(text, level) == peer.modules
    drawn = {(run.row, run.column + step) for run in runs(peer.modules) for step in range(run.length)}
    assert drawn == {
        (row, column) for row, cells in enumerate(peer.modules) for column, dark in enumerate(cells) if dark
    }


def test_a_screen_code_is_one_path_and_speaks_for_itself() -> None:
    drawing = qr_svg("https://example.com", 'the "code"')
    assert drawing.count("<path") == 1
    assert 'aria-label="the &quot;code&quot;"' in drawing


def test_one_version_serves_a_whole_sheet() -> None:
    versions = {version_for(link_of(new_token()), PAPER) for _ in range(20)}
    assert len(versions) == 1


@pytest.mark.parametrize("older", ["keep", "revoke"])
def test_older_links_keep_working_or_stop_as_was_chosen(devices: list[Device], older: str) -> None:
    before = issue_token(device=devices[0], actor="ann", now=NOW)
    answer = staff(devices[0]).post(f"{STICKERS}?ids={ids(devices[:1])}", PRINT | {"older": older})
    [link] = read(answer.content)
    assert device_of(link) == devices[0]
    assert device_for_token(before) == (devices[0] if older == "keep" else None)
    assert PublicToken.objects.filter(device=devices[0], revoked_at=None).count() == (3 if older == "keep" else 1)
    assert device_for_token(before) is None or older == "keep"


def test_a_new_link_after_a_sheet_and_a_sheet_after_it_live_together(devices: list[Device]) -> None:
    """Issue, sheet, revoke everything, sheet again: the last one works, nothing before it does."""
    asked: dict[str, Any] = {"device_ids": [devices[0].pk], "actor": "ann", "now": NOW}
    first = issue_tokens(**asked, revoke_older=False)[devices[0].pk]
    single = issue_token(device=devices[0], actor="ann", now=NOW)
    assert revoke_tokens(**asked) == 3  # the one from registration as well
    assert revoke_tokens(**asked) == 0
    last = issue_tokens(**asked, revoke_older=True)[devices[0].pk]
    assert [device_for_token(token) for token in (first, single, last)] == [None, None, devices[0]]
    assert Event.objects.filter(kind="device.link_revoked", subject=f"device:{devices[0].pk}").count() == 1


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize("revoke_older", [True, False])
def test_links_are_issued_in_the_same_statements_however_many(
    count: int, revoke_older: bool, django_assert_num_queries
) -> None:
    product = make_product()
    pks = [make_device(product).device.pk for _ in range(count)]
    with django_assert_num_queries(6 if revoke_older else 5):  # with the savepoint's two
        tokens = issue_tokens(device_ids=pks, revoke_older=revoke_older, actor="ann", now=NOW)
    assert {device_for_token(token).pk for token in tokens.values()} == set(pks)
    events = Event.objects.filter(kind="device.link_issued")
    assert events.count() == count == events.values("subject").distinct().count()


def test_links_are_revoked_in_the_same_statements_however_many(django_assert_num_queries) -> None:
    product = make_product()
    pks = [make_device(product).device.pk for _ in range(20)]
    with django_assert_num_queries(6):
        assert revoke_tokens(device_ids=pks, actor="ann", now=NOW) == 20
    assert Event.objects.filter(kind="device.link_revoked").count() == 20


def test_terminated_devices_and_those_of_others_get_no_link(devices: list[Device]) -> None:
    terminate_device(device=devices[0], actor="ann", now=NOW)
    stranger = make_device().device
    with enterprise_scope([devices[0].enterprise_id]):
        asked = [*(device.pk for device in devices), stranger.pk]
        tokens = issue_tokens(device_ids=asked, revoke_older=True, actor="ann", now=NOW)
    assert set(tokens) == {devices[1].pk, devices[2].pk}
    assert PublicToken.objects.filter(device=stranger, revoked_at=None).count() == 1


def test_the_page_says_what_is_printed_and_who_is_left_out(devices: list[Device]) -> None:
    terminate_device(device=devices[0], actor="ann", now=NOW)
    client = staff(devices[0])
    before = PublicToken.objects.count()
    answer = client.get(f"{STICKERS}?ids={ids(devices)}")
    said = answer.content.decode()
    assert "2 devices" in said
    assert "1 device is terminated" in said
    assert "2 older links of these devices work now." in said
    assert PublicToken.objects.count() == before


def test_a_stickers_page_costs_the_same_for_one_and_for_many(devices: list[Device]) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = staff(devices[0])
    client.get(f"{STICKERS}?ids={devices[0].pk}")
    spent = []
    for chosen in (devices[:1], devices):
        with CaptureQueriesContext(connection) as queries:
            client.get(f"{STICKERS}?ids={ids(chosen)}")
        spent.append(len(queries))
    assert spent[0] == spent[1]


def test_all_that_match_are_printed_from_the_lists_filters(devices: list[Device]) -> None:
    client = staff(devices[0])
    listed = reverse("admin:devices_device_changelist")
    chosen = {"action": "print_stickers", "select_across": "1", "_selected_action": [devices[0].pk]}
    onward = client.post(f"{listed}?q=heater-1&per=25", chosen)
    assert onward["Location"] == f"{STICKERS}?q=heater-1"
    [link] = read(client.post(onward["Location"], PRINT).content)
    assert device_of(link) == devices[1]
    ticked = client.post(listed, {"action": "revoke_links", "_selected_action": [devices[0].pk, devices[2].pk]})
    assert ticked["Location"] == f"{LINKS}?ids={devices[0].pk},{devices[2].pk}"


def test_more_than_a_thousand_are_refused_with_what_to_do(devices: list[Device], monkeypatch) -> None:
    monkeypatch.setattr("devices.admin_views.stickers.MOST", 2)
    client = staff(devices[0])
    for address in (f"{STICKERS}?ids={ids(devices)}", STICKERS, f"{LINKS}?ids={ids(devices)}"):
        assert "More than 2 devices match." in client.get(address).content.decode()
        answer = client.post(address, PRINT)
        assert answer.status_code == 422
    assert not PublicToken.objects.exclude(revoked_at=None).exists()
    assert PublicToken.objects.count() == 3


@pytest.mark.parametrize("wrong", [{"older": ""}, {"older": "burn"}, {"line": " "}, {"line": "x" * 41}])
def test_a_wrong_form_prints_nothing(devices: list[Device], wrong: dict[str, str]) -> None:
    answer = staff(devices[0]).post(f"{STICKERS}?ids={ids(devices)}", PRINT | wrong)
    assert answer.status_code == 422
    assert "Nothing was printed" in answer.content.decode()
    assert PublicToken.objects.count() == 3


@pytest.mark.parametrize("query", ["ids=x", "ids=1,-2", "ids=" + "9" * 40, "nonsense=1", "ids=", "ids=99999999"])
def test_a_choice_that_cannot_be_understood_or_is_empty_says_so(devices: list[Device], query: str) -> None:
    client = staff(devices[0])
    for page in (STICKERS, LINKS):
        assert client.get(f"{page}?{query}").status_code == 200
        assert client.post(f"{page}?{query}", PRINT).status_code == 422
    assert PublicToken.objects.filter(revoked_at=None).count() == 3


def test_links_of_ticked_devices_are_revoked_after_a_look(devices: list[Device]) -> None:
    client = staff(devices[0])
    address = f"{LINKS}?ids={ids(devices[:2])}"
    assert "2 links stop working for good." in client.get(address).content.decode()
    assert PublicToken.objects.filter(revoked_at=None).count() == 3
    assert client.post(address).status_code == 302
    assert list(PublicToken.objects.filter(revoked_at=None).values_list("device", flat=True)) == [devices[2].pk]


@pytest.mark.parametrize("role", [Role.READ_ONLY, Role.FINANCE, Role.ACCOUNT_MANAGER])
def test_who_may_not_operate_devices_prints_and_revokes_nothing(devices: list[Device], role: Role) -> None:
    client = staff(devices[0], role)
    for address in (f"{STICKERS}?ids={ids(devices)}", f"{LINKS}?ids={ids(devices)}"):
        assert client.get(address).status_code == 403
        assert client.post(address, PRINT).status_code == 403
    assert PublicToken.objects.filter(revoked_at=None).count() == 3


def test_devices_of_others_are_not_even_counted(devices: list[Device]) -> None:
    stranger = make_device().device
    client = staff(devices[0])
    said = client.get(f"{STICKERS}?ids={stranger.pk}").content.decode()
    assert "There is no device to print a sticker for." in said
    assert stranger.key not in said
    client.post(f"{LINKS}?ids={stranger.pk}")
    assert PublicToken.objects.filter(device=stranger, revoked_at=None).count() == 1


def test_tokens_are_in_no_log_and_in_no_event(devices: list[Device], caplog) -> None:
    caplog.set_level(logging.DEBUG)
    answer = staff(devices[0]).post(f"{STICKERS}?ids={ids(devices)}", PRINT | {"older": "revoke"})
    tokens = [link.rpartition("/")[2] for link in read(answer.content)]
    kept = f"{list(Event.objects.values())}{list(PublicToken.objects.values())}{caplog.text}"
    assert len(tokens) == 3
    assert not any(token in kept for token in tokens)


def test_a_long_makers_name_is_wrapped_and_never_loses_a_space_or_another_line() -> None:
    """What fits in no way ends with dots; the name of the device and the serial number stay."""
    maker = "Greenfield Agricultural Robotics and Precision Farming Equipment"
    sheet = sticker_sheet(
        [Sticker("https://a.example/r/x", "Heater", "4821", maker)], line="Scan", title="", cut_marks=False
    )
    told = pypdfium2.PdfDocument(sheet)[0].get_textpage().get_text_range()
    lines = [line.strip() for line in told.splitlines()]
    assert lines[:3] == ["Scan", "Heater", "…4821"]
    assert " ".join(lines[3:]).startswith("Greenfield Agricultural Robotics and Precision Far")
    assert len(lines) == 6
