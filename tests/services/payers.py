"""A payer with a browser at hand: opens pages, presses what they show, goes where WeChat sends, pays."""

from __future__ import annotations

import http.client
import re
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import zxingcpp
from django.test import Client
from PIL import Image, ImageDraw

from billing.models import MerchantAccount, Order, PaymentAttempt, Provider
from billing.services.accounts import open_account
from tests.gateways.process import APP_SECRET, OPENID, Gateways, alipay_secret, wechat_secret
from tests.services.benches import deliver
from tests.services.shop import ACTOR, NOW
from tests.services.visiting import words

BUTTON = re.compile(r'<button class="button[^"]*" type="submit"(?: name="wallet" value="(\w*)")?[^>]*>([^<]*)</button>')
LINK = re.compile(r'<a class="button[^"]*" href="([^"]*)"[^>]*data-go([^>]*)>([^<]*)</a>')
FORM = re.compile(r'<form method="post" action="([^"]*)"')
PARAMETERS = re.compile(r'data-parameters="([^"]*)"')
RECTANGLE = re.compile(r"M(\d+),(\d+)h(\d+)v1")
ADDRESS = "203.0.113.77"


class Payer:
    """Somebody in one browser."""

    def __init__(self, agent: str) -> None:
        self.browser = Client(headers={"user-agent": agent}, REMOTE_ADDR=ADDRESS)
        self.page: Any = None

    def open(self, path: str) -> str:
        """Go to a path of ours, and where it leads; the words of the page."""
        self.page = self.browser.get(path.partition("#")[0], follow=True)
        return unescape(words(self.page))

    @property
    def html(self) -> str:
        """The page at hand."""
        return str(self.page.content.decode())

    @property
    def buttons(self) -> dict[str, str]:
        """Labels of the buttons that begin a payment, by the wallet they name."""
        return {wallet: unescape(label) for wallet, label in BUTTON.findall(self.html)}

    @property
    def link(self) -> str:
        """Where the page's one button leads, out of the product."""
        found = LINK.search(self.html)
        assert found, words(self.page)
        return unescape(found[1])

    def press(self, wallet: str = "", **fields: Any) -> Any:
        """A button of the page; the answer, which is followed where it stays in the product."""
        [action] = FORM.findall(self.html)
        given = {"wallet": wallet, **fields} if wallet else fields
        answer = self.browser.post(unescape(action), given)
        if answer.status_code == 302 and answer["Location"].startswith("/"):
            self.open(answer["Location"])
        else:
            self.page = answer
        return answer

    def through_wechat(self) -> str:
        """Follow the page's button through WeChat, which says who holds the phone; the path that it comes back to."""
        address = urlsplit(self.link)
        assert address.hostname == "127.0.0.1"
        connection = http.client.HTTPConnection(address.netloc, timeout=10)
        connection.request("GET", f"{address.path}?{address.query}")
        answer = connection.getresponse()
        assert answer.status == 302, answer.read().decode()
        back = urlsplit(answer.headers["Location"])
        assert (back.scheme, back.netloc) == ("http", "testserver")
        return f"{back.path}?{back.query}"

    @property
    def parameters(self) -> str:
        """What the page hands to WeChat's script."""
        found = PARAMETERS.search(self.html)
        assert found, words(self.page)
        return unescape(found[1])

    @property
    def code(self) -> str:
        """What a camera reads from the page's QR code."""
        return scanned(self.html)


def scanned(html: str) -> str:
    """The text of the QR code that is drawn on a page."""
    box, path = re.search(r'viewBox="0 0 (\d+) \d+"', html), re.search(r'<path d="([^"]*)"', html)
    assert box, "no code on the page"
    assert path
    size = int(box[1]) * 8
    picture = Image.new("L", (size + 64, size + 64), 255)
    draw = ImageDraw.Draw(picture)
    for column, row, length in RECTANGLE.findall(path[1]):
        x, y = int(column) * 8 + 32, int(row) * 8 + 32
        draw.rectangle((x, y, x + int(length) * 8 - 1, y + 7), fill=0)
    [found] = zxingcpp.read_barcodes(picture)
    return str(found.text)


def connect(merchant: Any, *providers: str, **wechat: str) -> dict[str, MerchantAccount]:
    """The merchant's accounts at these gateways; payers can be asked who they are, unless said otherwise."""
    secrets = {
        "wechat": wechat_secret(**{"app_secret": APP_SECRET} | wechat),
        "alipay": alipay_secret(),
        "offline": b"",
    }
    return {
        name: open_account(merchant=merchant, provider=Provider(name), secret=secrets[name], actor=ACTOR, now=NOW)
        for name in providers
    }


def paid_at_gateway(gateways: Gateways, code: str) -> list[int]:
    """The payer confirms in the wallet, and the gateway's notices arrive; their answers."""
    gateways.pay(code, payer=OPENID)
    return [status for status, _body in deliver(gateways.notices())]


def open_payments(order: Order) -> list[tuple[str, str, str]]:
    """(gateway, way, status) of the order's payments, oldest first."""
    return list(PaymentAttempt.objects.filter(order=order).order_by("pk").values_list("provider", "way", "status"))
