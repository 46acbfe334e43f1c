"""WeChat Pay and Alipay over real sockets in both directions, on real clocks."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from amp.foundation import clock
from billing.models import Order, Provider
from billing.services.accounts import open_account
from billing.services.fulfilment import fulfil_paid_orders
from tests.gateways.process import Gateways, alipay_secret, gateway_process, gateways, wechat_secret
from tests.services.gateway import books_in_order
from tests.services.shop import ACTOR, open_shop, paid_periods
from tests.stack.processes import REPOSITORY

__all__ = ["books_in_order", "gateway_process", "gateways"]


def test_the_simulator_shares_no_line_with_the_product_or_with_the_sdks() -> None:
    """Where both sides made the same mistake, a test of one against the other would prove nothing."""
    script = "import sys, tests.gateways.server; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "cryptography" in loaded
    assert loaded & {"amp", "billing", "django", "alipay", "Cryptodome", "wechatpayv3", "requests"} == set()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("provider", "secret_of"), [(Provider.WECHAT, wechat_secret), (Provider.ALIPAY, alipay_secret)]
)
def test_a_payment_over_real_http_renews_the_device(
    live_server: Any, settings: Any, gateways: Gateways, provider: Provider, secret_of: Any
) -> None:
    """From the code on the screen to the renewed device; the notice comes from the gateway's own process."""
    settings.BASE_URL = live_server.url
    shop = open_shop()
    open_account(merchant=shop.merchant, provider=provider, secret=secret_of(), actor=ACTOR, now=clock.now())
    order = shop.order(now=clock.now())
    attempt = shop.attempt(order, now=clock.now(), wall=clock.wall())
    gateways.pay(attempt.code)
    assert gateways.say("deliver") == [200]
    assert Order.objects.get(pk=order.pk).status == "PAID"
    fulfil_paid_orders(now=clock.now())
    assert paid_periods(shop) == 1
