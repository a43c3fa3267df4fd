"""A placement's answer as OFREP's flag, rendered once for all who get the same (pure).

Shaped for the real clients, which break on less than the specification allows:
variant, reason, value and errorDetails are always there.
"""

from collections.abc import Iterable

import msgspec

from experiments.assignment.answers import Assignment, Reason
from experiments.assignment.payload import Configuration, value_of
from experiments.assignment.plan import Plan

DEFAULT_VARIANT = "default"
_RENDERED = 100_000
_REASONS = {Reason.SPLIT: "SPLIT", Reason.STICKY: "SPLIT"}
_REASONS |= {Reason.FORCED: "TARGETING_MATCH"}
_ENCODER = msgspec.json.Encoder()


class Evaluation(msgspec.Struct, frozen=True, rename="camel"):
    """What one placement answers."""

    key: str
    reason: str
    variant: str
    value: msgspec.Raw
    metadata: dict[str, str | int | float]


class Failure(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Why a placement does not answer."""

    error_code: str
    error_details: str
    key: str = ""


def rendered(assignment: Assignment, plan: Plan, configuration: Configuration) -> bytes:
    """An assignment's JSON; the same for all units that got the same."""
    mark = (
        assignment.placement,
        assignment.experiment,
        assignment.variant,
        assignment.reason,
    )
    made = configuration.rendered.get(mark)
    if made is None:
        made = _evaluation(assignment, plan)
        if len(configuration.rendered) < _RENDERED:
            configuration.rendered[mark] = made
    return made


def rendered_all(
    assignments: Iterable[Assignment], plan: Plan, configuration: Configuration
) -> list[bytes]:
    """Each assignment's JSON: ``rendered``, without a call where it is known."""
    known = configuration.rendered.get
    return [
        known((one.placement, one.experiment, one.variant, one.reason))
        or rendered(one, plan, configuration)
        for one in assignments
    ]


def _evaluation(assignment: Assignment, plan: Plan) -> bytes:
    value = value_of(plan, assignment.version_id, assignment.payload)
    key = assignment.placement
    if value is None:
        return failure(key, "GENERAL", no_version(key))
    return _ENCODER.encode(
        Evaluation(
            key=key,
            reason=_REASONS.get(assignment.reason, "STATIC"),
            variant=assignment.variant or DEFAULT_VARIANT,
            value=value,
            metadata=_metadata(assignment, plan),
        )
    )


def failure(key: str, code: str, details: str) -> bytes:
    """A failure's JSON; without a key it is the whole answer's."""
    return _ENCODER.encode(Failure(key=key, error_code=code, error_details=details))


def no_version(key: str) -> str:
    """What is said of a placement whose model has no version."""
    return f"Placement {key!r} has no model version yet."


def _metadata(assignment: Assignment, plan: Plan) -> dict[str, str | int | float]:
    """Flat and primitive: clients drop the rest."""
    metadata: dict[str, str | int | float] = {"decidedBy": assignment.reason.value}
    if assignment.experiment is not None:
        metadata["experiment"] = assignment.experiment
        metadata["variant"] = assignment.variant or DEFAULT_VARIANT
        metadata["phase"] = assignment.phase
        metadata["epoch"] = assignment.epoch
        metadata["probability"] = assignment.probability
    version = plan.versions.get(assignment.version_id or 0)
    if version is not None:
        metadata["model"] = version.model
        metadata["modelVersion"] = version.number
    return metadata
