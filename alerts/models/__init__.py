"""Tables of the alerts: `notices`, `channels` (who is told, and what was put together for people)."""

from alerts.models.channels import DigestMail, EnterpriseChannels, ExtraThreshold, InboxEntry, InboxRead, MailStatus
from alerts.models.notices import Channel, Notice, NoticeStatus, Watch

__all__ = [
    "Channel",
    "DigestMail",
    "EnterpriseChannels",
    "ExtraThreshold",
    "InboxEntry",
    "InboxRead",
    "MailStatus",
    "Notice",
    "NoticeStatus",
    "Watch",
]
