"""The words for `devices.story`: sentences in the reader's language with the moments that prove them."""

from __future__ import annotations

from datetime import datetime

from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amp.foundation.templatetags.amp_display import duration, moment, second
from devices.models.service import STATE_CHOICES
from devices.story import Part, Say, Sentence

_SENTENCES = {
    Say.PAID_MODE_OFF: gettext_lazy(
        "Nothing is counted and nothing locks: paid service is switched off for this product."
    ),
    Say.NEVER_ONLINE: gettext_lazy("Pending: the device has not been online yet."),
    Say.COUNTS_TO_TRIAL: gettext_lazy("Pending: %(have)s of %(need)s online until the trial starts."),
    Say.IN_TRIAL: gettext_lazy("In trial since %(at)s: %(have)s of %(need)s online."),
    Say.TRIAL_KEPT: gettext_lazy(
        "The trial is over, but the included plan can't start: the trial is kept for up to 24 h."
    ),
    Say.RUNS_UNTIL: gettext_lazy("Runs until %(at)s."),
    Say.ENDS_SOON: gettext_lazy("Runs only until %(at)s."),
    Say.FREE: gettext_lazy("Runs on the free service level since %(at)s."),
    Say.EXPIRED_PERIOD: gettext_lazy("Expired because the period ended on %(at)s."),
    Say.EXPIRED_TRIAL: gettext_lazy("Expired because the trial ended on %(at)s."),
    Say.LOCKED_PERIOD: gettext_lazy("Locked because the period ended on %(at)s."),
    Say.LOCKED_TRIAL: gettext_lazy("Locked because the trial ended on %(at)s."),
    Say.MOVED_AWAY: gettext_lazy("Expired because its remaining service moved to another device on %(at)s."),
    Say.TERMINATED: gettext_lazy("Terminated on %(at)s. Its key may be registered anew."),
    Say.COMMAND_CONFIRMED: gettext_lazy("%(command)s sent %(at)s, confirmed by the device %(then)s."),
    Say.COMMAND_ACKED: gettext_lazy(
        "%(command)s sent %(at)s, acknowledged %(then)s; the device has not reported it yet."
    ),
    Say.COMMAND_SENT: gettext_lazy("%(command)s sent %(at)s, no answer yet."),
    Say.COMMAND_WAITS: gettext_lazy("%(command)s waits for the device to come online, until %(at)s."),
    Say.COMMAND_HELD: gettext_lazy("%(command)s is held: nothing is sent until it is released."),
    Say.COMMAND_FAILED: gettext_lazy("%(command)s failed: the device refused it."),
    Say.COMMAND_STALE: gettext_lazy("%(command)s was given up on %(at)s: the device had not come online in time."),
    Say.LOCK_DIFFERS: gettext_lazy("The device still reports: %(lock)s."),
    Say.RENEWAL_STARTS_AND_UNLOCKS: gettext_lazy("A renewal now starts at payment and unlocks it."),
    Say.RENEWAL_ADDS: gettext_lazy("A renewal now adds to the end."),
    Say.RENEWAL_OPENS_AFTER_TRIAL: gettext_lazy("Renewal opens when the trial ends."),
    Say.RENEWAL_ENDS_TRIAL: gettext_lazy(
        "A renewal now starts at payment and ends the trial; an included plan is given up."
    ),
}
_COMMANDS = {"LOCK": gettext_lazy("Lock"), "UNLOCK": gettext_lazy("Unlock")}
_LOCKS = {"LOCKED": gettext_lazy("locked"), "UNLOCKED": gettext_lazy("unlocked")}
_PARTS = {
    Part.PENDING: gettext_lazy("Pending"),
    Part.TRIAL: gettext_lazy("Trial"),
    Part.INCLUDED: gettext_lazy("Included"),
    Part.PAID: gettext_lazy("Renewed"),
    Part.EXPIRED: gettext_lazy("Expired"),
    Part.ENDED: gettext_lazy("Terminated"),
}
_EVENTS = {
    "device.registered": gettext_lazy("Registered"),
    "device.credential_rotated": gettext_lazy("New credential issued"),
    "device.credential_revoked": gettext_lazy("Credential revoked"),
    "device.disconnect_ordered": gettext_lazy("Broker asked to end the connection"),
    "device.link_issued": gettext_lazy("Renewal link issued"),
    "device.link_revoked": gettext_lazy("Renewal link revoked"),
    "device_service.trial_started": gettext_lazy("Trial started"),
    "device_service.activated": gettext_lazy("Service active"),
    "device_service.renewed": gettext_lazy("Renewed"),
    "device_service.expired": gettext_lazy("Service expired"),
    "device_service.held": gettext_lazy("Trial kept: the included plan can't start"),
    "device_service.locked": gettext_lazy("Device confirmed the lock"),
    "device_service.unlocked": gettext_lazy("Device confirmed the unlock"),
    "device_service.lock_unclear": gettext_lazy("Device reported neither locked nor unlocked"),
    "device_service.lock_failed": gettext_lazy("Device refused the command"),
    "device_service.terminated": gettext_lazy("Terminated"),
    "device_service.shortened": gettext_lazy("Shortened by a refund"),
    "device_service.transferred_out": gettext_lazy("Remaining service moved to another device"),
    "device_service.transferred_in": gettext_lazy("Took over the remaining service of another device"),
    "device_service.restarted": gettext_lazy("Restarted: a new life, counter 0"),
    "device_service.stuck": gettext_lazy("Could not be moved on; waits for a person"),
    "device_service.retried": gettext_lazy("Tried again by staff"),
    "sim_service.set": gettext_lazy("SIM service valid until"),
    "sim_service.cleared": gettext_lazy("SIM service cleared"),
    "rtk_service.set": gettext_lazy("RTK service valid until"),
    "rtk_service.cleared": gettext_lazy("RTK service cleared"),
    "command.created": gettext_lazy("Command created"),
    "command.resent": gettext_lazy("Command sent again by staff"),
    "command.superseded": gettext_lazy("Command replaced by a newer one"),
    "command.cancelled": gettext_lazy("Command cancelled"),
    "command.stale": gettext_lazy("Command given up: cache time over"),
    "command.confirmed": gettext_lazy("Command confirmed by the device"),
    "command.failed": gettext_lazy("Command refused by the device"),
    "device_service.expiring": gettext_lazy("Its end comes near"),
}
_COMMAND_EVENTS = {
    ("command.created", "LOCK"): gettext_lazy("Lock queued"),
    ("command.created", "UNLOCK"): gettext_lazy("Unlock queued"),
    ("command.created", "NOTICE"): gettext_lazy("Notice queued"),
    ("command.superseded", "NOTICE"): gettext_lazy("Notice replaced by a newer one"),
    ("command.cancelled", "NOTICE"): gettext_lazy("Notice taken back"),
    ("command.stale", "NOTICE"): gettext_lazy("Notice given up: its time is over"),
    ("command.confirmed", "NOTICE"): gettext_lazy("Notice received by the device"),
    ("command.failed", "NOTICE"): gettext_lazy("Notice refused by the device"),
    ("command.superseded", "LOCK"): gettext_lazy("Lock replaced by a newer command"),
    ("command.superseded", "UNLOCK"): gettext_lazy("Unlock replaced by a newer command"),
    ("command.cancelled", "LOCK"): gettext_lazy("Lock cancelled"),
    ("command.cancelled", "UNLOCK"): gettext_lazy("Unlock cancelled"),
    ("command.stale", "LOCK"): gettext_lazy("Lock given up: its cache time is over"),
    ("command.stale", "UNLOCK"): gettext_lazy("Unlock given up: its cache time is over"),
}
_REASONS = {
    "trial_start_reached": gettext_lazy("online time reached the start of the trial"),
    "trial_ended": gettext_lazy("the trial is used up"),
    "included_period": gettext_lazy("the included plan starts"),
    "held_settling": gettext_lazy("held: online times settle after an outage"),
    "held_too_many": gettext_lazy("held: too many locks in an hour, somebody has to confirm"),
    "hold_cancelled": gettext_lazy("the held locks were cancelled"),
    "period_ended": gettext_lazy("the period ended, no later one"),
    "paid_mode_off": gettext_lazy("paid service was switched off"),
    "included_plan_merchant_gone": gettext_lazy("the included plan's merchant is gone"),
    "included_plan_wrong_type": gettext_lazy("the included plan is not of manufacturer type"),
    "included_plan_not_free": gettext_lazy("the included plan has a price"),
    "included_plan_withdrawn": gettext_lazy("the included plan is not on sale"),
}
_EVENT_TONES = {
    "device_service.trial_started": "blue",
    "device_service.activated": "green",
    "device_service.renewed": "green",
    "device_service.unlocked": "green",
    "device_service.transferred_in": "green",
    "device_service.transferred_out": "red",
    "device_service.restarted": "blue",
    "device_service.expired": "red",
    "device_service.locked": "red",
    "device_service.lock_failed": "red",
    "device_service.stuck": "red",
    "device_service.held": "amber",
    "command.created": "blue",
    "command.stale": "amber",
}


def say(sentence: Sentence) -> str:
    """The sentence in the active language and time zone."""
    same_day = sentence.at and sentence.then and localtime(sentence.at).date() == localtime(sentence.then).date()
    return str(_SENTENCES[sentence.say]) % {
        "at": _second(sentence.at) if sentence.then else moment(sentence.at),
        "then": _clock(sentence.then) if same_day else second(sentence.then),
        "have": duration(sentence.have),
        "need": duration(sentence.need),
        "command": _COMMANDS.get(sentence.about, ""),
        "lock": _LOCKS.get(sentence.about, ""),
    }


def part_word(part: Part) -> str:
    """Name of a segment of the life bar."""
    return str(_PARTS[part])


def state_word(state: str) -> str:
    """Name of a commercial state."""
    return str(dict(STATE_CHOICES).get(state, state))


def event_word(kind: str) -> str:
    """What happened, for the timeline; an unknown kind speaks for itself."""
    return str(_EVENTS.get(kind, kind))


def command_event_word(kind: str, command: str) -> str:
    """What happened to which command; empty where the words for it are missing."""
    sentence = _COMMAND_EVENTS.get((kind, command))
    return str(sentence) if sentence else ""


def event_tone(kind: str) -> str:
    """Tone of its dot."""
    return _EVENT_TONES.get(kind, "grey")


def reason_word(why: str) -> str:
    """Why it happened."""
    if why.startswith("paid line:"):
        return _("paid")
    return str(_REASONS.get(why, why))


def _second(at: datetime | None) -> str:
    return second(at)


def _clock(at: datetime | None) -> str:
    return localtime(at).strftime("%H:%M:%S") if at else "—"
