"""What the public device page says, composed from the apps; no markup here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amp.foundation.models import Merchant
from amp.public.offers import Choice, offer_for
from amp.public.recent import RecentPayment, recent_payment
from amp.public.wording import hours, long_day, long_moment, online_time, time_left
from catalog.services.rules import current_rule
from devices.lifecycle import SECOND, Lock, RenewalRefusal, State
from devices.models import Device, DeviceService, Presence
from devices.services.renewal import Quote

SOON = timedelta(days=30)
MASKED_DIGITS = 4
YOUNG = {State.PENDING, State.TRIAL}


@dataclass(frozen=True, slots=True)
class Brand:
    """Whose page it is: the product's maker, never the device's owner (F85)."""

    name: str
    initials: str
    product: str
    serial_tail: str


@dataclass(frozen=True, slots=True)
class Trial:
    """Online time of a device that is not past its trial, in seconds; `ends` and `starts` are its thresholds."""

    used: float
    starts: int
    ends: int


@dataclass(frozen=True, slots=True)
class DevicePage:
    """Everything that the page shows, in its order of importance."""

    brand: Brand
    tone: str
    badge: str
    progress: int | None
    facts: tuple[tuple[str, str], ...]
    notice: str
    notice_tone: str
    is_online: bool
    last_seen: str
    recent: RecentPayment | None
    choices: tuple[Choice, ...]
    merchants: tuple[str, ...]
    sellers: tuple[Merchant, ...]
    no_choice_because: str
    before_paying: str
    seen_end: str


def device_page(device: Device, *, language: str, now: datetime) -> DevicePage:
    """The page of one live device, as it stands at `now` even where the sweep has not come by yet."""
    zone = ZoneInfo(device.enterprise.time_zone)
    service = device.service
    presence = Presence.objects.filter(device_id=device.pk).first()
    offer = offer_for(device, zone=zone, language=language, now=now)
    trial = _trial(device, presence, now) if offer.quote.state in YOUNG else None
    tone, badge = _badge(offer.quote, now)
    notice, notice_tone = _notice(
        offer.quote, service, is_online=bool(presence and presence.is_online), is_sold=bool(offer.choices)
    )
    return DevicePage(
        brand=brand_of(device),
        tone=tone,
        badge=badge,
        progress=_progress(offer.quote, service, trial, now),
        facts=tuple(_facts(offer.quote, service, trial, zone)),
        notice=notice,
        notice_tone=notice_tone,
        is_online=bool(presence and presence.is_online),
        last_seen=long_moment(presence.last_seen_at, zone) if presence and presence.last_seen_at else "",
        recent=recent_payment(device, zone=zone, language=language, now=now),
        choices=offer.choices,
        merchants=offer.merchants,
        sellers=offer.sellers,
        no_choice_because="" if offer.choices else _closed_because(offer.quote, trial),
        before_paying=_before_paying(offer.quote) if offer.choices else "",
        seen_end=end_mark(service),
    )


def brand_of(device: Device) -> Brand:
    """The maker's name, and as much of the device as its sticker says."""
    serial_tail = (device.serial or device.key)[-MASKED_DIGITS:]
    return named_brand(device.product.enterprise.name, product=device.product.name, serial_tail=serial_tail)


def named_brand(name: str, *, product: str = "", serial_tail: str = "") -> Brand:
    """The brand with the initials of its name."""
    initials = "".join(word[0] for word in name.split()[:2]).upper()
    return Brand(name=name, initials=initials, product=product, serial_tail=serial_tail)


def end_mark(service: DeviceService) -> str:
    """The end that a visitor was shown, to tell a form that was left open from a fresh one."""
    return str(int(service.ends_at.timestamp())) if service.ends_at else "0"


def _trial(device: Device, presence: Presence | None, now: datetime) -> Trial:
    """How much of the trial is used (A2, A3); an open session counts up to `now`."""
    service, rule = device.service, current_rule(device.product_id)
    ends = rule.trial_end_seconds if service.trial_end_seconds is None else service.trial_end_seconds
    if presence is None or service.counts_from is None:
        return Trial(0, rule.trial_start_seconds, ends)
    running = now - presence.open_since if presence.open_since else timedelta()
    used = max(0, presence.counted - service.counts_from) / SECOND + max(0.0, running.total_seconds())
    return Trial(min(used, ends), rule.trial_start_seconds, ends)


def _badge(quote: Quote, now: datetime) -> tuple[str, str]:
    """Colour and words; the colour never stands alone."""
    if _is_unpaid(quote):
        return "grey", _("No paid service")
    left = quote.ends_at - now if quote.ends_at else timedelta()
    match quote.state:
        case State.ACTIVE if timedelta() < left <= SOON:
            return "amber", time_left(left)
        case State.ACTIVE:
            return "green", _("Running")
        case State.EXPIRED:
            return "red", _("Service stopped")
        case State.TRIAL:
            return "blue", _("Trial")
        case State.FREE:
            return "green", _("Free service")
    return "grey", _("Not started yet")


def _progress(quote: Quote, service: DeviceService, trial: Trial | None, now: datetime) -> int | None:
    """Used share of what is running, percent; None where nothing is."""
    match quote.state:
        case _ if _is_unpaid(quote):
            return None
        case State.EXPIRED:
            return 100
        case State.TRIAL if trial:
            return _percent(trial.used, trial.ends)
        case State.ACTIVE if quote.ends_at:
            whole = quote.ends_at - service.state_since
            return _percent((now - service.state_since).total_seconds(), whole.total_seconds())
    return None


def _percent(part: float, whole: float) -> int:
    return max(2, min(100, round(100 * part / whole))) if whole > 0 else 100


def _is_unpaid(quote: Quote) -> bool:
    """Paid mode is off, and nothing has begun or will begin (A1)."""
    return quote.refusal is RenewalRefusal.PAID_MODE_OFF and quote.state in YOUNG


def _facts(quote: Quote, service: DeviceService, trial: Trial | None, zone: ZoneInfo) -> list[tuple[str, str]]:
    match quote.state:
        case _ if _is_unpaid(quote):
            return []
        case State.ACTIVE if quote.ends_at:
            return [(_("Service ends"), long_day(quote.ends_at, zone))]
        case State.EXPIRED:
            is_stored = service.state == State.EXPIRED.value
            stopped = quote.ends_at or (service.state_since if is_stored else None)
            return [(_("Stopped on"), long_day(stopped, zone))] if stopped else []
        case State.TRIAL if trial:
            return [(_("Trial used"), _trial_used(trial))]
        case State.PENDING if trial and trial.starts:
            return [(_("Trial starts after"), _("%(length)s online") % {"length": online_time(trial.starts)})]
    return []


def _trial_used(trial: Trial) -> str:
    if trial.ends < 3_600:
        values = {"used": int(trial.used // 60), "length": online_time(trial.ends)}
    else:
        values = {"used": hours(trial.used), "length": online_time(trial.ends)}
    return _("%(used)s of %(length)s online") % values


def _notice(quote: Quote, service: DeviceService, *, is_online: bool, is_sold: bool) -> tuple[str, str]:
    """What the lock means for the reader; wanted and reported are never confused (A24)."""
    locked = service.reported_lock == Lock.LOCKED.value
    if quote.state is State.EXPIRED and not is_sold:
        return (_("The device is locked."), "red") if locked else ("", "")
    if quote.state is State.EXPIRED:
        return _stopped_notice(locked=locked, is_online=is_online), "red"
    if locked and service.desired_lock == Lock.UNLOCKED.value:
        if is_online:
            return _("Paid. The device is being unlocked."), "blue"
        return _("Paid. The device unlocks when it is next online."), "blue"
    return "", ""


def _stopped_notice(*, locked: bool, is_online: bool) -> str:
    if locked and is_online:
        return _("The device is locked. It unlocks by itself within seconds of your payment.")
    if locked:
        return _(
            "The device is locked and not connected. After your payment it unlocks by itself when it is next online: "
            "check its power and its network."
        )
    if is_online:
        return _("The device is being locked. Renew the service, and it goes on working.")
    return _("The device is not connected. It locks when it is next online, unless the service is renewed before.")


def _closed_because(quote: Quote, trial: Trial | None) -> str:
    match quote.refusal:
        case RenewalRefusal.TRIAL_NOT_OVER if trial:
            return _opens_after(quote, trial)
        case RenewalRefusal.TOO_FAR:
            return _("The service is already paid for as far ahead as possible.")
        case RenewalRefusal.PAID_MODE_OFF:
            return _(
                "Paid service is switched off for this product at the moment, so there is nothing to pay. "
                "If something does not work, ask the seller of the device."
            )
    return _("No plan is on sale for this device at the moment. Please ask the seller of the device.")


def _opens_after(quote: Quote, trial: Trial) -> str:
    """A12: when renewal opens, in time online, because that is what a trial is measured in."""
    length = {"length": online_time(trial.ends)}
    if quote.state is State.PENDING:
        return _("The device begins with a trial. You can renew when it is over: after %(length)s online.") % length
    return _("The trial is still running. You can renew when it is over: after %(length)s online.") % length


def _before_paying(quote: Quote) -> str:
    """A13, said before the payment: what an early renewal gives up."""
    if quote.state not in YOUNG:
        return ""
    months = quote.gives_up_months
    if months:
        return ngettext(
            "You have %(months)d month included after the trial; paying now replaces it.",
            "You have %(months)d months included after the trial; paying now replaces them.",
            months,
        ) % {"months": months}
    return _("Paying now ends the free trial: the paid service starts at once.")
