"""What exists and what is live: models, versions, aliases, evaluations, and jobs."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

KEY_VALIDATOR = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
    "Use letters, digits, '-', '_' and '.', starting with a letter or digit.",
)


class Model(models.Model):
    """A registered name under which immutable versions are kept."""

    name = models.CharField(max_length=100, unique=True, validators=[KEY_VALIDATOR])
    description = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Version(models.Model):
    """An immutable artifact of a model, with the facts it was made from.

    Attributes:
        kind: The ranker's kind (``popularity``, ``item_knn``, ``transformer``).
        artifact_digest: SHA-256 (hex) of the artifact's manifest; its address.
        manifest: Hyper-parameters, data fingerprint, split, seed, versions.
        size_bytes: Size of all artifact files together.
    """

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=50)
    artifact_digest = models.CharField(max_length=64)
    manifest = models.JSONField(default=dict)
    size_bytes = models.PositiveBigIntegerField(default=0)
    notes = models.TextField(blank=True, default="")
    job = models.ForeignKey(
        "Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="versions"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("model", "-number")
        constraints = (
            models.UniqueConstraint(
                fields=("model", "number"), name="one_version_per_model_and_number"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind.replace('_', '-')} v{self.number}"


class Evaluation(models.Model):
    """How a version did on held-out later time; it never changes.

    Attributes:
        protocol: Split, cut, horizon, exclusion rule, tie rule, users, items, k.
        figures: name -> {"value", "lower", "upper"} (95 % bootstrap over shoppers).
        per_unit: name -> list of per-shopper values, for paired tests.
    """

    version = models.ForeignKey(
        Version, on_delete=models.CASCADE, related_name="evaluations"
    )
    protocol = models.JSONField(default=dict)
    figures = models.JSONField(default=dict)
    per_unit = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"evaluation of {self.version}"


class Alias(models.Model):
    """A movable pointer of a model, such as ``champion``."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=50, validators=[KEY_VALIDATOR])
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "aliases"
        ordering = ("model", "name")
        constraints = (
            models.UniqueConstraint(
                fields=("model", "name"), name="one_alias_per_model_and_name"
            ),
        )

    def __str__(self) -> str:
        return f"{self.model.name}@{self.name}"


class AliasMove(models.Model):
    """Who moved an alias, from what to what, why, and on which report."""

    alias_model = models.ForeignKey(
        Model, on_delete=models.CASCADE, related_name="moves"
    )
    alias_name = models.CharField(max_length=50)
    from_version = models.ForeignKey(
        Version, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    to_version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="+")
    moved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    reason = models.TextField()
    report = models.CharField(max_length=200, blank=True, default="")
    moved_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-moved_at",)

    def __str__(self) -> str:
        return f"{self.alias_name} of {self.alias_model} to {self.to_version}"


class JobState(models.TextChoices):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(models.Model):
    """A long piece of work: a row with a lease, a heartbeat, progress, a cancel flag.

    Attributes:
        kind: Which work (``train``, ``analyse``, ``import``); ``config`` maps it to
            the Celery task that runs it.
        lease: Random token of the run that owns the job; a second delivery sees it.
        enqueued_at: When its message was last sent; None: it is still to be sent.
        progress: 0 to 1.
        figures: What the work reports while it runs (loss, rows, seconds left).
        logs: The last lines of what happened, newest last.
    """

    kind = models.CharField(max_length=50)
    title = models.CharField(max_length=200)
    parameters = models.JSONField(default=dict)
    state = models.CharField(
        max_length=20, choices=JobState.choices, default=JobState.QUEUED
    )
    lease = models.CharField(max_length=64, blank=True, default="")
    enqueued_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    progress = models.FloatField(default=0.0)
    message = models.CharField(max_length=500, blank=True, default="")
    figures = models.JSONField(default=dict)
    logs = models.JSONField(default=list)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=("state", "kind"), name="job_state_kind"),)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(progress__gte=0.0, progress__lte=1.0),
                name="job_progress_between_0_and_1",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=JobState.values), name="job_state_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.title} ({self.state})"
