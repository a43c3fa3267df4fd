"""What changes the registry: models, versions and the aliases that make one live."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.module_loading import import_string

from models_registry import artifacts
from models_registry.errors import ConflictError, InvalidError
from models_registry.models import Alias, AliasMove, Evaluation, Job, Model, Version

CHAMPION = "champion"


@dataclass(frozen=True)
class EvaluationFacts:
    """How a version did on held-out later time, as it is stored.

    Attributes:
        protocol: Split, cut, horizon, exclusion rule, tie rule, users, items, k.
        figures: name -> {"value", "lower", "upper"}.
        per_unit: name -> values per shopper, in the order of the judged cases.
    """

    protocol: Mapping[str, object]
    figures: Mapping[str, Mapping[str, float | None]]
    per_unit: Mapping[str, list[float]] = field(default_factory=dict)


def publish_plan() -> None:
    """Have the plan compiled anew and handed to the fronts, on commit."""
    import_string(settings.PLAN_PUBLISHER)()


def ensure_model(name: str, description: str = "") -> Model:
    """The model of that name, made if it does not exist.

    Raises:
        InvalidError: The name has characters that are not allowed.
    """
    found = Model.objects.filter(name=name).first()
    if found is not None:
        return found
    try:
        Model(name=name).clean_fields()
    except ValidationError as error:
        raise InvalidError(
            f"Model name {name!r} is not allowed. {' '.join(error.messages)}"
        ) from error
    return Model.objects.get_or_create(
        name=name, defaults={"description": description}
    )[0]


def register_version(
    model: Model,
    *,
    files: Mapping[str, bytes],
    kind: str,
    manifest: Mapping[str, object],
    evaluation: EvaluationFacts | None = None,
    job: Job | None = None,
    notes: str = "",
) -> Version:
    """Store an artifact and register it under the model's next number.

    A job registers one version of a model; called again after a crash, it gives the
    version already there.

    Raises:
        ArtifactUnusableError: The files are not what their manifest says.
    """
    digest = artifacts.put(files)
    with transaction.atomic():
        Model.objects.select_for_update().get(pk=model.pk)
        if job is not None:
            made = Version.objects.filter(model=model, job=job).first()
            if made is not None:
                return made
        last = Version.objects.filter(model=model).order_by("-number").first()
        version = Version.objects.create(
            model=model,
            number=last.number + 1 if last else 1,
            kind=kind,
            artifact_digest=digest,
            manifest=dict(manifest),
            size_bytes=artifacts.size_of(files),
            notes=notes,
            job=job,
        )
        if evaluation is not None:
            Evaluation.objects.create(
                version=version,
                protocol=dict(evaluation.protocol),
                figures={name: dict(f) for name, f in evaluation.figures.items()},
                per_unit=dict(evaluation.per_unit),
            )
    return version


@transaction.atomic
def move_alias(
    model: Model,
    name: str,
    version: Version,
    *,
    by: User | None,
    reason: str,
    report: str = "",
    expected_version: Version | None = None,
) -> AliasMove:
    """Point an alias at a version; the caller asks for a new plan.

    Args:
        model: The alias's model.
        name: Such as ``champion``.
        version: One of the model's.
        by: Who moves it; None: the platform itself.
        reason: Why, in words.
        report: The report it rests on, as ``experiment/number``.
        expected_version: Where the caller saw it last; None: anywhere.

    Raises:
        ConflictError: The alias is no longer at ``expected_version``.
        InvalidError: The version is another model's, or there is no reason.
    """
    if not reason.strip():
        raise InvalidError("The reason is empty; say why the alias moves.")
    if version.model_id != model.pk:
        raise InvalidError(f"{version} is no version of {model.name}.")
    # The model's row is the lock: an alias that does not exist has none.
    Model.objects.select_for_update().get(pk=model.pk)
    alias = Alias.objects.filter(model=model, name=name).first()
    present = alias.version if alias else None
    if expected_version is not None and present != expected_version:
        where = f"is at {present}" if present else "does not exist"
        raise ConflictError(
            f"{model.name}@{name} {where}, not at {expected_version}; look again and "
            "decide anew."
        )
    Alias.objects.update_or_create(
        model=model, name=name, defaults={"version": version}
    )
    return AliasMove.objects.create(
        alias_model=model,
        alias_name=name,
        from_version=present,
        to_version=version,
        moved_by=by,
        reason=reason.strip(),
        report=report,
    )


@transaction.atomic
def crown_first(model: Model, version: Version) -> AliasMove | None:
    """Make a version the champion if the model has none; None: it has one."""
    Model.objects.select_for_update().get(pk=model.pk)
    if Alias.objects.filter(model=model, name=CHAMPION).exists():
        return None
    return move_alias(
        model, CHAMPION, version, by=None, reason="first version of the model"
    )
