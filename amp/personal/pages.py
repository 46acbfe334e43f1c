"""System > Personal Data: look a person up, give out what is held, and forget them (X6).

Whoever uses it sees every enterprise already: a person's traces don't stop at one, so nobody else may ask for them.
What is typed travels by POST alone; no address and no log holds it.
"""

from __future__ import annotations

import tempfile
from typing import Any, cast

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminTextInputWidget

from amp.foundation import clock
from amp.foundation.access import Action, visible_enterprises
from amp.foundation.models import Enterprise
from amp.foundation.pages import actor, done, needs, page, private, show, signed_in
from amp.foundation.scoping import system_scope
from amp.foundation.services.refusals import Refused
from amp.personal.erasing import check_erasable, erase_person
from amp.personal.exporting import export_person
from amp.personal.persons import Person, find_person
from amp.personal.rows import counted, stays


class PersonForm(forms.Form):
    """Whom a request is about."""

    asked = forms.CharField(
        label=gettext_lazy("E-mail address, order number, or payer's ID at the gateway"),
        max_length=254,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    also = forms.CharField(
        label=gettext_lazy("Further texts about the same person"),
        max_length=400,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("Such as a phone number that somebody wrote into a reason; separated by commas."),
    )

    def person(self) -> Person:
        """Raises PersonRefused where nobody is meant."""
        also = self.cleaned_data["also"].replace("，", ",").split(",")
        return find_person(self.cleaned_data["asked"], also)


@needs(Action.OPERATE_PLATFORM)
def personal_data(request: HttpRequest) -> HttpResponse:
    """Show what is held; by the button that was pressed, download it or erase it."""
    sees_everything = _sees_everything(request)
    if request.method == "POST" and not sees_everything:
        raise PermissionDenied
    form = PersonForm(request.POST or None)
    shown: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        try:
            person = form.person()
            match request.POST.get("do"):
                case "export":
                    return _exported(request, person)
                case "erase" if _is_confirmed(request, form):
                    return _erased(request, person)
            shown = _preview(request, form, person)
        except Refused as refused:
            show(form, refused)
    shown |= {"amp_section": _("System"), "form": form, "sees_everything": sees_everything}
    return private(page(request, "admin/amp_personal_data.html", _("Personal Data"), **shown))


def _sees_everything(request: HttpRequest) -> bool:
    own, _above = visible_enterprises(signed_in(request))
    with system_scope():
        return Enterprise.objects.count() <= len(own)


def _is_confirmed(request: HttpRequest, form: PersonForm) -> bool:
    typed: str = request.POST.get("typed", "")
    return typed.strip().lower() == form.cleaned_data["asked"].strip().lower()


def _preview(request: HttpRequest, form: PersonForm, person: Person) -> dict[str, Any]:
    refusal = ""
    try:
        check_erasable(person, actor(request))
    except Refused as refused:
        refusal = str(refused)
    rows = [(model._meta.verbose_name_plural, number) for model, number in counted(person).items()]
    return {
        "person": person,
        "asked": form.cleaned_data["asked"].strip(),
        "also": form.cleaned_data["also"],
        "rows": rows,
        "stays": stays(person),
        "refusal": refusal,
        "mistyped": request.POST.get("do") == "erase",
    }


def _exported(request: HttpRequest, person: Person) -> HttpResponse:
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the answer closes it)
    export_person(person=person, to=file, actor=actor(request), now=clock.now())
    file.seek(0)
    return cast(HttpResponse, private(FileResponse(file, as_attachment=True, filename="personal-data.zip")))


def _erased(request: HttpRequest, person: Person) -> HttpResponse:
    erased = erase_person(person=person, actor=actor(request), now=clock.now(), wall=clock.wall())
    number = sum(erased.rows.values())
    told = ngettext("Erased: %(n)d row now names %(name)s.", "Erased: %(n)d rows now name %(name)s.", number)
    done(request, told % {"n": number, "name": erased.pseudonym})
    return redirect("admin:personal_data")
