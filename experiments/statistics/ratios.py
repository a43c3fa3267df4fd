"""Ratio metrics (clicks per view, revenue per order) by the delta method.

The unit of analysis stays the shopper: a ratio of two per-shopper means behaves like
the mean of its linearised value e = (y - R x) / mean x, so every test of means applies.
Treating clicks as independent trials understates the noise severalfold.

References:
    Deng, Knoblich, Lu (2018), "Applying the delta method in metric analytics: a
    practical guide with novel ideas", KDD, section 2.2 and equation 4.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import CrossMoments, JointMoments, Moments
from experiments.statistics.comparison import Comparison, Quantile
from experiments.statistics.means import welch
from experiments.statistics.numeric import divide, quiet
from experiments.statistics.relative import fieller


@quiet
def linearised(ratio: CrossMoments) -> Moments:
    """Return moments of the ratio y / x as if it were a mean over units.

    The mean is NaN where the denominator's mean is zero. The third moment is not known.
    """
    value = divide(ratio.mean_y, ratio.mean_x)
    spread = ratio.m2_y - 2 * value * ratio.cxy + value**2 * ratio.m2_x
    return Moments(
        ratio.count,
        value,
        np.maximum(divide(spread, ratio.mean_x**2), 0.0),
        np.full(value.shape, np.nan),
    )


def ratio_difference(
    control: CrossMoments,
    treatment: CrossMoments,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two ratio metrics by their difference.

    Args:
        control: moments of numerator y and denominator x in the control.
        treatment: the same in the treatment.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1), or shapes that do not fit.
    """
    result = welch(
        linearised(control), linearised(treatment), alpha=alpha, quantile=quantile
    )
    return replace(result, method="Delta method, " + result.method)


def ratio_lift(
    control: CrossMoments,
    treatment: CrossMoments,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two ratio metrics as a lift over the control's ratio.

    Args:
        control: moments of numerator y and denominator x in the control.
        treatment: the same in the treatment.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1), or shapes that do not fit.
    """
    result = fieller(
        linearised(control), linearised(treatment), alpha=alpha, critical=quantile
    )
    return replace(result, method="Delta method, " + result.method)


@quiet
def linearised_columns(
    joint: JointMoments, pairs: Sequence[tuple[int, int | None]]
) -> JointMoments:
    """Return a table whose columns are ratios of columns, linearised.

    Args:
        joint: the raw columns.
        pairs: (numerator, denominator) column numbers of each new column; a plain
            column has the denominator None.
    """
    rows, values = [], []
    for numerator, denominator in pairs:
        weights = np.zeros_like(joint.mean)
        mean = joint.mean[..., numerator]
        if denominator is None:
            weights[..., numerator] = 1.0
        else:
            below = joint.mean[..., denominator]
            mean = divide(mean, below)
            weights[..., numerator] = divide(1.0, below)
            weights[..., denominator] = -divide(mean, below)
        rows.append(weights)
        values.append(mean)
    map_ = np.stack(rows, axis=-2)
    m2 = map_ @ joint.m2 @ np.swapaxes(map_, -1, -2)
    return JointMoments(joint.count, np.stack(values, axis=-1), m2)
