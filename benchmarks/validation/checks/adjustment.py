"""Covariates: how much variance they take away, and that useless ones cost nothing."""

import numpy as np

from benchmarks.validation.arms import side_by_side
from benchmarks.validation.claims import Claim, near
from benchmarks.validation.laws import Correlated
from experiments.statistics.aggregates import CrossMoments, JointMoments
from experiments.statistics.balance import covariate_balance
from experiments.statistics.covariates import adjust, adjusted_difference
from experiments.statistics.cupac import fit_with_predictions, predict_out_of_fold
from experiments.statistics.means import welch
from experiments.statistics.regression import regression_difference

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


def predictions(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """CUPAC: a metric that is curved in two features, 200 units a variant."""
    topic = "Predictions as covariate (CUPAC, out of fold), 200 units a variant"
    truth, arm = 0.2, np.repeat([0, 1], 200)
    estimates, plain, wrong = (np.empty(simulations) for _ in range(3))
    for i in range(simulations):
        features = generator.standard_normal((400, 2))
        signal = features[:, 0] + 0.5 * features[:, 1] ** 2
        metric = signal + truth * arm + generator.standard_normal(400)
        known = np.column_stack([features, features**2])
        found = predict_out_of_fold(metric, known, np.arange(400), seed=i)
        got = regression_difference(fit_with_predictions(metric, found, arm))
        estimates[i] = got.estimate
        wrong[i] = (got.lower > truth) | (got.upper < truth)
        plain[i] = metric[arm == 1].mean() - metric[arm == 0].mean()
    low, high = near(0.05, simulations)
    bias = abs(estimates.mean() - truth) / (estimates.std() / np.sqrt(simulations))
    return [
        Claim(
            topic,
            "interval leaves the truth out",
            float(wrong.mean()),
            low,
            high,
            simulations,
            "cupac",
        ),
        Claim(
            topic,
            "bias in standard errors of the simulation",
            float(bias),
            0.0,
            3.9,
            simulations,
            "cupac",
            share=False,
        ),
        Claim(
            topic,
            "variance over that of the plain difference (noise is 40 % of it)",
            float(estimates.var() / plain.var()),
            0.35,
            0.5,
            simulations,
            "cupac",
            share=False,
        ),
    ]


def balance_before(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """Three covariates of two sound variants: how often the test finds them apart."""
    found = np.empty(simulations)
    for i in range(simulations):
        rows = generator.standard_normal((2, 200, 3))
        found[i] = covariate_balance(JointMoments.from_units(rows)).p_value
    low, high = near(0.05, simulations)
    return [
        Claim(
            "Balance before exposure, three covariates",
            "p < 0.05 in a sound split",
            float((found < 0.05).mean()),
            low,
            high,
            simulations,
            "balance",
        )
    ]
