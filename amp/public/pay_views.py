"""The pay page `/p/<token>` of one order: what a code for both wallets leads to, and where WeChat's script is called.

WeChat Pay calls its script only below addresses that the merchant has registered, so all of that happens here.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.money import format_money
from amp.foundation.services.refusals import Refused
from amp.public.answers import address, ended_link, for_payment, other_languages, private, too_fast
from amp.public.beginning import AND_GO, ask_gateways, begin, browser_behind
from amp.public.page import named_brand
from amp.public.panel import Panel, Paying
from amp.public.paying import PayPage, pay_page
from amp.public.throttle import is_too_fast, payer_address
from billing.models import PaymentAttempt, PaymentLink
from billing.orders import CodeForm, OrderStatus, PayWay
from billing.services.links import return_path_of_link
from billing.services.openids import PayerUnknown, login_address, payer_behind
from billing.services.paying import begin_inside_wechat
from billing.services.tills import offer_of
from billing.wallets import WECHAT, Browser, Choice

PAYMENTS_A_MINUTE = 20
FOLLOWS_A_MINUTE = 600


def nothing(request: HttpRequest, rest: str = "") -> HttpResponse:
    """An address that can't be a link."""
    return private(ended_link(request))


@for_payment("GET", "HEAD")
def show(request: HttpRequest, link: PaymentLink, token: str) -> HttpResponse:
    """The order, and what to press in this browser; creates nothing."""
    return _show(request, link, token)


@for_payment("POST")
def pay(request: HttpRequest, link: PaymentLink, token: str) -> HttpResponse:
    """Begin the payment that this browser can make."""
    now, wall = clock.now(), clock.wall()
    if is_too_fast(request, wall=wall, name="pay", limit=PAYMENTS_A_MINUTE):
        return too_fast(request, wall)
    try:
        onward = begin(request, link.order, here=address(request, "paying:page", token), now=now, wall=wall)
    except Refused as refused:
        return _show(request, link, token, error=str(refused), status=409)
    return HttpResponseRedirect(onward)


@for_payment("GET")
def openid(request: HttpRequest, link: PaymentLink, token: str) -> HttpResponse:
    """Back from WeChat, which has said who pays: begin the payment, and go to the page that calls WeChat's script."""
    here = address(request, "paying:page", token)
    now, wall, order = clock.now(), clock.wall(), link.order
    state, code = request.GET.get("state", ""), request.GET.get("code", "")
    if order.status != OrderStatus.PENDING.value or not code:
        return HttpResponseRedirect(here)
    try:
        account, payer = payer_behind(link=link, state=state, code=code, wall=wall)
        attempt = begin_inside_wechat(
            order=order,
            account=account,
            openid=payer,
            return_path=return_path_of_link(link) or here,
            payer_ip=payer_address(request),
            now=now,
            wall=wall,
        )
    except PayerUnknown as unknown:
        return _unknown_payer(request, here, unknown)
    except Refused as refused:
        return _show(request, link, token, error=str(refused), status=409)
    return HttpResponseRedirect(address(request, "paying:script", token, attempt.number) if attempt.code else here)


@for_payment("GET", "HEAD")
def script(request: HttpRequest, link: PaymentLink, token: str, number: str) -> HttpResponse:
    """Hand the signed parameters to WeChat's script. Whatever it answers only makes the server ask WeChat Pay (Q3)."""
    here, now = address(request, "paying:page", token), clock.now()
    attempt = PaymentAttempt.objects.filter(order=link.order, number=number, provider=WECHAT).first()
    is_usable = (
        attempt is not None
        and link.order.status == OrderStatus.PENDING.value
        and attempt.code_form == CodeForm.PARAMETERS.value
        and attempt.code_expires_at is not None
        and now < attempt.code_expires_at
    )
    if attempt is None or not is_usable:
        return HttpResponseRedirect(here)
    context = _basics(link, token) | {
        "parameters": attempt.code,
        "back_path": reverse("payment_return", args=[number]),
        "page_path": here,
        "languages": [],
    }
    return render(request, "public/wechat.html", context)


@for_payment("GET", "HEAD", name="follow", limit=FOLLOWS_A_MINUTE)
def status(request: HttpRequest, link: PaymentLink, token: str) -> HttpResponse:
    """The version of the pay page, for the page to follow."""
    found, panel = _looked(request, link, token)
    return JsonResponse({"version": _version(found, panel), "moving": found.is_moving})


def _show(request: HttpRequest, link: PaymentLink, token: str, *, error: str = "", status: int = 200) -> HttpResponse:
    found, panel = _looked(request, link, token)
    here = address(request, "paying:page", token)
    back = return_path_of_link(link)
    context = _basics(link, token) | {
        "page": found,
        "panel": panel,
        "version": _version(found, panel),
        "error": error,
        "status_path": address(request, "paying:status", token),
        "pay_path": address(request, "paying:pay", token),
        "back_path": back,
        "languages": other_languages(here.partition("?")[0]),
    }
    return render(request, "public/pay.html", context, status=status)


def _looked(request: HttpRequest, link: PaymentLink, token: str) -> tuple[PayPage, Panel | None]:
    order, now = link.order, clock.now()
    rows = PaymentAttempt.objects.filter(order=order).order_by("-pk")
    attempts = list(rows)
    if order.status == OrderStatus.PENDING.value:
        if ask_gateways(attempts):
            attempts = list(rows.all())
        # After its payments: a payment that settles between the two reads would look like one that differs.
        order.refresh_from_db(fields=["status", "paid_at", "expires_at"])
    found = pay_page(order, attempts)
    if order.status != OrderStatus.PENDING.value or found.is_checked_by_staff:
        return found, None
    browser = browser_behind(request)
    offer = offer_of(order.merchant, browser)
    login = ""
    if browser is Browser.WECHAT and offer.find(WECHAT) == Choice(WECHAT, PayWay.IN_APP):
        back = f"{settings.BASE_URL}{address(request, 'paying:openid', token)}"
        login = login_address(link=link, back=back, wall=clock.wall())
    paying = Paying(
        order,
        attempts,
        browser=browser,
        offer=offer,
        amount=format_money(order.total, order.currency, get_language() or "en"),
        zone=ZoneInfo(order.enterprise.time_zone),
        now=now,
        token=token,
        login=login,
    )
    return found, paying.panel()


def _basics(link: PaymentLink, token: str) -> dict[str, object]:
    order = link.order
    return {
        "order": order,
        "brand": named_brand(order.merchant_name),
        "amount": format_money(order.total, order.currency, get_language() or "en"),
    }


def _version(found: PayPage, panel: Panel | None) -> str:
    return f"{found.version}.{panel.mark if panel else '-'}"


def _unknown_payer(request: HttpRequest, here: str, unknown: PayerUnknown) -> HttpResponse:
    if unknown.may_try_again:
        title, text = _("WeChat does not answer"), _("Nothing was charged. Try again in a moment.")
    else:
        title = _("WeChat did not recognise this visit")
        text = _("It took too long, or was opened a second time. Nothing was charged; start the payment again.")
    context = {"title": title, "text": text, "again_path": here + AND_GO}
    return render(request, "public/gone.html", context, status=502 if unknown.may_try_again else 400)
