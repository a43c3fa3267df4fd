"""Sample ratio mismatch watched all the time: an alarm that may be read at any moment.

The chi-square test of `srm` may be read once. This one compares the counts with the
dealt shares by a Bayes factor, whose inverse is an always-valid p-value: read it after
every batch and stop at the first alarm, with at most alpha false alarms ever.

The prior is centred on the dealt shares and tight (10,000 units' worth), so that small
mismatches of large experiments are found soon; a broken split is found within minutes
under any prior.

References:
    Lindon and Malek (2022), "Anytime-valid inference for multinomial count data",
    NeurIPS, equations 5 and 6 and section 3.1 (prior around the dealt shares).
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    check_at_least,
    check_open,
    quiet,
)

CONCENTRATION = 10_000.0
"""Weight of the prior, in units."""


@dataclass(frozen=True, slots=True)
class SequentialSrm:
    """Observed against dealt units at one moment, cell by cell.

    Attributes:
        log_evidence: log of the Bayes factor against the dealt shares; inf for a
            certain mismatch. Those of separate epochs (the shares were changed) add up.
        p_value: valid at any time; keep the smallest seen (`always_valid.running_p`).
        expected: units each arm should hold, shape (..., arm).
        observed: units each arm holds.
        method: the procedure.
    """

    log_evidence: FloatArray
    p_value: FloatArray
    expected: FloatArray
    observed: FloatArray
    method: str = "sequential multinomial, Dirichlet prior"


@quiet
def sequential_sample_ratio(
    observed: ArrayLike,
    weights: ArrayLike,
    *,
    concentration: float = CONCENTRATION,
    prior: ArrayLike | None = None,
) -> SequentialSrm:
    """Test the numbers of units so far against the weights they were dealt with.

    When the weights change during an experiment, count each epoch from zero and add the
    log evidence.

    Args:
        observed: units of each arm so far, shape (..., arm); leading axes are cells,
            for instance moments.
        weights: dealt shares in any unit, shape (arm,) or that of ``observed``.
        concentration: units that the prior around the dealt shares is worth.
        prior: Dirichlet parameters instead, shape (arm,).

    Raises:
        StatisticsError: negative or infinite values, shapes that do not fit, fewer than
            two arms, weights that sum to zero, or a prior that is not positive.
    """
    units = check_at_least("observed", observed, 0)
    shares = _shares(units, check_at_least("weights", weights, 0))
    check_open("concentration", concentration, 0.0, np.inf)
    if prior is None:
        strength = concentration * shares
    else:
        strength = check_open("prior", prior, 0.0, np.inf)
        if strength.shape != shares.shape[-1:]:
            raise StatisticsError(
                f"prior must have shape {shares.shape[-1:]}, got {strength.shape}"
            )
    dealt = shares > 0
    strength = np.where(dealt, strength, 0.0)
    total, weight = units.sum(axis=-1), strength.sum(axis=-1)
    gain = scipy.special.gammaln(strength + units) - scipy.special.gammaln(strength)
    gain = gain - scipy.special.xlogy(units, shares)
    gain = np.where(dealt, gain, 0.0).sum(axis=-1)
    evidence = (
        gain + scipy.special.gammaln(weight) - scipy.special.gammaln(weight + total)
    )
    certain = (~dealt & (units > 0)).any(axis=-1)
    evidence = np.where(certain, np.inf, np.where(total > 0, evidence, 0.0))
    return SequentialSrm(
        log_evidence=evidence,
        p_value=np.asarray(np.exp(np.minimum(-evidence, 0.0))),
        expected=total[..., None] * shares,
        observed=units,
    )


def _shares(units: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weights as shares, in the shape of the units."""
    fits = units.ndim and units.shape[-1] >= 2 and weights.ndim
    if not fits or weights.shape[-1] != units.shape[-1] or weights.ndim > units.ndim:
        raise StatisticsError(
            "observed must have shape (..., arm) with at least 2 arms and weights "
            f"(arm,) or the same, got {units.shape} and {weights.shape}"
        )
    total = weights.sum(axis=-1, keepdims=True)
    if bool((total == 0).any()):
        raise StatisticsError("weights must sum to > 0, got 0")
    try:
        return np.broadcast_to(weights / total, units.shape)
    except ValueError as error:
        raise StatisticsError(
            f"observed {units.shape} and weights {weights.shape} do not fit together"
        ) from error
