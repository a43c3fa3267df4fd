"""The compiled plan: all a front needs to answer, immutable (pure).

Built from PostgreSQL off the request path, published through Redis, kept on disk,
swapped whole. Bucket edges are hash units of 1/10,000, as GrowthBook's version 2.
"""

import msgspec

from experiments.assignment.bucketing import Range
from experiments.gateway.keys import Key


class VersionPlan(msgspec.Struct, frozen=True):
    """A model version a front may be asked to serve."""

    id: int
    model: str
    number: int
    kind: str
    artifact_digest: str


class VariantPlan(msgspec.Struct, frozen=True):
    """A variant and the half-open bucket range [start, end) it owns, 0 to 1.

    Attributes:
        version_id: The model version it serves; None: it carries ``payload``.
        payload: JSON text of its value, when it carries no model.
        withdrawn: Withdrawn for harm: a plan older than a stated age does not serve
            it, since it cannot know what was decided since.
    """

    key: str
    start: float
    end: float
    weight: float
    version_id: int | None = None
    payload: str | None = None
    withdrawn: bool = False


class FilterPlan(msgspec.Struct, frozen=True):
    """A share of units that an experiment may look at: of a layer, or no holdout.

    Attributes:
        seed: Of the layer or holdout.
        ranges: Half-open bucket ranges that pass, 0 to 1.
        attribute: The attribute that is hashed.
        holdout: Who is filtered out is held out; otherwise a layer's slot is
            another's.
    """

    seed: str
    ranges: tuple[Range, ...]
    attribute: str = "id"
    hash_version: int = 2
    holdout: bool = False


class PrerequisitePlan(msgspec.Struct, frozen=True):
    """What another placement must answer.

    Attributes:
        placement: Its key.
        condition: JSON text of a condition over ``{"value": its value}``.
        gate: Otherwise the placement answers its default; without it, the next rule
            decides.
    """

    placement: str
    condition: str
    gate: bool = False


class ExperimentPlan(msgspec.Struct, frozen=True):
    """One experiment as a rule of its placement.

    Attributes:
        status: ``running`` splits; ``concluded`` and ``shipped`` answer ``outcome``;
            a paused experiment is not in the plan: the next rule decides.
        exposure: ``server`` or ``client``: who logs exposures.
        condition: JSON text of the audience; empty: everybody.
        hash_attribute: The attribute that is split by; ``id`` is the unit id.
        fallback_attribute: Split by this one when the first is missing; only looked
            at where assignment is sticky, as in the SDKs.
        hash_version: GrowthBook's, 1 or 2.
        filters: Layers and holdouts; each must pass.
        prerequisites: Each must hold.
        forced: (unit id, variant key) pairs, for quality assurance.
        disable_sticky: Stored variants are neither used nor asked to be stored.
        bucket_version: Under which variants are stored; raising it deals anew.
        min_bucket_version: A unit stored under a lower one is out of the experiment.
    """

    id: int
    key: str
    status: str
    phase: int
    epoch: int
    seed: str
    coverage: float
    control: str
    variants: tuple[VariantPlan, ...]
    exposure: str = "server"
    condition: str = ""
    started_at: float = 0.0
    outcome: str | None = None
    hash_attribute: str = "id"
    fallback_attribute: str = ""
    hash_version: int = 2
    filters: tuple[FilterPlan, ...] = ()
    prerequisites: tuple[PrerequisitePlan, ...] = ()
    forced: tuple[tuple[str, str], ...] = ()
    disable_sticky: bool = True
    bucket_version: int = 0
    min_bucket_version: int = 0


class PlacementPlan(msgspec.Struct, frozen=True, cache_hash=True):
    """A placement: ordered rules, then its default.

    Attributes:
        default_version_id: The champion of its model, for a model placement.
        default_payload: JSON text of its value otherwise.
    """

    key: str
    value_type: str
    experiments: tuple[ExperimentPlan, ...] = ()
    default_version_id: int | None = None
    default_payload: str | None = None
    list_size: int = 10
    exclude_seen: bool = True


class Plan(msgspec.Struct, frozen=True):
    """Everything, at one moment.

    Attributes:
        revision: Content hash (hex, 16): the same content has the same revision.
        built_at: Unix seconds.
        fallback_version_id: Popularity, for lists that come out short.
        items_out: Item ids that may not be shown (out of stock, not yet available).
        saved_groups: Lists of values that conditions refer to by name.
    """

    revision: str
    built_at: float
    placements: dict[str, PlacementPlan] = {}
    keys: dict[str, Key] = {}
    versions: dict[int, VersionPlan] = {}
    fallback_version_ids: dict[str, int] = {}
    items_out: frozenset[str] = frozenset()
    saved_groups: dict[str, tuple[str | int | float | bool | None, ...]] = {}
