"""Which browser can pay how: user agent × the seller's accounts → what is offered (payments, gateway facts)."""

from __future__ import annotations

from itertools import chain, combinations

import pytest

from billing.orders import PayWay
from billing.wallets import ANY_WALLET, WALLETS, Browser, Choice, Till, browser_of, offer_to, stand_side_by_side
from tests.rules.browsers import ALIPAY_AGENT, COMPUTERS, PHONES, WECHAT_AGENT, WECHAT_COMPUTER_AGENT

SCREEN, BROWSER, IN_APP = PayWay.SCREEN, PayWay.BROWSER, PayWay.IN_APP
ALL = frozenset(PayWay)
WECHAT, ALIPAY = Till("wechat", ALL), Till("alipay", ALL)
STRANGERS = Till("wechat", frozenset({SCREEN, BROWSER}))
"""Nobody's openid can be asked there: no AppSecret."""
SANDBOX, OFFLINE = Till("sandbox", ALL), Till("offline", frozenset({SCREEN}))
IN_WECHAT, IN_ALIPAY, PHONE, COMPUTER = Browser.WECHAT, Browser.ALIPAY, Browser.PHONE, Browser.COMPUTER


@pytest.mark.parametrize("agent", [WECHAT_AGENT, WECHAT_COMPUTER_AGENT])
def test_wechats_own_browser_is_known(agent: str) -> None:
    assert browser_of(agent) is IN_WECHAT


def test_alipays_own_browser_is_known() -> None:
    assert browser_of(ALIPAY_AGENT) is IN_ALIPAY


def test_wecom_is_not_wechat_though_it_says_so_too() -> None:
    assert browser_of(WECHAT_AGENT + " wxwork/4.1.0") is PHONE


@pytest.mark.parametrize("agent", PHONES)
def test_phones_are_known(agent: str) -> None:
    assert browser_of(agent) is PHONE


@pytest.mark.parametrize("agent", [*COMPUTERS, "", "curl/8.5", "\x00\xff" * 4_000])
def test_everything_else_is_a_computer(agent: str) -> None:
    assert browser_of(agent) is COMPUTER


W_APP, W_H5, W_QR = Choice("wechat", IN_APP), Choice("wechat", BROWSER), Choice("wechat", SCREEN)
A_APP, A_WAP, A_QR = Choice("alipay", IN_APP), Choice("alipay", BROWSER), Choice("alipay", SCREEN)
SHARED, TRANSFER = Choice(ANY_WALLET, SCREEN), Choice("offline", SCREEN)
TABLE: list[tuple[str, list[Till], dict[Browser, list[Choice]]]] = [
    ("both", [WECHAT, ALIPAY], {IN_WECHAT: [W_APP], IN_ALIPAY: [A_APP], PHONE: [W_H5, A_WAP], COMPUTER: [SHARED]}),
    ("wechat", [WECHAT], {IN_WECHAT: [W_APP], IN_ALIPAY: [], PHONE: [W_H5], COMPUTER: [W_QR]}),
    ("alipay", [ALIPAY], {IN_WECHAT: [], IN_ALIPAY: [A_APP], PHONE: [A_WAP], COMPUTER: [A_QR]}),
    ("wechat without AppSecret", [STRANGERS], {IN_WECHAT: [], IN_ALIPAY: [], PHONE: [W_H5], COMPUTER: [W_QR]}),
    (
        "both, without AppSecret",
        [STRANGERS, ALIPAY],
        {IN_WECHAT: [], IN_ALIPAY: [A_APP], PHONE: [W_H5, A_WAP], COMPUTER: [W_QR, A_QR]},
    ),
    (
        "wechat inside its app alone",
        [Till("wechat", frozenset({IN_APP}))],
        {IN_WECHAT: [W_APP], IN_ALIPAY: [], PHONE: [], COMPUTER: [SHARED]},
    ),
    (
        "both on screens alone",
        [Till("wechat", frozenset({SCREEN})), Till("alipay", frozenset({SCREEN}))],
        {IN_WECHAT: [], IN_ALIPAY: [], PHONE: [], COMPUTER: [W_QR, A_QR]},
    ),
    (
        "alipay's page for phones serves its app too",
        [Till("alipay", frozenset({BROWSER}))],
        {IN_WECHAT: [], IN_ALIPAY: [A_WAP], PHONE: [A_WAP], COMPUTER: [SHARED]},
    ),
    (
        "sandbox",
        [SANDBOX],
        {
            IN_WECHAT: [Choice("sandbox", IN_APP)],
            IN_ALIPAY: [Choice("sandbox", IN_APP)],
            PHONE: [Choice("sandbox", BROWSER)],
            COMPUTER: [Choice("sandbox", SCREEN)],
        },
    ),
    ("bank transfers alone", [OFFLINE], {browser: [TRANSFER] for browser in Browser}),
    (
        "a wallet beside bank transfers",
        [OFFLINE, ALIPAY],
        {IN_WECHAT: [], IN_ALIPAY: [A_APP], PHONE: [A_WAP], COMPUTER: [A_QR]},
    ),
    ("nothing", [], {browser: [] for browser in Browser}),
]


@pytest.mark.parametrize(("name", "tills", "offers"), TABLE, ids=[row[0] for row in TABLE])
def test_what_is_offered_where(name: str, tills: list[Till], offers: dict[Browser, list[Choice]]) -> None:
    for browser, choices in offers.items():
        for order in (tills, tills[::-1]):
            offer = offer_to(browser, order)
            assert list(offer.choices) == choices, browser
            elsewhere = {other for other, found in offers.items() if found and other is not browser}
            assert set(offer.elsewhere) == (elsewhere if not choices else set()), browser


KINDS = [
    Till(provider, frozenset(ways))
    for provider in ("wechat", "alipay")
    for ways in chain.from_iterable(combinations(PayWay, size) for size in range(4))
]


@pytest.mark.parametrize("browser", Browser)
def test_whatever_accounts_there_are_no_wallet_is_offered_inside_the_other_and_no_phone_gets_a_code(
    browser: Browser,
) -> None:
    for first in KINDS:
        for second in KINDS:
            if first.provider == second.provider:
                continue
            offer = offer_to(browser, [first, second, OFFLINE])
            for choice in offer.choices:
                if choice.provider == "offline":
                    assert all(not offer_to(each, [first, second]).choices for each in Browser)
                    continue
                if browser in {IN_WECHAT, IN_ALIPAY}:
                    assert choice.provider == browser.value
                assert (choice.way is SCREEN) == (browser is COMPUTER)
                if choice.provider:
                    till = first if first.provider == choice.provider else second
                    assert choice.way in till.ways
                else:  # one code of ours: each wallet that opens it can pay there, or no other code could be shown
                    inside = [wallet for wallet in WALLETS if offer_to(Browser(wallet), [first, second]).choices]
                    assert inside == list(WALLETS) or (inside and SCREEN not in first.ways | second.ways)


def test_a_choice_is_found_by_name_or_where_it_is_the_only_one() -> None:
    both = offer_to(PHONE, [WECHAT, ALIPAY])
    assert both.find("alipay") == A_WAP
    assert both.find("") is None
    assert both.find("sandbox") is None
    assert offer_to(PHONE, [ALIPAY]).find("") == A_WAP
    assert offer_to(COMPUTER, [WECHAT, ALIPAY]).find("") == SHARED


def test_only_the_two_wallets_stand_side_by_side_F31() -> None:
    assert stand_side_by_side("wechat") == ("alipay",)
    assert stand_side_by_side("alipay") == ("wechat",)
    assert stand_side_by_side("sandbox") == stand_side_by_side("offline") == ()
