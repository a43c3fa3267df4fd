"""What a person asks of a running experiment's split, read from the page's form."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.design.models import Experiment
from experiments.design.services import Mode
from models_registry.errors import InvalidError


@dataclass(frozen=True)
class Edit:
    """An edit of coverage (an epoch), or of weights and audience (a phase).

    Attributes:
        coverage: None: it stays.
        weights: None: they stay.
        audience: None: it stays.
    """

    coverage: float | None
    weights: Mapping[str, float] | None
    audience: Mapping[str, object] | None
    mode: str

    @property
    def opens_phase(self) -> bool:
        """Whether it does more than move the coverage."""
        dealt_anew = self.mode == Mode.RERANDOMISE
        return self.weights is not None or self.audience is not None or dealt_anew


def read_edit(experiment: Experiment, form: Mapping[str, str]) -> Edit:
    """The edit that a form asks for; what equals the present state is left out.

    Raises:
        InvalidError: A number or the audience cannot be read, or nothing would change.
    """
    phase = experiment.phases.filter(ended_at=None).first()
    if phase is None:
        raise InvalidError(f"{experiment.key} does not run; edit the draft instead.")
    coverage = _percent("Coverage", form.get("coverage", ""))
    weights = {
        key: _percent(f"The weight of {key}", form.get(f"weight-{key}", ""))
        for key in phase.weights
    }
    audience = _audience(form.get("audience", ""))
    edit = Edit(
        coverage=None if coverage == experiment.coverage else coverage,
        weights=None if weights == phase.weights else weights,
        audience=None if audience == phase.audience else audience,
        mode=form.get("mode", Mode.CONTINUE),
    )
    if edit.coverage is None and not edit.opens_phase:
        raise InvalidError("Nothing would change: edit a figure or the audience.")
    if edit.coverage is not None and edit.opens_phase:
        raise InvalidError(
            "Change the coverage, or the weights and the audience, not both at once: "
            "one opens an epoch and the other a phase."
        )
    return edit


def _percent(name: str, text: str) -> float:
    try:
        percent = float(text)
    except ValueError:
        raise InvalidError(f"{name} is {text!r}; write a number of percent.") from None
    if not 0.0 <= percent <= 100.0:
        raise InvalidError(f"{name} is {percent:g} %; use 0 to 100.")
    return round(percent / 100, 6)


def _audience(text: str) -> dict[str, object]:
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidError(
            f"The audience is no JSON ({error}); write a condition such as "
            '{"country": "NL"}, or nothing for everybody.'
        ) from None
    if not isinstance(found, dict):
        raise InvalidError('The audience is no object; write {"country": "NL"}.')
    return found
