"""Always-valid inference: an interval that may be watched at any moment.

The boundary of the normal mixture depends on the data through the number of units
only, so it can be given to every comparison as its quantile, as the group-sequential
`sequential.Look` can: what holds at planned looks and between them then comes from the
same tests.

References:
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2021), "Time-uniform central limit
    theory and asymptotic confidence sequences", arXiv:2103.06476, theorem 2.2.
    Howard, Ramdas, McAuliffe, Sekhon (2021), "Time-uniform, nonparametric,
    nonasymptotic confidence sequences", Annals of Statistics 49(2), proposition 5
    (two-sided normal mixture) and section 3.5 (tuning).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.numeric import (
    FloatArray,
    check_at_least,
    check_open,
    normal_quantile,
)

OPTIMISED_FOR = 5_000
"""Units of both variants together at which the interval is narrowest by default."""


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
        log = -2 * np.log(self.alpha)
        rate = (log + np.log(1 + log)) / self.optimised_for
        return np.asarray(np.asarray(self.units, dtype=np.float64) * rate)

    @property
    def critical(self) -> FloatArray:
        """Normal critical value at this number of units."""
        seen = self._information
        log = 0.5 * np.log(seen + 1) - np.log(self.alpha)
        return np.asarray(np.sqrt(2 * (seen + 1) / seen * log))

    def repeated_p(self, p_value: ArrayLike) -> FloatArray:
        """Return the always-valid p-value of a single-look two-sided p-value.

        It is below alpha exactly when the single-look statistic exceeds `critical`.
        """
        z = normal_quantile(np.asarray(p_value, dtype=np.float64) / 2)
        seen = self._information
        with np.errstate(under="ignore"):
            evidence = seen * z * z / (2 * (seen + 1)) - 0.5 * np.log(seen + 1)
            return np.asarray(np.minimum(1.0, np.exp(-evidence)))
