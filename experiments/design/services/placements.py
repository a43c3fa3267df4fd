"""Make placements."""

from django.db import IntegrityError, transaction

from experiments.design.models import Placement
from models_registry.errors import InvalidError
from models_registry.models import Model
from models_registry.services import publish_plan


def ensure_placement(
    *,
    key: str,
    name: str,
    model: Model,
    list_size: int = 10,
    exclude_seen: bool = True,
) -> Placement:
    """The placement of that key, made when it does not exist yet."""
    try:
        with transaction.atomic():
            placement, _ = Placement.objects.get_or_create(
                key=key,
                defaults={
                    "name": name,
                    "default_model": model,
                    "list_size": list_size,
                    "exclude_seen": exclude_seen,
                },
            )
    except IntegrityError as error:
        raise InvalidError(f"Placement {key!r}: {error}") from error
    publish_plan()
    return placement
