"""Answers to requests that may be sent again (R7)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models.api_keys import ApiKey
from amp.foundation.models.enterprises import Enterprise
from amp.foundation.scoping import tenant_manager


class IdempotencyRecord(models.Model):
    """One request under an idempotency key: in flight while `answer` is empty, afterwards the answer to every repeat.

    The key counts within its API key, method and path (F34). The answer is written in the transaction of the work, so
    a killed process leaves either both or neither; `lease_until` says when another one may take an unfinished one over.
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="+", verbose_name=_("API key"))
    method = models.CharField(max_length=6)
    path = models.CharField(max_length=300)
    key = models.CharField(max_length=128)
    body_hash = models.CharField(max_length=64)
    # Names who works on it: a process that lost its lease finds another name here and stores nothing.
    lease = models.UUIDField()
    lease_until = models.DateTimeField()
    # Sealed: an answer may hold what is shown only once.
    answer = models.TextField(null=True)
    status = models.PositiveSmallIntegerField(null=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("idempotency record")
        verbose_name_plural = _("idempotency records")
        constraints = [
            models.UniqueConstraint(fields=["api_key", "key", "method", "path"], name="one_record_per_request"),
            models.CheckConstraint(
                condition=Q(answer__isnull=True, status__isnull=True) | Q(answer__isnull=False, status__isnull=False),
                name="an_answer_has_a_status",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.key}"
