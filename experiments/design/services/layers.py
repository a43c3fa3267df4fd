"""Give experiments their segments of a layer, and take them back."""

from collections.abc import Mapping

from django.db import transaction

from experiments.design.models import (
    Experiment,
    Layer,
    LayerMembership,
    LayerSegment,
)
from experiments.design.segments import SEGMENTS, draw
from models_registry.errors import ConflictError, InvalidError

__all__ = ["create_layer", "free_segments", "return_segments", "take_segments"]


def create_layer(*, key: str, name: str, description: str = "") -> Layer:
    """A new layer without experiments.

    Raises:
        ConflictError: The key is taken.
    """
    if Layer.objects.filter(key=key).exists():
        raise ConflictError(f"The layer key {key!r} is taken; choose another one.")
    layer = Layer(key=key, name=name, description=description)
    layer.full_clean()
    layer.save()
    return layer


def free_segments(layer: Layer) -> int:
    """Percent of the layer's units that no experiment owns now."""
    return SEGMENTS - layer.segments.count()


@transaction.atomic
def take_segments(experiment: Experiment) -> None:
    """Give an experiment its share of each of its layers, all or nothing.

    Layers are locked in the order of their keys, so that two starts cannot block each
    other.

    Raises:
        InvalidError: A layer has less left than is asked for.
    """
    memberships: Mapping[int, LayerMembership] = {
        m.layer_id: m for m in experiment.memberships.all()
    }
    layers = Layer.objects.select_for_update().filter(pk__in=memberships)
    for layer in layers.order_by("key"):
        membership = memberships[layer.pk]
        owned = set(layer.segments.values_list("number", flat=True))
        free = set(range(SEGMENTS)) - owned
        if membership.share > len(free):
            raise InvalidError(
                f"Layer {layer.key!r} has {len(free)} % of its shoppers left, "
                f"{experiment.key} asks for {membership.share} %: ask for less, or "
                "wait until an experiment of the layer ends."
            )
        numbers = draw(layer.key, layer.generation, free, membership.share)
        LayerSegment.objects.bulk_create(
            LayerSegment(layer=layer, membership=membership, number=number)
            for number in numbers
        )


@transaction.atomic
def return_segments(experiment: Experiment) -> None:
    """Take an ended experiment's segments back; its share is dealt anew.

    Where nobody owns a segment any more, the layer's seed itself is rotated.
    """
    ids = experiment.memberships.values_list("layer", flat=True)
    for layer in Layer.objects.select_for_update().filter(pk__in=ids).order_by("key"):
        returned, _ = layer.segments.filter(membership__experiment=experiment).delete()
        if not returned:
            continue
        layer.generation += 1
        if not layer.segments.exists():
            layer.seed = layer.next_seed()
        layer.save(update_fields=["generation", "seed"])
