"""Pages of members and invitations: Enterprise > Members (X1, X2). The scope has decided which rows exist (E1)."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amp.foundation import clock
from amp.foundation.access import ACTION_NAMES, ALLOWED, NEEDS_TOTP, Action, may
from amp.foundation.models import Enterprise, Invitation, Membership, Role
from amp.foundation.models.users import ROLE_CHOICES
from amp.foundation.pages import Crumb, actor, done, ensure, found, needs, page, refuse, show, signed_in
from amp.foundation.services import invitations, members
from amp.foundation.services.refusals import Refused
from amp.foundation.staff_forms import InviteForm, RoleForm


@needs(Action.MANAGE_MEMBERS)
def invite(request: HttpRequest) -> HttpResponse:
    """Invite somebody by e-mail."""
    user = signed_in(request)
    first = {"role": Role.READ_ONLY.value, "language": user.language}
    form = InviteForm(request.POST or None, user=user, initial=first)
    if request.method == "POST" and form.is_valid():
        ensure(request, Action.MANAGE_MEMBERS, form.cleaned_data["enterprise"])
        given = {**form.cleaned_data, "role": Role(form.cleaned_data["role"])}
        try:
            made = invitations.invite(
                invitee=invitations.Invitee(**given), user=user, now=clock.now(), wall=clock.wall()
            )
        except Refused as refused:
            show(form, refused)
        else:
            _tell_mail(request, made)
            return redirect("admin:foundation_invitation_changelist")
    intro = _("The mail holds a link that works once, for 72 hours.")
    title = _("Invite a member")
    return page(
        request, "admin/amp_form.html", title, crumbs=[_list()], form=form, submit=_("Send the invitation"), intro=intro
    )


@needs(Action.VIEW)
def member_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One member: role, state of the account, what may be done about them."""
    member = found(members_in_scope().select_related("user", "enterprise"), pk)
    user = signed_in(request)
    granted = members.roles_granted_by(user, member.enterprise)
    may_change = Role(member.role) in granted
    form = RoleForm(request.POST or None, roles=granted, initial={"role": member.role})
    if request.method == "POST":
        ensure(request, Action.MANAGE_MEMBERS, member.enterprise)
        if form.is_valid():
            try:
                members.change_role(membership=member, role=Role(form.cleaned_data["role"]), user=user, now=clock.now())
            except Refused as refused:
                show(form, refused)
            else:
                done(request, _("Saved. It counts from the next click of this person."))
                return redirect(_address(member))
    return page(
        request,
        "admin/amp_member.html",
        str(member.user),
        crumbs=[_list()],
        member=member,
        form=form,
        may_change=may_change,
        may_govern=members.may_govern(user, member.user) and member.user_id != user.pk,
        needs_totp=Role(member.role) in NEEDS_TOTP,
        allowed=[ACTION_NAMES[action] for action in Action if action in ALLOWED[Role(member.role)]],
    )


@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """End the role in this enterprise; the account stays."""
    member = _governed(request, pk)
    try:
        if Role(member.role) not in members.roles_granted_by(signed_in(request), member.enterprise):
            raise members.MemberRefused.because(_("Choose a role that allows no more than your own."))
        members.remove_member(membership=member, actor=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
        return redirect(_address(member))
    done(request, _("%(person)s is no member of %(enterprise)s any more.") % _names(member))
    return redirect("admin:foundation_membership_changelist")


@require_POST
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch the account off or on again."""
    member = _governed(request, pk)
    change, sentence = (
        (members.deactivate_user, _("The account of %(person)s is off. Its sessions and keys have ended."))
        if member.user.is_active
        else (members.activate_user, _("%(person)s can sign in again."))
    )
    try:
        change(person=member.user, user=signed_in(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, sentence % _names(member))
    return redirect(_address(member))


@require_POST
def reset_totp(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget the authenticator of somebody who has lost it."""
    member = _governed(request, pk)
    try:
        members.reset_second_factor(person=member.user, user=signed_in(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, _("%(person)s sets up two-step sign-in anew at the next sign-in.") % _names(member))
    return redirect(_address(member))


@needs(Action.VIEW)
def invitation_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One invitation: what became of its mail, and the buttons to send it again or withdraw it."""
    invitation = found(Invitation.objects.select_related("enterprise", "invited_by"), pk)
    return page(
        request,
        "admin/amp_invitation.html",
        invitation.email,
        crumbs=[_list(), (_("Invitations"), reverse("admin:foundation_invitation_changelist"))],
        invitation=invitation,
        is_open=invitation.is_open(clock.wall()),
        may_change=may(signed_in(request), Action.MANAGE_MEMBERS, invitation.enterprise),
    )


@require_POST
def send_again(request: HttpRequest, pk: int) -> HttpResponse:
    """A new link; the old one is void."""
    invitation = _own_invitation(request, pk)
    try:
        made = invitations.invite_again(
            invitation=invitation, user=signed_in(request), now=clock.now(), wall=clock.wall()
        )
    except Refused as refused:
        refuse(request, refused)
        return redirect("admin:foundation_invitation_change", invitation.pk)
    _tell_mail(request, made)
    return redirect("admin:foundation_invitation_change", made.pk)


@require_POST
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Void the link."""
    invitation = _own_invitation(request, pk)
    invitations.withdraw_invitation(invitation=invitation, user=signed_in(request), now=clock.now(), wall=clock.wall())
    done(request, _("The invitation of %(email)s is withdrawn.") % {"email": invitation.email})
    return redirect("admin:foundation_invitation_changelist")


@needs(Action.VIEW)
def roles_page(request: HttpRequest) -> HttpResponse:
    """The table of roles and actions, as the code has it (X2)."""
    rows = [
        (ACTION_NAMES[action], [action in ALLOWED[Role(value)] for value, _name in ROLE_CHOICES]) for action in Action
    ]
    roles = [name for _value, name in ROLE_CHOICES]
    totp = [Role(value) in NEEDS_TOTP for value, _name in ROLE_CHOICES]
    return page(request, "admin/amp_roles.html", _("Roles"), crumbs=[_list()], totp=totp, roles=roles, rows=rows)


def members_in_scope() -> QuerySet[Membership]:
    """Memberships in the enterprises of the active scope: the table itself is read before there is one."""
    return Membership.objects.filter(enterprise__in=Enterprise.objects.all())


def _governed(request: HttpRequest, pk: int) -> Membership:
    member = found(members_in_scope().select_related("user", "enterprise"), pk)
    ensure(request, Action.MANAGE_MEMBERS, member.enterprise)
    return member


def _own_invitation(request: HttpRequest, pk: int) -> Invitation:
    invitation: Invitation = found(Invitation.objects.select_related("enterprise"), pk)
    ensure(request, Action.MANAGE_MEMBERS, invitation.enterprise)
    return invitation


def _tell_mail(request: HttpRequest, invitation: Invitation) -> None:
    if invitation.send_failure:
        sentence = _("The invitation is made, but its mail could not be sent (%(why)s). Send it again from its page.")
        refuse(request, Refused.because(sentence % {"why": invitation.send_failure}))
    else:
        done(request, _("A mail with a link is on its way to %(email)s.") % {"email": invitation.email})


def _names(member: Membership) -> dict[str, object]:
    return {"person": member.user, "enterprise": member.enterprise}


def _list() -> Crumb:
    return (_("Members"), reverse("admin:foundation_membership_changelist"))


def _address(member: Membership) -> str:
    return reverse("admin:foundation_membership_change", args=[member.pk])
