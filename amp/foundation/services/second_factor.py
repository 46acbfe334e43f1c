"""The second factor of a sign-in: an authenticator (TOTP) and recovery codes (X1).

django-otp keeps the devices, brakes guessing and takes each code once; it runs on real time, as security does. A
recovery code is stored as a keyed hash, the authenticator's secret sealed.
"""

from __future__ import annotations

import math
import secrets
from base64 import b32encode
from datetime import datetime

import django_otp
from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken

from amp.foundation.models import Authenticator, Membership, User
from amp.foundation.services.events import EventDraft, record_events
from amp.foundation.services.refusals import Refused

RECOVERY_CODES = 10
RECOVERY_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without letters that people take for digits."""
RECOVERY_LENGTH = 10
DIGITS = 6


class CodeRefused(Exception):
    """The code is wrong; `seconds` > 0: codes are not looked at for so long, after several wrong ones."""

    def __init__(self, seconds: int = 0) -> None:
        super().__init__(f"code refused, wait {seconds} s")
        self.seconds = seconds


def begin_enrolment(*, user: User) -> Authenticator:
    """The user's unconfirmed authenticator: the same one until it is confirmed, so a reload shows the same QR."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        device = Authenticator.objects.filter(user=user, confirmed=False).first()
        return device or Authenticator.begin(user)


def secret_of(device: Authenticator) -> str:
    """The secret as people type it: base32 in groups of four."""
    text = b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def confirm_enrolment(*, user: User, code: str, now: datetime, wall: datetime) -> list[str]:
    """The first right code puts the authenticator in force; the recovery codes, to be shown once.

    Raises CodeRefused; Refused where the account has an authenticator already.
    """
    with transaction.atomic():
        locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if locked.uses_totp:
            raise Refused.because(_("Two-step sign-in is set up already. Ask an administrator to reset it."))
        device = Authenticator.objects.select_for_update().filter(user=user, confirmed=False).first()
        seconds = _waiting(device, wall)
        taken = device is not None and not seconds and device.verify_token(code)
        if device and taken:
            device.confirmed = True
            device.save(update_fields=["confirmed"])
            locked.uses_totp = user.uses_totp = True
            locked.save(update_fields=["uses_totp"])
            codes = _new_codes(user)
            record_account("user.totp_enrolled", user, user.email, now)
    if not taken:  # outside of the transaction: the brake's count stays
        raise CodeRefused(seconds)
    return codes


def verify_code(*, user: User, code: str, now: datetime, wall: datetime) -> Device:
    """The device that accepts the code: six digits of the authenticator, else a recovery code. Raises CodeRefused."""
    is_totp = len(code) == DIGITS and code.isdecimal()
    device = authenticator_of(user) if is_totp else _recovery_device(user)
    if device is None:
        raise CodeRefused
    if seconds := _waiting(device, wall):
        raise CodeRefused(seconds)
    with transaction.atomic():
        accepted = django_otp.verify_token(user, device.persistent_id, code if is_totp else _hashed(code))
        if accepted is not None and not is_totp:
            record_account("user.recovery_code_used", user, user.email, now)
    if accepted is None:  # outside of the transaction: the brake's count stays
        raise CodeRefused
    return accepted


def authenticator_of(user: User) -> Authenticator | None:
    """The confirmed authenticator."""
    found: Authenticator | None = Authenticator.objects.filter(user=user, confirmed=True).first()
    return found


def renew_recovery_codes(*, user: User, now: datetime) -> list[str]:
    """New codes, shown once; the old ones are void."""
    with transaction.atomic():
        codes = _new_codes(user)
        record_account("user.recovery_codes_renewed", user, user.email, now)
    return codes


def recovery_codes_left(user: User) -> int:
    """How many recovery codes were not used yet."""
    left: int = StaticToken.objects.filter(device__user=user).count()
    return left


def forget_second_factor(user: User) -> None:
    """Drop the authenticator and the codes; sessions that they verified are half signed in from the next request."""
    Authenticator.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    User.objects.filter(pk=user.pk).update(uses_totp=False)
    user.uses_totp = False


def _new_codes(user: User) -> list[str]:
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name="recovery codes", confirmed=True)
    codes = [
        "".join(secrets.choice(RECOVERY_LETTERS) for _n in range(RECOVERY_LENGTH)) for _code in range(RECOVERY_CODES)
    ]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=_hashed(code)) for code in codes)
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def _hashed(code: str) -> str:
    return salted_hmac("amp.recovery-code", code, algorithm="sha256").hexdigest()[:16]


def _recovery_device(user: User) -> StaticDevice | None:
    return StaticDevice.objects.filter(user=user, confirmed=True).first()


def _waiting(device: Device | None, wall: datetime) -> int:
    """Seconds from `wall` until the device looks at a code again."""
    if device is None:
        return 0
    device.refresh_from_db()
    allowed, why = device.verify_is_allowed()
    if allowed or not why or "locked_until" not in why:
        return 0
    until: datetime = why["locked_until"]
    return max(1, math.ceil((until - wall).total_seconds()))


def record_account(kind: str, person: User, actor: str, now: datetime) -> None:
    """One event for each enterprise where the person has a role, so that each can see it; one of the platform's own
    where there is none."""
    places: list[int | None] = [*Membership.objects.filter(user=person).values_list("enterprise_id", flat=True)]
    drafts = [
        EventDraft(kind, f"user:{person.pk}", place, now, actor, after={"user": person.email})
        for place in places or [None]
    ]
    record_events(drafts, now=now)
