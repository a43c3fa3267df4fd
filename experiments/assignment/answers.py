"""What is asked about a unit, and what is answered (pure)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from experiments.assignment.javascript import Json


class Reason(StrEnum):
    """Why a unit got what it got, or why a rule passed it on.

    Attributes:
        SPLIT: The unit's bucket lies in the variant's range.
        FORCED: A list or a signed link names the variant for this unit.
        STICKY: The unit keeps the variant it was given before.
        STOPPED: The experiment is over and its outcome answers (or, without an
            outcome, the next rule).
        DEFAULT: No experiment runs here.
        NOT_STARTED: The phase starts later.
        HOLDOUT: The unit is held out of this experiment.
        NOT_IN_LAYER: The unit's slot of the layer belongs to another experiment.
        NOT_IN_AUDIENCE: The attributes do not satisfy the condition.
        PREREQUISITE: Another placement does not answer what this rule needs.
        CYCLIC_PREREQUISITE: The rule's prerequisites lead back to its placement.
        NOT_IN_COVERAGE: The bucket lies in no variant's range.
        STICKY_BLOCKED: The unit was given a variant in a version now shut out.
        WITHDRAWN: The variant was withdrawn for harm, and this plan is too old to
            know whether it may be served.
        NO_UNIT: The attribute to split by is missing or empty.
        INACTIVE: The rule deals to nobody now: a draft, a stopped test, a quality
            assurance mode, or fewer than two variants.
        BROKEN_RULE: The rule itself is wrong; it is passed over.
    """

    SPLIT = "SPLIT"
    FORCED = "FORCED"
    STICKY = "STICKY"
    STOPPED = "STOPPED"
    DEFAULT = "DEFAULT"
    NOT_STARTED = "NOT_STARTED"
    HOLDOUT = "HOLDOUT"
    NOT_IN_LAYER = "NOT_IN_LAYER"
    NOT_IN_AUDIENCE = "NOT_IN_AUDIENCE"
    PREREQUISITE = "PREREQUISITE"
    CYCLIC_PREREQUISITE = "CYCLIC_PREREQUISITE"
    NOT_IN_COVERAGE = "NOT_IN_COVERAGE"
    STICKY_BLOCKED = "STICKY_BLOCKED"
    WITHDRAWN = "WITHDRAWN"
    NO_UNIT = "NO_UNIT"
    INACTIVE = "INACTIVE"
    BROKEN_RULE = "BROKEN_RULE"

    __hash__ = str.__hash__  # in C; enum's own is a Python function


class UnitContext(msgspec.Struct, frozen=True):
    """Who asks, and what is known of them.

    Attributes:
        unit_id: The raw id; it is also the attribute ``id``, whatever is sent.
        attributes: For audiences, and to split by something else than the id.
        now: Unix seconds, for phases that start later.
        forced: Experiment key to variant key, from a signed link.
        sticky: What was stored for the unit: ``<experiment>__<bucket version>`` to
            variant key; what is known of the id wins over its fallback attribute.
    """

    unit_id: str
    attributes: Mapping[str, Json]
    now: float
    forced: Mapping[str, str] = {}
    sticky: Mapping[str, str] = {}


class Assignment(msgspec.Struct, frozen=True):
    """The deterministic answer to "what does this unit get here?".

    Attributes:
        experiment: Key of the experiment that decided; None: the default did.
        phase: Its phase and epoch numbers; 0 without an experiment.
        variant: Key of the variant; None without an experiment.
        reason: Without an experiment: why the first rule passed the unit on.
        probability: Assignment probability: the chance of this variant among the
            experiment's units, 0 to 1.
        version_id: The model version to serve; None: ``payload`` is the value.
        payload: JSON text of the value.
        exposure: ``server`` or ``client`` logs the exposure; empty: it is none.
        unit: The attribute the unit was split by; the fallback where it was used.
        sticky: Under which name the variant is to be stored, unless it is, as in
            ``UnitContext.sticky``; empty: it is not to be stored.
        bucket: Where the unit fell, 0 to 1; None when no hash was needed.
    """

    placement: str
    reason: Reason
    experiment: str | None = None
    phase: int = 0
    epoch: int = 0
    variant: str | None = None
    probability: float = 1.0
    version_id: int | None = None
    payload: str | None = None
    exposure: str = ""
    unit: str = "id"
    sticky: str = ""
    bucket: float | None = None

    @property
    def assignment_probability(self) -> float:
        """``probability`` by the name it has in the event log."""
        return self.probability


class Step(NamedTuple):
    """What one rule did with the unit."""

    experiment: str
    reason: Reason
    bucket: float | None
    variant: str | None
