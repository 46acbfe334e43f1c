"""Tables of the foundation: `enterprises`, `users`, `events` (audit, timeline, outbox), `operations`, `configuration`,
`figures`, `api_keys`, `idempotency`, `invitations`, `authenticators`, `retention`, `erasures`.
"""

from amp.foundation.models.api_keys import ApiKey, Scope
from amp.foundation.models.authenticators import Authenticator
from amp.foundation.models.configuration import PlatformConfiguration
from amp.foundation.models.enterprises import Enterprise, Merchant, MerchantStatus
from amp.foundation.models.erasures import Erasure
from amp.foundation.models.events import Event
from amp.foundation.models.figures import Figure, Tally
from amp.foundation.models.idempotency import IdempotencyRecord
from amp.foundation.models.invitations import Invitation
from amp.foundation.models.operations import AlarmRow, SweepRun, TestClock
from amp.foundation.models.retention import Retention
from amp.foundation.models.saved_views import SavedView
from amp.foundation.models.users import Membership, Role, User

__all__ = [
    "AlarmRow",
    "ApiKey",
    "Authenticator",
    "Enterprise",
    "Erasure",
    "Event",
    "Figure",
    "IdempotencyRecord",
    "Invitation",
    "Membership",
    "Merchant",
    "MerchantStatus",
    "PlatformConfiguration",
    "Retention",
    "Role",
    "SavedView",
    "Scope",
    "SweepRun",
    "Tally",
    "TestClock",
    "User",
]
