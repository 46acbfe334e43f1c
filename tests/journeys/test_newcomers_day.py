"""A newcomer's first day, in each language: invited, signed in with two steps, at work on five hundred devices.

All that the people here know is on their pages and in the mail: the secret, the codes, the credentials, the address to
pay at. The newcomer's browser asks for English; that the pages speak another language comes from the invitation.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation import gettext, override
from openpyxl import load_workbook
from playwright.sync_api import Page, expect

from amp.foundation.models import Event, Role, User
from billing.models import Order, OrderStatus
from catalog.services.rules import current_rule
from devices.models import Device, DeviceService
from tests import factories
from tests.independent_device import IndependentDevice
from tests.journeys.person import Person
from tests.journeys.world import World
from tests.stack.mosquitto import Mosquitto
from tests.stack.processes import Product
from tests.stack.waiting import eventually

THOROUGH = "AMP_EVERY_PAGE" in os.environ  # `make prove` lives the day in English too
pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

NEWCOMER = "mei.lin@greenfield.example"
PASSWORD = "seven quiet harvesters"
COUNT = 500
KEYS = [f"ND-{number:03d}" for number in range(COUNT)]
RENEWED = KEYS[42]


@pytest.fixture
def mails(product_on_test_database: Product, tmp_path: Path) -> Path:
    """The folder that takes the product's mail; the second step of signing in is required, as in production."""
    folder = tmp_path / "mail"
    product_on_test_database.environment |= {"EMAIL_URL": f"filemail:///{folder}", "AMP_REQUIRE_TOTP": "true"}
    return folder


def arrived(folder: Path) -> EmailMessage:
    """The one mail in the folder."""

    def look() -> EmailMessage | None:
        return next((_parsed(path) for path in folder.glob("*") if path.stat().st_size), None)

    return eventually(look, within=60, what="the mail")


def _parsed(path: Path) -> EmailMessage:
    return message_from_bytes(path.read_bytes().partition(b"\n" + b"-" * 79)[0], policy=policy.default)  # type: ignore[return-value]


def link_of(mail: EmailMessage) -> str:
    """The address in a mail's plain text."""
    body = mail.get_body(("plain",))
    assert body
    return next(word for word in body.get_content().split() if word.startswith("http"))


def invite(administrator: Person, language: str) -> None:
    """By the page of the administrator, who has to set up the second step first."""
    administrator.sign_in()
    administrator.enrol()
    administrator.go("foundation/invitation/add/")
    administrator.sees("Invite a member")
    form = administrator.page
    form.locator("input[name=email]").fill(NEWCOMER)
    form.locator("select[name=role]").select_option(Role.ENTERPRISE_ADMINISTRATOR.value)
    form.locator("select[name=language]").select_option(language)
    administrator.submit()
    expect(form.locator("#result_list")).to_contain_text(NEWCOMER)


def join(newcomer: Person, link: str) -> None:
    """Follow the link, choose name and password."""
    newcomer.page.goto(link)
    newcomer.sees("Join")
    newcomer.page.locator("input[name=full_name]").fill("Mei Lin")
    for name in ("new_password1", "new_password2"):
        newcomer.page.locator(f"input[name={name}]").fill(newcomer.password)
    newcomer.page.locator("button.amp-primary").click()


def sign_in_with_two_steps(newcomer: Person) -> None:
    """Enrol, go out and come in again: the password alone opens nothing (X1)."""
    assert len(set(newcomer.enrol())) == 10
    newcomer.sees("Overview")
    newcomer.sign_out()
    newcomer.sign_in()
    newcomer.page.wait_for_url("**/sign-in/code/**")
    newcomer.go("devices/device/")
    newcomer.page.wait_for_url("**/sign-in/code/**")
    newcomer.type_code()
    newcomer.sees("Device List")
    assert User.objects.get(email=NEWCOMER).full_name == "Mei Lin"


def import_devices(newcomer: Person, path: Path) -> dict[str, dict[str, str]]:
    """Preview, confirm, result; the credentials by device key, which can be had once."""
    path.write_text("\n".join(["key,serial", *(f"{key},S-{key}" for key in KEYS)]))
    newcomer.go("devices/device/import/")
    newcomer.sees("Register devices from a file")
    newcomer.page.locator("select[name=product]").select_option(str(newcomer.amp.product.pk))
    newcomer.page.locator("input[name=file]").set_input_files(path)
    newcomer.submit()
    newcomer.sees("Rows that would be done")
    assert Device.objects.count() == 1, "the preview registers nothing"
    newcomer.submit("form[action$='/confirm/']")
    newcomer.sees_counted("%(n)s device is registered.", "%(n)s devices are registered.", COUNT)
    button = newcomer.page.locator("form[action$='/credentials/'] button")
    told = newcomer.download(button).decode("utf-8-sig")
    newcomer.page.reload()
    newcomer.sees("Rows that were done")
    expect(button).to_have_count(0)
    return {row["key"]: row for row in csv.DictReader(io.StringIO(told))}


def set_rule(newcomer: Person) -> None:
    """The trial begins at the first connection and may be ended by paying; the preview names the one who is online."""
    product = newcomer.amp.product
    before = current_rule(product.pk)
    newcomer.go(f"catalog/product/{product.pk}/device-service/")
    newcomer.page.locator("input[name=trial_start_seconds_minutes]").fill("0")
    newcomer.page.locator("input[name=trial_end_seconds_hours]").fill("2")
    newcomer.page.locator("input[name=renewal_before_trial_end]").check()
    newcomer.submit("fieldset.amp-card")
    preview = newcomer.page.locator("#preview")
    newcomer.sees("What saving does")
    expect(preview.locator(".amp-changed tbody tr")).to_have_count(3)
    expect(preview.locator("a[href*='state=PENDING']")).to_have_text("1")
    assert current_rule(product.pk) == before, "the preview saves nothing"
    preview.locator("button[name=confirm]").click()
    expect(preview).to_have_count(0)
    after = current_rule(product.pk)
    assert (after.version, after.renewal_before_trial_end) == (before.version + 1, True)
    assert (after.trial_start_seconds, after.created_by) == (0, NEWCOMER)


def renew(newcomer: Person, device: Device, customer: Page) -> None:
    """Plan, QR page; the customer pays elsewhere, and the page follows by itself."""
    newcomer.go(f"devices/device/{device.pk}/change/")
    newcomer.page.locator("a[href*='/billing/order/renew/']").first.click()
    newcomer.sees("Choose a plan")
    newcomer.page.locator(f"input[name=plan][value='{newcomer.amp.plan.pk}']").check()
    newcomer.submit()
    expect(newcomer.page.locator(".amp-qr svg")).to_be_visible()
    code = newcomer.page.locator("a[href*='/sandbox/pay/']").get_attribute("href")
    assert code
    customer.goto(code)
    expect(customer.locator("html")).to_have_attribute("lang", newcomer.language)
    assert Order.objects.get().status == OrderStatus.PENDING.value
    customer.locator("button.pay").click()
    newcomer.sees("Paid and renewed")
    expect(newcomer.page.locator(".amp-qr")).to_have_count(0)
    assert Order.objects.get().status == OrderStatus.FULFILLED.value
    assert Event.objects.filter(kind="order.created", actor=NEWCOMER).count() == 1


def export(newcomer: Person) -> None:
    """The list of the imported devices as CSV and as XLSX: all rows, one of them renewed, in the reader's words."""
    newcomer.go("devices/device/?q=ND-")
    files = {}
    for name in ("csv", "xlsx"):
        newcomer.page.locator("details.amp-export summary").click()
        files[name] = newcomer.download(newcomer.page.locator(f"details.amp-export button[value={name}]"))
        newcomer.page.reload()
    rows = list(csv.reader(io.StringIO(files["csv"].decode("utf-8-sig"), newline="")))
    sheet = load_workbook(io.BytesIO(files["xlsx"]), read_only=True).active
    with override(newcomer.language):
        active, column = gettext("Active"), rows[0].index(gettext("service"))
    for header, *table in (rows, [list(row) for row in sheet.values]):
        assert header == rows[0]
        assert sorted(row[0] for row in table) == KEYS
        assert [row[0] for row in table if row[column] == active] == [RENEWED]


@pytest.mark.parametrize("language", ["zh-hans", *(["en"] if THOROUGH else [])])
def test_x1_x4_g1_g3_a4_q3_a_newcomers_first_day(
    language: str,
    mails: Path,
    world: Callable[..., World],
    mosquitto: Mosquitto,
    page: Page,
    colleagues_page: Page,
    phone_page: Page,
    tmp_path: Path,
) -> None:
    """Invited and signed in (X1), 500 devices (X4), a rule (G1, A4), a renewal (Q3), exports (G3)."""
    amp = world()
    for other in (colleagues_page, phone_page):
        chosen = {"name": settings.LANGUAGE_COOKIE_NAME, "value": language, "url": amp.amp.url}
        other.context.add_cookies([chosen])  # type: ignore[list-item]
    chief = factories.make_member(amp.product.enterprise)
    invite(Person(colleagues_page, amp, language, chief.email, factories.PASSWORD), language)
    newcomer = Person(page, amp, language, NEWCOMER, PASSWORD)
    join(newcomer, link_of(arrived(mails)))
    sign_in_with_two_steps(newcomer)
    credentials = import_devices(newcomer, tmp_path / "first.csv")
    assert list(credentials) == KEYS
    amp.let_in(mosquitto)
    mine = credentials[RENEWED]
    connected = IndependentDevice(mosquitto.port, mine["mqtt_user_name"], mine["mqtt_password"]).come_online()
    device = Device.objects.get(key=RENEWED)
    service = DeviceService.objects.filter(device=device)
    amp.until(lambda: service.get().due_at, "the imported device is online with its downloaded password")
    set_rule(newcomer)
    amp.until(lambda: service.get().state == "TRIAL", "the rule begins its trial")
    renew(newcomer, device, phone_page)
    assert service.get().state == "ACTIVE"
    export(newcomer)
    connected.go_offline()
    amp.audit()
