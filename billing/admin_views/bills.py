"""Daily bills: upload, what became of each line, settling what was paid there and not here."""

from __future__ import annotations

from datetime import date, timedelta

from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import Action, enterprises_where, reading_zone
from amp.foundation.pages import Crumb, actor, done, ensure, found, needs, page, private, show, signed_in
from amp.foundation.scoping import system_scope
from amp.foundation.services.refusals import Refused
from billing.bill_files import BEIJING, MAX_BYTES
from billing.bills import FINE, FetchStatus, Result
from billing.forms.books import BillForm
from billing.models import Bill, BillFetch, BillRow, MerchantAccount
from billing.models.bills import RESULTS
from billing.services.bill_fetches import problem_of, retry_fetch
from billing.services.bills import import_bill, settle_bill
from billing.services.sandbox_bills import sandbox_bill

SHOWN = 50
FETCH_TONES = {"WAITING": "blue", "FETCHED": "green", "NOTHING": "grey", "FAILED": "red"}


@needs(Action.KEEP_BOOKS)
def upload(request: HttpRequest) -> HttpResponse:
    """GET asks for the file; POST reads, keeps and compares it."""
    yesterday = clock.now().astimezone(BEIJING).date() - timedelta(days=1)
    form = BillForm(
        request.POST or None, request.FILES or None, user=signed_in(request), initial={"day": str(yesterday)}
    )
    if request.method == "POST" and form.is_valid():
        try:
            return _taken(request, form)
        except Refused as refused:
            show(form, refused)
    return page(
        request,
        "billing/bill_upload.html",
        _("Upload a gateway's bill"),
        crumbs=[_list()],
        form=form,
        sandbox=[account for account in form.accounts if account.provider == "sandbox"],
        yesterday=yesterday,
        status=422 if request.method == "POST" else 200,
    )


@needs(Action.KEEP_BOOKS)
def bill_page(request: HttpRequest, pk: int) -> HttpResponse:
    """What agrees, and line by line what doesn't."""
    bill = _bill(request, pk)
    counts = dict(BillRow.objects.filter(bill=bill).values_list("result").annotate(Count("pk")).order_by())
    fine = [result.value for result in FINE]
    rows = BillRow.objects.filter(bill=bill).exclude(result__in=fine).select_related("attempt__order")
    return page(
        request,
        "billing/bill.html",
        _("Bill of %(day)s") % {"day": bill.day},
        crumbs=[_list()],
        bill=bill,
        counts=[(result, word, counts[result]) for result, word in RESULTS if counts.get(result)],
        fine=fine,
        waiting=counts.get(Result.TO_SETTLE.value, 0),
        rows=rows.order_by("-result", "pk")[:SHOWN],
        shown=SHOWN,
        zone=bill.enterprise.time_zone,
    )


@needs(Action.KEEP_BOOKS)
def fetches(request: HttpRequest) -> HttpResponse:
    """The bills that are fetched without anybody: how each went, and what failed."""
    user = signed_in(request)
    places = enterprises_where(user, Action.KEEP_BOOKS)
    rows = BillFetch.objects.filter(enterprise_id__in=places).select_related("account__merchant")
    newest = list(rows.order_by("-day", "-id")[:SHOWN])
    return page(
        request,
        "billing/bill_fetches.html",
        _("Bills fetched automatically"),
        crumbs=[_list()],
        rows=[(each, FETCH_TONES[each.status], problem_of(each)) for each in newest],
        failed=rows.filter(status=FetchStatus.FAILED.value).count(),
        shown=SHOWN,
        zone=reading_zone(user),
    )


@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the gateway again now."""
    fetch = found(BillFetch.objects.select_related("enterprise", "account"), pk)
    ensure(request, Action.KEEP_BOOKS, fetch.enterprise)
    retry_fetch(fetch=fetch, actor=actor(request), now=clock.now())
    done(request, _("The gateway is asked again now."))
    return redirect("admin:bill_fetches")


@needs(Action.KEEP_BOOKS)
def row_page(request: HttpRequest, pk: int) -> HttpResponse:
    """A line is looked at with our payment where it has one, else with its bill."""
    row = found(BillRow.objects.all(), pk)
    if row.attempt_id:
        return redirect("admin:billing_paymentattempt_change", row.attempt_id)
    return redirect("admin:billing_bill_change", row.bill_id)


@require_POST
def settle_lines(request: HttpRequest, pk: int) -> HttpResponse:
    """Book what the gateway was paid and we don't know of yet."""
    bill = _bill(request, pk)
    with system_scope():
        left = settle_bill(bill=bill, actor=actor(request), now=clock.now())
    done(request, _("Booked. %(n)s lines are left.") % {"n": f"{left:,}"} if left else _("Everything is booked."))
    return redirect("admin:billing_bill_change", pk)


@needs(Action.KEEP_BOOKS)
def sandbox_file(request: HttpRequest, pk: int) -> HttpResponse:
    """The TEST gateway's bill of a day (`day=2027-01-31`), as a real gateway offers it."""
    account = found(MerchantAccount.objects.select_related("enterprise", "merchant"), pk)
    ensure(request, Action.KEEP_BOOKS, account.enterprise)
    if account.provider != "sandbox":
        raise Http404
    try:
        day = date.fromisoformat(request.GET.get("day", ""))
        content = sandbox_bill(account=account, day=day)
    except (ValueError, OverflowError):
        raise Http404 from None
    answer = HttpResponse(content, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="sandbox-bill-{day}.csv"'
    return private(answer)


def _taken(request: HttpRequest, form: BillForm) -> HttpResponse:
    given = form.cleaned_data
    ensure(request, Action.KEEP_BOOKS, given["account"].enterprise)
    bill, is_new = import_bill(
        account=given["account"],
        day=given["day"],
        file_name=given["file"].name,
        content=given["file"].read(MAX_BYTES + 1),
        actor=actor(request),
        now=clock.now(),
    )
    done(request, _("The bill is read and compared.") if is_new else _("This very file was uploaded before."))
    return redirect("admin:billing_bill_change", bill.pk)


def _bill(request: HttpRequest, pk: int) -> Bill:
    bill = found(Bill.objects.select_related("enterprise", "account__merchant"), pk)
    ensure(request, Action.KEEP_BOOKS, bill.enterprise)
    return bill


def _list() -> Crumb:
    return (_("Gateway bills"), reverse("admin:billing_bill_changelist"))
