"""Simulated experiments as sufficient statistics: no row is ever drawn.

Means and sums of products of normal rows are independent, normal and Wishart (Bartlett
1933); thousands of large experiments cost milliseconds.
"""

import numpy as np

from experiments.statistics.aggregates import JointMoments
from experiments.statistics.numeric import FloatArray


def joint_moments(
    rng: np.random.Generator,
    simulations: int,
    counts: FloatArray,
    means: FloatArray,
    slopes: FloatArray,
    *,
    covariates: int = 1,
) -> JointMoments:
    """Return arms (simulation, arm, column) of y = mean + slope * x1 + noise.

    Covariates and noise are standard normal; covariates beyond the first are useless.
    """
    size, arms = covariates + 1, len(counts)
    factor = np.zeros((arms, size, size))
    factor[:, range(1, size), range(1, size)] = 1.0
    factor[:, 0, 0] = 1.0
    factor[:, 0, 1] = slopes
    shape = (simulations, arms, size)
    deviation = (factor @ rng.standard_normal((*shape, 1)))[..., 0]
    mean = deviation / np.sqrt(counts)[:, None]
    mean[..., 0] += means
    half = np.tril(rng.standard_normal((*shape, size)), -1)
    for k in range(size):
        chi2 = rng.chisquare(counts - 1 - k, (simulations, arms))
        half[..., k, k] = np.sqrt(chi2)
    root = factor @ half
    return JointMoments(
        np.broadcast_to(counts, (simulations, arms)),
        mean,
        root @ np.swapaxes(root, -1, -2),
    )
