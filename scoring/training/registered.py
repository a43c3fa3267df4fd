"""What the model and run pages read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db.models import QuerySet

from experiments.design.models import Variant
from models_registry.models import Alias, AliasMove, Evaluation, Job, Model, Version

RUNS_SHOWN = 50
VERSIONS_SHOWN = 100


@dataclass(frozen=True)
class Registered:
    """A version with what the pages say about it."""

    version: Version
    evaluation: Evaluation | None
    aliases: tuple[str, ...]
    variants: tuple[Variant, ...] = field(default=())


def models() -> QuerySet[Model]:
    """Every registered model, by name."""
    return Model.objects.order_by("name")


def versions_of_all_models() -> list[Registered]:
    """The newest versions with evaluation, aliases and experiments."""
    versions = Version.objects.select_related("model").order_by(
        "model__name", "-number"
    )
    return registered(versions[:VERSIONS_SHOWN])


def version(model: str, number: int) -> Registered | None:
    """One version by its model's name and number."""
    found = Version.objects.filter(model__name=model, number=number)
    return next(iter(registered(found.select_related("model", "job"))), None)


def versions_named(names: Sequence[tuple[str, int]]) -> list[Registered]:
    """Versions by (model, number), in the order asked for, with values per shopper."""
    wanted = Version.objects.none()
    for model, number in names:
        wanted = wanted | Version.objects.filter(model__name=model, number=number)
    found = {
        (r.version.model.name, r.version.number): r
        for r in registered(wanted.select_related("model"), with_units=True)
    }
    return [found[name] for name in names if name in found]


def registered(
    versions: Iterable[Version], *, with_units: bool = False
) -> list[Registered]:
    """Versions with their latest evaluation, aliases and variants, in three queries."""
    kept = list(versions)
    evaluations = Evaluation.objects.filter(version__in=kept)
    if not with_units:
        evaluations = evaluations.defer("per_unit")
    latest = {e.version_id: e for e in evaluations.order_by("created_at", "pk")}
    aliases: dict[int, list[str]] = {}
    for alias in Alias.objects.filter(version__in=kept).order_by("name"):
        aliases.setdefault(alias.version_id, []).append(alias.name)
    variants: dict[int, list[Variant]] = {}
    used = Variant.objects.filter(version__in=kept).select_related("experiment")
    for variant in used.order_by("-experiment__created_at"):
        if variant.version_id is not None:
            variants.setdefault(variant.version_id, []).append(variant)
    return [
        Registered(
            version=v,
            evaluation=latest.get(v.pk),
            aliases=tuple(aliases.get(v.pk, ())),
            variants=tuple(variants.get(v.pk, ())),
        )
        for v in kept
    ]


def moves_of(version: Version) -> list[AliasMove]:
    """Moves of an alias to this version, newest first."""
    return list(
        AliasMove.objects.filter(to_version=version).select_related(
            "moved_by", "from_version"
        )[:20]
    )


def job(job_id: int) -> Job | None:
    """A job with who asked for it."""
    return Job.objects.select_related("created_by").filter(pk=job_id).first()


def versions_made_by(job: Job) -> list[Version]:
    """What a training run registered."""
    return list(job.versions.select_related("model").order_by("number"))


def latest_jobs() -> QuerySet[Job]:
    """The newest jobs of every kind."""
    return Job.objects.select_related("created_by").order_by("-created_at", "-pk")[
        :RUNS_SHOWN
    ]
