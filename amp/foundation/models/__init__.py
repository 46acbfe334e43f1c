"""Tables of the foundation: `enterprises`, `users`, `events` (audit, timeline, outbox) and `operations`."""

from amp.foundation.models.enterprises import Enterprise, Merchant, MerchantStatus
from amp.foundation.models.events import Event
from amp.foundation.models.operations import SweepRun, TestClock
from amp.foundation.models.users import Membership, Role, User

__all__ = ["Enterprise", "Event", "Membership", "Merchant", "MerchantStatus", "Role", "SweepRun", "TestClock", "User"]
