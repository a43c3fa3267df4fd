"""What the registry knows: live versions, histories, evaluations."""

from django.db.models import QuerySet

from models_registry.errors import NotFoundError
from models_registry.models import Alias, AliasMove, Evaluation, Job, Model, Version


def get_model(name: str) -> Model:
    """The model of that name.

    Raises:
        NotFoundError: There is none.
    """
    model = Model.objects.filter(name=name).first()
    if model is None:
        raise NotFoundError(f"There is no model {name!r}.")
    return model


def get_version(model: str, number: int) -> Version:
    """A version by its model's name and its number.

    Raises:
        NotFoundError: There is none.
    """
    found = Version.objects.select_related("model").filter(
        model__name=model, number=number
    )
    version = found.first()
    if version is None:
        raise NotFoundError(f"There is no version {number} of model {model!r}.")
    return version


def get_job(job_id: int) -> Job:
    """A job by its number.

    Raises:
        NotFoundError: There is none.
    """
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise NotFoundError(f"There is no job {job_id}.")
    return job


def live_version(model: Model, alias: str) -> Version | None:
    """Where an alias points; None: it does not exist."""
    found = Alias.objects.select_related("version__model").filter(
        model=model, name=alias
    )
    at = found.first()
    return at.version if at else None


def alias_moves(model: Model) -> QuerySet[AliasMove]:
    """Every move of the model's aliases, newest first."""
    return AliasMove.objects.filter(alias_model=model).select_related(
        "from_version", "to_version", "moved_by"
    )


def latest_evaluation(version: Version) -> Evaluation | None:
    """How the version did when it was last judged; None: it never was."""
    return version.evaluations.order_by("-created_at", "-pk").first()
