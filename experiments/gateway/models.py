"""API keys: how a shop proves who it is."""

from django.conf import settings
from django.db import models


class KeyKind(models.TextChoices):
    """A publishable key may be seen by shoppers; a secret one never."""

    PUBLISHABLE = "publishable"
    SECRET = "secret"  # noqa: S105 - a kind, not a password


class ApiKey(models.Model):
    """A key's hash, scopes and limits; the key itself is shown once and not kept.

    Attributes:
        label: For people: which shop or service uses it.
        client: Who the key belongs to; at most two live keys per client.
        start: The first characters of the key, to recognise it by.
        digest: SHA-256 (hex) of the whole key.
        scopes: See ``experiments.gateway.keys.SCOPES``.
        origins: Browser origins a publishable key may be used from.
        event_names: Event names it may send; empty: the kind's default.
        rate_per_minute: Requests; 0: unlimited.
        remote_only: Its holders are evaluated for, and never see the targeting.
    """

    label = models.CharField(max_length=100)
    client = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=KeyKind.choices)
    start = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    origins = models.JSONField(default=list, blank=True)
    event_names = models.JSONField(default=list, blank=True)
    rate_per_minute = models.PositiveIntegerField(default=0)
    remote_only = models.BooleanField(
        "remote evaluation only",
        default=False,
        help_text="For browsers that must not see how shoppers are targeted.",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(kind__in=KeyKind.values), name="api_key_kind_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.label} ({self.start}…)"
