"""Tables of the foundation: `enterprises`, `users`, `events` (audit, timeline, outbox), `operations`, `configuration`,
`figures`.
"""

from amp.foundation.models.configuration import PlatformConfiguration
from amp.foundation.models.enterprises import Enterprise, Merchant, MerchantStatus
from amp.foundation.models.events import Event
from amp.foundation.models.figures import Figure, Tally
from amp.foundation.models.operations import SweepRun, TestClock
from amp.foundation.models.users import Membership, Role, User

__all__ = [
    "Enterprise",
    "Event",
    "Figure",
    "Membership",
    "Merchant",
    "MerchantStatus",
    "PlatformConfiguration",
    "Role",
    "SweepRun",
    "Tally",
    "TestClock",
    "User",
]
