"""Always-valid inference: an interval that may be watched at any moment.

The boundary of the normal mixture depends on the data through the number of units only.
`AlwaysValid` gives it to any comparison as its quantile, as the group-sequential
`sequential.Look` does: what holds at planned looks and between them then comes from the
same tests. `always_valid` gives the interval of any estimate with a standard error
(mean, ratio, covariate-adjusted), also one-sided.

The price is width: at the sample size of a fixed test with 80 % power it finds the
effect in about half of the experiments. It is therefore the default between planned
looks and not at them. It is tuned for 5,000 units by default, early in a normal
experiment, where watching matters most; far from there it is wider by the root of a
logarithm. It needs estimates that are nearly normal, so nothing is said before 100
units a variant.

References:
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2021), "Time-uniform central limit
    theory and asymptotic confidence sequences", arXiv:2103.06476, theorem 2.2 and
    appendix B.1 (one-sided).
    Howard, Ramdas, McAuliffe, Sekhon (2021), "Time-uniform, nonparametric,
    nonasymptotic confidence sequences", Annals of Statistics 49(2), propositions 5 and
    6 (two-sided and one-sided normal mixture) and section 3.5 (tuning).
    Johari, Koomen, Pekelis, Walsh (2022), "Always valid inference", Operations Research
    70(3) (p-values).
    Lindon, Ham, Tingley, Bojinov (2022), "Anytime-valid linear models and regression
    adjusted causal inference", arXiv:2210.08589 (adjusted estimates).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.comparison import Status, StatusArray, statuses
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    as_floats,
    broadcast,
    check_at_least,
    check_open,
    normal_quantile,
    quiet,
)

OPTIMISED_FOR = 5_000
"""Units of both variants together at which the interval is narrowest by default."""

BURN_IN = 100
"""Units a variant before which an estimate is not taken as normal."""


@dataclass(frozen=True, slots=True)
class AlwaysValid:
    """The mixture boundary after some units; give it to a comparison as its quantile.

    Attributes:
        units: of both variants together, one number or one a cell.
        alpha: two-sided error over all moments.
        optimised_for: where the interval is narrowest; fix it before the first look.
    """

    units: ArrayLike
    alpha: float
    optimised_for: float = OPTIMISED_FOR

    def __post_init__(self) -> None:
        """Check the arguments once."""
        check_open("alpha", self.alpha)
        check_at_least("units", self.units, 1)
        check_at_least("optimised_for", self.optimised_for, 1)

    @property
    def _information(self) -> FloatArray:
        """Units times the squared scale of the mixture."""
        units = np.asarray(self.units, dtype=np.float64)
        return np.asarray(units * mixture_rate(self.alpha, self.optimised_for))

    @property
    def critical(self) -> FloatArray:
        """Normal critical value at this number of units."""
        seen = self._information
        log = 0.5 * np.log1p(seen) - np.log(self.alpha)
        return np.asarray(np.sqrt(2 * (1 + 1 / seen) * log))

    def repeated_p(self, p_value: ArrayLike) -> FloatArray:
        """Return the always-valid p-value of a single-look two-sided p-value.

        It is below alpha exactly when the single-look statistic exceeds `critical`.
        """
        z = normal_quantile(np.asarray(p_value, dtype=np.float64) / 2)
        evidence = _log_evidence(z, self._information)
        with np.errstate(under="ignore"):
            return np.asarray(np.exp(np.minimum(-evidence, 0.0)))


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """An interval that holds at every look together, however often one looks.

    Attributes:
        estimate: the effect.
        standard_error: of the estimate.
        half_width: distance from the estimate to the end of the interval.
        lower: lower end; -inf where only the upper end is asked for.
        upper: upper end; inf where only the lower end is asked for.
        p_value: valid at any time; keep the smallest seen so far (`running_p`).
        log_evidence: log of the e-value against no effect; -inf on the wrong side.
        status: not enough data before the burn-in (nothing is claimed: the interval is
            infinite and p is 1), degenerate without a standard error.
        method: the procedure, as shown to the analyst.
        alpha: error over all time.
    """

    estimate: FloatArray
    standard_error: FloatArray
    half_width: FloatArray
    lower: FloatArray
    upper: FloatArray
    p_value: FloatArray
    log_evidence: FloatArray
    status: StatusArray
    method: str
    alpha: FloatArray


@quiet
def always_valid(  # noqa: PLR0913  # an estimate, its size, and how it is tested
    estimate: ArrayLike,
    standard_error: ArrayLike,
    n: ArrayLike,
    *,
    alpha: ArrayLike = 0.05,
    n_opt: ArrayLike = OPTIMISED_FOR,
    one_sided: bool = False,
    direction: Literal["increase", "decrease"] = "increase",
    smaller: ArrayLike | None = None,
    burn_in: float = BURN_IN,
) -> ConfidenceSequence:
    """Return the asymptotic confidence sequence of a normal mixture at this moment.

    Works on any asymptotically linear estimate (mean, ratio, covariate-adjusted).

    Args:
        estimate: effect, any shape.
        standard_error: of the estimate.
        n: units of both arms together.
        alpha: error over all time.
        n_opt: number of units at which the interval is narrowest; fix it beforehand.
        one_sided: test for an effect in one direction only; only that end of the
            interval is finite. The bound is in closed form, wider than the exact
            mixture by less than 1 %.
        direction: of a one-sided test.
        smaller: units of the smaller arm; half of ``n`` when not given.
        burn_in: units of the smaller arm before which nothing is claimed.

    Raises:
        StatisticsError: alpha out of (0, 1), out of (0, 0.5) when one-sided, n_opt not
            positive, an unknown direction, or a burn-in that is negative.
    """
    error = check_open("alpha", alpha, 0.0, 0.5 if one_sided else 1.0)
    best = check_open("n_opt", n_opt, 0.0, np.inf)
    check_at_least("burn_in", burn_in, 0)
    _check_direction(direction)
    d, se, units, fewest, error, best = broadcast(
        estimate=estimate,
        standard_error=standard_error,
        n=n,
        smaller=as_floats("n", n) / 2 if smaller is None else smaller,
        alpha=error,
        n_opt=best,
    )
    known = (se > 0) & np.isfinite(se) & np.isfinite(d) & (units > 0)
    waiting = ~(fewest >= burn_in)
    z = (d if direction == "increase" else -d) / np.where(known, se, np.nan)
    seen = units * mixture_rate(2 * error if one_sided else error, best)
    evidence, limit = (_one_sided if one_sided else _two_sided)(z, seen, error)
    half = np.where(known, se, np.nan) * np.sqrt(2 * (1 + 1 / seen) * limit)
    half = np.where(waiting, np.inf, half)
    evidence = np.where(waiting, -np.inf, evidence)
    endless = np.full(d.shape, np.inf)
    return ConfidenceSequence(
        estimate=d,
        standard_error=se,
        half_width=half,
        lower=-endless if one_sided and direction == "decrease" else d - half,
        upper=endless if one_sided and direction == "increase" else d + half,
        p_value=np.asarray(np.exp(np.minimum(-evidence, 0.0))),
        log_evidence=evidence,
        status=statuses(
            d.shape, (waiting, Status.NOT_ENOUGH_DATA), (~known, Status.DEGENERATE)
        ),
        method="Always-valid normal mixture" + (", one-sided" if one_sided else ""),
        alpha=error,
    )


def _check_direction(direction: str) -> None:
    if direction not in {"increase", "decrease"}:
        raise StatisticsError(
            f'direction must be "increase" or "decrease", got {direction!r}'
        )


def running_p(p_values: ArrayLike, *, axis: int = -1) -> FloatArray:
    """Return the smallest p-value seen so far along the looks; NaN is no look.

    Always-valid p-values (also of `sequential_srm`) may be carried on like this;
    single-look ones may not.

    Args:
        p_values: one a look along ``axis``, each valid at any time.
        axis: the axis of looks.
    """
    return np.asarray(np.fmin.accumulate(as_floats("p_values", p_values), axis=axis))


def mixture_rate(alpha: ArrayLike, n_opt: ArrayLike) -> FloatArray:
    """Return the squared scale of the mixture that is narrowest at ``n_opt`` units.

    Args:
        alpha: two-sided error; twice the error of a one-sided test.
        n_opt: units of both arms together.
    """
    log = -2 * np.log(np.asarray(alpha, dtype=np.float64))
    return np.asarray((log + np.log1p(log)) / np.asarray(n_opt, dtype=np.float64))


def _log_evidence(z: FloatArray, seen: FloatArray) -> FloatArray:
    """Return the log of the two-sided e-value of a z statistic."""
    return np.asarray(seen * z * z / (2 * (1 + seen)) - 0.5 * np.log1p(seen))


def _two_sided(
    z: FloatArray, seen: FloatArray, error: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the log of the e-value, and the exponent at which the test rejects."""
    return _log_evidence(z, seen), np.asarray(0.5 * np.log1p(seen) - np.log(error))


def _one_sided(
    z: FloatArray, seen: FloatArray, error: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the same for the e-value 2 (e^x - 1) / root(1 + seen), 0 where z < 0."""
    x = seen * z * z / (2 * (1 + seen))
    gain = np.log(2) + x + np.log(-np.expm1(-x)) - 0.5 * np.log1p(seen)
    limit = np.log1p(np.sqrt(1 + seen) / (2 * error))
    return np.where(z <= 0, -np.inf, gain), np.asarray(limit)
