"""The compiled plan: all a front needs to answer, immutable (pure).

Built from PostgreSQL off the request path, published through Redis, kept on disk,
swapped whole. Bucket edges are hash units of 1/10,000, as GrowthBook's version 2.
"""

import msgspec

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
    """

    key: str
    start: float
    end: float
    weight: float
    version_id: int | None = None
    payload: str | None = None


class ExperimentPlan(msgspec.Struct, frozen=True):
    """One experiment as a rule of its placement.

    Attributes:
        status: ``running`` splits; ``concluded`` and ``shipped`` answer ``outcome``;
            a paused experiment is not in the plan: the next rule decides.
        exposure: ``server`` or ``client``: who logs exposures.
        condition: JSON text of the audience; empty: everybody.
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


class PlacementPlan(msgspec.Struct, frozen=True):
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
    """

    revision: str
    built_at: float
    placements: dict[str, PlacementPlan] = {}
    keys: dict[str, Key] = {}
    versions: dict[int, VersionPlan] = {}
    fallback_version_ids: dict[str, int] = {}
    items_out: frozenset[str] = frozenset()
