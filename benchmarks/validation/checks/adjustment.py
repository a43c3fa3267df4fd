"""Covariates: how much variance they take away, and that useless ones cost nothing."""

import numpy as np

from benchmarks.validation.arms import side_by_side
from benchmarks.validation.claims import Claim
from benchmarks.validation.laws import Correlated
from experiments.statistics.aggregates import CrossMoments
from experiments.statistics.covariates import adjust, adjusted_difference
from experiments.statistics.means import welch

TOPIC = "Covariate adjustment (CUPED), 500 units a variant"


def variance_left(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """Variance of the adjusted over the plain difference, against 1 - rho^2."""
    claims = []
    for rho in (0.0, 0.3, 0.7, 0.9):
        law = Correlated("", units=500, rho=rho)
        control, treatment = (
            law.draw(generator, simulations, 500, 0.0)[CrossMoments] for _ in range(2)
        )
        adjusted = adjust(side_by_side(control, treatment))
        result = adjusted_difference(adjusted)
        plain = welch(adjusted.plain[..., 0], adjusted.plain[..., 1])
        left = float(np.var(result.estimate) / np.var(plain.estimate))
        claimed = float((result.standard_error**2).mean() / np.var(result.estimate))
        name = f"correlation {rho:g}"
        if rho == 0:
            claims.append(_claim(f"{name}: variance left", left, 0, 1.02, simulations))
        else:
            ratio = left / (1 - rho**2)
            claims.append(
                _claim(
                    f"{name}: variance left over 1 - correlation²",
                    ratio,
                    0.98,
                    1.02,
                    simulations,
                )
            )
        claims.append(
            _claim(
                f"{name}: claimed over true variance", claimed, 0.97, 1.03, simulations
            )
        )
    return claims


def _claim(name: str, figure: float, low: float, high: float, size: int) -> Claim:
    return Claim(TOPIC, name, figure, low, high, size, "covariates", share=False)
