"""Pages of imports: from the file to the download, by form alone, each within its tenant (F91, F92, R6, X4)."""

from __future__ import annotations

import csv
import html
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from amp.foundation.models import Role
from amp.foundation.scoping import system_scope
from devices.forms.uploads import KEPT
from devices.models import Device, Import
from tests.services.admin_world import Maker, made_makers, makers
from tests.services.importing import device_list

__all__ = ["made_makers", "makers"]

UPLOAD = "/admin/devices/device/import/"


def text_of(answer: Any) -> str:
    """The page as people read it."""
    return html.unescape(answer.content.decode())


def upload(maker: Maker, content: bytes | str, client: Client | None = None, **changes: Any) -> Any:
    """Answer to a file."""
    body = content.encode() if isinstance(content, str) else content
    given = {"product": maker.product.pk, "enterprise": maker.enterprise.pk, "file": SimpleUploadedFile("d.csv", body)}
    return (client or maker.client()).post(UPLOAD, {**given, **changes})


def table(answer: Any) -> list[dict[str, str]]:
    """Rows of a downloaded CSV file."""
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def keys() -> set[str]:
    """Keys of all devices."""
    with system_scope():
        return set(Device.objects.values_list("key", flat=True))


def test_f92_a_file_becomes_devices_in_three_steps(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client(Role.OPERATOR)
    before = keys()
    answer = upload(ours, "key,name,colour\nL1,Lamp,red\na b,x,red\nL2,,\n", client)
    assert answer.status_code == 302
    address = answer.headers["Location"]
    preview = text_of(client.get(address))
    assert "Register 2 devices" in preview
    assert "Columns that are not known and are left out: colour." in preview
    assert "“a b” is no device key. Use 1 to 64 letters, digits, - or _." in preview
    assert keys() == before
    finished = text_of(client.post(f"{address[:-7]}confirm/", {"mode": "GOOD_ROWS"}, follow=True))
    assert "2 devices are registered." in finished
    assert keys() == before | {"L1", "L2"}
    secrets = client.post(f"{address[:-7]}credentials/")
    assert "no-store" in secrets.headers["Cache-Control"]
    rows = table(secrets)
    assert [row["mqtt_user_name"] for row in rows] == [f"{ours.product.key}/L1", f"{ours.product.key}/L2"]
    assert all(len(row["mqtt_password"]) == 32 for row in rows)
    again = text_of(client.post(f"{address[:-7]}credentials/", follow=True))
    assert "were deleted" in again
    [bad] = table(client.get(f"{address[:-7]}problems/"))
    assert (bad["key"], bad["name"], bad["line"]) == ("a b", "x", "3")


def test_f92_a_file_that_cannot_be_used_is_told_and_keeps_the_choices(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    for content, words in (
        (b"", "The file is empty"),
        (b"name\nx\n", "must name a column “key”"),
        (b"PK\x03\x04", "workbook"),
    ):
        answer = upload(ours, content)
        assert answer.status_code == 422
        assert words in text_of(answer)
        assert answer.context["form"]["product"].value() == str(ours.product.pk)
    with system_scope():
        assert not Import.objects.exists()


def test_f92_no_more_than_10_mb_of_a_file_is_taken(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    answer = upload(ours, b"key\n" + b"k" * (3 * KEPT))
    assert answer.status_code == 422
    assert "larger than 10 MB" in text_of(answer)
    assert answer.context["form"].cleaned_data["file"].size < 2 * KEPT


def test_f91_what_a_file_says_is_shown_as_text(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    script = "<script>alert(1)</script>"
    answer = upload(
        ours,
        f'key,name,"{script}"\nL1,"{script}",x\n"{script}",x,x\n',
        file=SimpleUploadedFile(f"{script}.csv", b"key\nL1\n"),
    )
    assert script not in ours.client().get(answer.headers["Location"]).content.decode()
    answer = upload(ours, f'key,name,"{script}"\nL1,"{script}",x\n"{script}",x,x\n')
    page = ours.client().get(answer.headers["Location"]).content.decode()
    assert script not in page
    assert html.escape(script) in page


def test_f90_bad_rows_hold_no_formula_and_come_back_as_they_were(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    first = upload(ours, 'key,name\n=1+1,"=HYPERLINK(1)"\n').headers["Location"]
    content = b"".join(ours.client().get(f"{first[:-7]}problems/").streaming_content)
    assert b"\n'=1+1,'=HYPERLINK(1)" in content
    second = upload(ours, content).headers["Location"]
    [row] = table(ours.client().get(f"{second[:-7]}problems/"))
    assert (row["key"], row["name"]) == ("'=1+1", "'=HYPERLINK(1)")


def test_a_large_import_shows_its_progress_and_can_be_left(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    address = upload(ours, device_list(1_001), client).headers["Location"]
    assert "Runs in the background" in text_of(client.get(address))
    running = text_of(client.post(f"{address[:-7]}confirm/", {"mode": "GOOD_ROWS"}, follow=True))
    assert 'role="progressbar"' in running
    assert '<noscript><meta http-equiv="refresh"' in running
    progress = {"state": "RUNNING", "handled": 0, "done": 0, "total": 1_001, "share": 0}
    assert client.get(f"{address[:-7]}status/").json() == progress
    from devices.tasks import run_imports

    run_imports()
    assert client.get(f"{address[:-7]}status/").json()["state"] == "DONE"
    assert "1001 devices are registered." in text_of(client.get(address)).replace(",", "")


def test_a_preview_can_be_thrown_away(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    client = ours.client()
    address = upload(ours, "key\nL1\n", client).headers["Location"]
    client.post(f"{address[:-7]}cancel/")
    client.post(f"{address[:-7]}confirm/", {"mode": "GOOD_ROWS"})
    assert "L1" not in keys()


@pytest.mark.parametrize("mode", ["", "SOME", "ALL_OR_NOTHING"])
def test_a_confirmation_that_cannot_be_is_told(makers: tuple[Maker, Maker], mode: str) -> None:
    ours, _ = makers
    client = ours.client()
    address = upload(ours, "key\nL1\na b\n", client).headers["Location"]
    answer = client.post(f"{address[:-7]}confirm/", {"mode": mode})
    assert answer.status_code == 422
    assert answer.context["refusals"]
    assert "L1" not in keys()


def test_r6_imports_of_another_tenant_are_missing(makers: tuple[Maker, Maker]) -> None:
    ours, other = makers
    address = upload(other, "key\nL1\n").headers["Location"]
    client = ours.client()
    assert "d.csv" not in text_of(client.get("/admin/devices/import/"))
    for name in ("", "status/", "problems/"):
        assert client.get(f"{address[:-7]}{name or 'change/'}").status_code == 404, name
    for name in ("confirm/", "cancel/", "retry/", "credentials/"):
        assert client.post(f"{address[:-7]}{name}", {"mode": "GOOD_ROWS"}).status_code == 404, name
    for foreign in ({"product": other.product.pk}, {"enterprise": other.enterprise.pk}):
        refused = upload(ours, "key\nL1\n", **foreign)
        missing = upload(ours, "key\nL1\n", **dict.fromkeys(foreign, 10**9))
        assert refused.context["form"].errors == missing.context["form"].errors != {}


def test_x2_readers_look_and_change_nothing(makers: tuple[Maker, Maker]) -> None:
    ours, _ = makers
    address = upload(ours, "key\nL1\n").headers["Location"]
    reader = ours.client(Role.READ_ONLY)
    assert reader.get(UPLOAD).status_code == 403
    assert upload(ours, "key\nL2\n", reader).status_code == 403
    assert "Register 1 device" not in text_of(reader.get(address))
    for name in ("confirm/", "cancel/", "retry/", "credentials/"):
        assert reader.post(f"{address[:-7]}{name}", {"mode": "GOOD_ROWS"}).status_code == 403, name
        assert reader.get(f"{address[:-7]}{name}").status_code == 405, name


def test_pages_of_imports_need_few_queries(makers: tuple[Maker, Maker], django_assert_max_num_queries) -> None:
    ours, _ = makers
    client = ours.client()
    address = upload(ours, device_list(300) + "\na b" * 60, client).headers["Location"]
    for _ in range(8):
        upload(ours, "key\nL1\n", client)
    for page, limit in ((address, 12), ("/admin/devices/import/", 12)):
        with django_assert_max_num_queries(limit):
            assert client.get(page).status_code == 200
