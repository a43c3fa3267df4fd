"""An estimate standing in for an arm, so that comparisons of means apply to it.

A stratified mean, a cluster-robust mean or a mean over switchback blocks is known by
its value, its squared standard error and its degrees of freedom. Moments of imaginary
units with just these three make `means.welch` and `relative.fieller`, looks included,
tests of such estimates: Welch's degrees of freedom become Satterthwaite's.

References:
    Satterthwaite (1946), "An approximate distribution of estimates of variance
    components", Biometrics Bulletin 2(6).
"""

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.numeric import broadcast, quiet


@quiet
def as_moments(
    mean: ArrayLike, standard_error2: ArrayLike, degrees_of_freedom: ArrayLike
) -> Moments:
    """Return moments whose mean, its squared error and its df are those given.

    Args:
        mean: the estimate; NaN where there is none (an empty cell).
        standard_error2: its squared standard error; NaN where it is not known.
        degrees_of_freedom: of the squared standard error; below 1 counts as 1.

    Raises:
        StatisticsError: the shapes do not fit together.
    """
    mean, error2, df = broadcast(
        mean=mean,
        standard_error2=standard_error2,
        degrees_of_freedom=degrees_of_freedom,
    )
    known = np.isfinite(mean) & np.isfinite(error2) & (df > 0)
    df = np.where(known, np.maximum(df, 1.0), 0.0)
    alone = np.where(np.isfinite(mean), 1.0, 0.0)
    return Moments(
        np.where(known, df + 1, alone),
        np.where(np.isfinite(mean), mean, 0.0),
        np.where(known, error2 * df * (df + 1), 0.0),
        np.full(mean.shape, np.nan),
    )
