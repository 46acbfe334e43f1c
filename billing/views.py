"""Entry points without a user: gateway notices, and the sandbox gateway's pay page and interface."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from amp.foundation import clock
from amp.foundation.money import format_money
from amp.foundation.scoping import system_scope
from billing.services import notices, sandbox
from billing.services.attempts import return_path_of
from billing.services.sandbox import PayPage, Trouble
from billing.services.sandbox_refunds import PayRefused, RefundTrouble

MAX_BODY = 64 * 1024


@csrf_exempt
@require_POST
def notify(request: HttpRequest, provider: str, account_id: uuid.UUID) -> HttpResponse:
    """A gateway reports. Its signature is all that counts: no session, no cookie, no token."""
    body = request.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        return HttpResponse("refused", status=413, content_type="text/plain")
    with system_scope():
        told = notices.take_notice(
            provider=provider,
            account_id=account_id,
            headers=request.headers,
            body=body,
            now=clock.now(),
            wall=clock.wall(),
        )
    return HttpResponse(told.body, status=told.status, content_type=told.content_type)


@require_GET
def payment_return(request: HttpRequest, number: str) -> HttpResponse:
    """Back from the gateway: on to the page from which the payment was started."""
    with system_scope():
        onward = return_path_of(number=number)
    if not onward:
        raise Http404
    return _private(HttpResponseRedirect(onward))


@require_http_methods(["GET", "POST"])
def sandbox_pay(request: HttpRequest, signed: str) -> HttpResponse:
    """The payer's page: GET shows, POST pays or tries a problem."""
    _require_sandbox()
    try:
        with system_scope():
            if request.method == "POST":
                return _private(HttpResponseRedirect(_pay(request, signed)))
            page = sandbox.pay_page(signed=signed, now=clock.now())
    except PayRefused as refused:
        return _private(render(request, "billing/sandbox_refused.html", {"problem": str(refused)}, status=410))
    return _private(render(request, "billing/sandbox_pay.html", _context(page)))


@csrf_exempt
@require_POST
def sandbox_gateway(request: HttpRequest, verb: str) -> HttpResponse:
    """The sandbox gateway's interface for merchants' servers."""
    _require_sandbox()
    body = request.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        return HttpResponse(status=413)
    with system_scope():
        told = sandbox.answer(verb=verb, headers=request.headers, body=body, now=clock.now(), wall=clock.wall())
    return HttpResponse(told.body, status=told.status, headers=told.headers, content_type="application/json")


def _pay(request: HttpRequest, signed: str) -> str:
    if "refunds" in request.POST:
        return _choose_refunds(request, signed)
    try:
        trouble = Trouble(request.POST.get("trouble", ""))
    except ValueError:
        trouble = Trouble.NONE
    return sandbox.pay(signed=signed, trouble=trouble, now=clock.now(), wall=clock.wall()) or request.path


def _choose_refunds(request: HttpRequest, signed: str) -> str:
    try:
        trouble = RefundTrouble(request.POST["refunds"])
    except ValueError:
        trouble = RefundTrouble.NONE
    sandbox.choose_refund_trouble(signed=signed, trouble=trouble, now=clock.now())
    return request.path


def _context(page: PayPage) -> dict[str, object]:
    ticket = page.ticket
    return {
        "page": page,
        "amount": format_money(ticket.amount, ticket.currency, get_language() or "en"),
        "is_paid": page.state == "PAID",
        "is_closed": page.state == "CLOSED" or page.is_expired,
        "troubles": [
            (Trouble.TWICE, _("Send the notice twice"), _("Pays once; the second notice changes nothing.")),
            (Trouble.DROPPED, _("Lose the notice"), _("Pays, but nobody is told; the next query finds it.")),
            (Trouble.DELAYED, _("Delay the notice by 1 minute"), _("Pays; the notice comes late.")),
            (Trouble.WRONG_AMOUNT, _("Pay a wrong amount"), _("Nothing is renewed; staff see an exception.")),
            (Trouble.FORGED, _("Forge a notice"), _("Pays nothing; the forgery is refused and recorded.")),
            (Trouble.LATE, _("Pay although the code has ended"), _("The payment is honoured and flagged as late.")),
            (Trouble.SECOND, _("Pay twice"), _("Renews once; a refund of the second payment is proposed to staff.")),
            (
                Trouble.UNANSWERED,
                _("Pay, then stop answering"),
                _("Nobody is told, and the next two queries get no answer."),
            ),
        ],
        "refund_troubles": [
            (RefundTrouble.NONE, _("Refund at once"), _("As it usually goes.")),
            (
                RefundTrouble.LATER,
                _("Refund later"),
                _("The refund is accepted, and done when it is asked about again."),
            ),
            (RefundTrouble.FAIL, _("Let the refund fail"), _("The refund is accepted, and fails afterwards.")),
            (
                RefundTrouble.UNANSWERED,
                _("Refund, then lose the answer"),
                _("The money is back, but the answer is lost; it is never paid back twice."),
            ),
        ],
    }


def _require_sandbox() -> None:
    if not settings.SANDBOX_ENABLED:
        raise Http404


def _private(response: HttpResponse) -> HttpResponse:
    """Not kept by caches, not found by search engines, not told to other sites."""
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex"
    response["Referrer-Policy"] = "no-referrer"
    return response
