"""Adaptive experiments: pooling lies, comparing within epochs does not."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.adaptive import allocate
from experiments.statistics.aggregates import Moments, merge
from experiments.statistics.comparison import Comparison, Status
from experiments.statistics.epochs import (
    batched_difference,
    by_epoch,
    epoch_difference,
    epoch_lift,
    ipw_difference,
)
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray, StatisticsError
from experiments.statistics.sequential import Look
from tests.experiments.statistics.test_laws import agree, known_or_marked

Arms = tuple[Moments, Moments]
SIMULATIONS, EPOCHS, UNITS = 2000, 8, 200


def adaptive_experiment(
    effect: float, trend: float, seed: int
) -> tuple[Arms, FloatArray]:
    """Thompson sampling over epochs whose level moves; moments are drawn directly."""
    rng = np.random.default_rng(seed)
    shares, past = np.full((SIMULATIONS, 2), 0.5), []
    rows: list[list[Moments]] = [[], []]
    for epoch in range(EPOCHS):
        past.append(shares)
        treated = rng.binomial(UNITS, shares[:, 1]).astype(float)
        for arm, count in enumerate((UNITS - treated, treated)):
            level = 1 + trend * epoch / EPOCHS + effect * arm
            mean = rng.normal(level, 1 / np.sqrt(np.maximum(count, 1)))
            m2 = rng.chisquare(np.maximum(count - 1, 1e-9))
            rows[arm].append(Moments(count, mean, m2, np.asarray(np.nan)))
        arms = stacked(rows)
        units = arms[0].count + arms[1].count
        sofar = [by_epoch(arm, units) for arm in arms]
        both = Moments(
            *(
                np.stack([getattr(arm, name) for arm in sofar], axis=-1)
                for name in ("count", "mean", "m2", "m3")
            )
        )
        shares = allocate(both, rule="thompson", floor=0.1).shares
    return stacked(rows), np.stack(past, axis=-1)


def stacked(rows: list[list[Moments]]) -> Arms:
    first, second = (
        Moments(
            *(
                np.stack([getattr(epoch, name) for epoch in arm], axis=-1)
                for name in ("count", "mean", "m2", "m3")
            )
        )
        for arm in rows
    )
    return first, second


def pooled(arms: Arms) -> Comparison:
    return welch(
        *(reduce(merge, [arm[..., epoch] for epoch in range(EPOCHS)]) for arm in arms)
    )


def missed(result: Comparison, truth: float) -> float:
    return float(((result.lower > truth) | (result.upper < truth)).mean())


@pytest.mark.parametrize(("effect", "seed"), [(0.0, 0), (0.1, 1)])
def test_under_a_trend_pooling_is_biased_and_epochs_are_not(
    effect: float, seed: int
) -> None:
    arms, shares = adaptive_experiment(effect, trend=2.0, seed=seed)
    plain = pooled(arms)
    assert missed(plain, effect) > 0.5
    if effect:
        assert float(plain.estimate.mean()) - effect > 0.1
    for result, most in (
        (epoch_difference(*arms), 0.069),
        (batched_difference(*arms), 0.069),
        (ipw_difference(*arms, (shares[:, 0], shares[:, 1])), 0.069),
    ):
        error = float(result.estimate.std()) / SIMULATIONS**0.5
        bias = abs(float(result.estimate.mean()) - effect)
        # Standardised weights lean a little towards the epochs that settled the shares.
        assert bias < (0.008 if result.method.startswith("Batched") else 3 * error)
        assert 0.025 <= missed(result, effect) <= most


def test_without_a_trend_the_pooled_mean_of_an_arm_is_too_low() -> None:
    arms, _ = adaptive_experiment(0.0, trend=0.0, seed=2)
    count = arms[0].count + arms[1].count
    for arm in arms:
        plain = reduce(merge, [arm[..., epoch] for epoch in range(EPOCHS)]).mean
        fair = by_epoch(arm, count).mean
        assert float(plain.mean()) - 1 < -5 * float(plain.std()) / SIMULATIONS**0.5
        assert abs(float(fair.mean()) - 1) < 3 * float(fair.std()) / SIMULATIONS**0.5


def units(seed: int, counts: list[int], level: float) -> list[FloatArray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(level + epoch, 1.0, n) for epoch, n in enumerate(counts)]


def moments(rows: list[FloatArray]) -> Moments:
    parts = [Moments.from_units(row) for row in rows]
    return stacked([parts, parts])[0]


def test_the_difference_is_the_stratified_one_by_hand() -> None:
    control, treatment = units(0, [30, 80], 0.0), units(1, [70, 20], 0.3)
    result = epoch_difference(moments(control), moments(treatment))
    weights = [0.5, 0.5]
    gaps = [b.mean() - a.mean() for a, b in zip(control, treatment, strict=True)]
    parts = [
        (w**2 * row.var(ddof=1) / row.size, row.size)
        for arm in (control, treatment)
        for w, row in zip(weights, arm, strict=True)
    ]
    variance = sum(part for part, _ in parts)
    df = variance**2 / sum(part**2 / (n - 1) for part, n in parts)
    assert float(result.estimate) == pytest.approx(sum(gaps) / 2)
    assert float(result.standard_error) == pytest.approx(variance**0.5)
    assert float(result.degrees_of_freedom) == pytest.approx(df)


def test_ipw_is_the_weighted_mean_of_units_by_hand() -> None:
    control, treatment = units(2, [40], 1.0), units(3, [60], 1.5)
    centre = np.concatenate([*control, *treatment]).mean()
    scores = np.concatenate(
        [-(control[0] - centre) / 0.4, (treatment[0] - centre) / 0.6]
    )
    result = ipw_difference(moments(control), moments(treatment), (0.4, 0.6))
    assert float(result.estimate) == pytest.approx(scores.mean())
    assert float(result.standard_error) == pytest.approx(scores.std(ddof=1) / 10)


def test_one_epoch_is_welch() -> None:
    control, treatment = moments(units(4, [50], 0.0)), moments(units(5, [60], 0.2))
    wanted = welch(control[..., 0], treatment[..., 0])
    result = epoch_difference(control, treatment)
    for name in ("estimate", "standard_error", "lower", "p_value"):
        assert float(getattr(result, name)) == pytest.approx(
            float(getattr(wanted, name))
        )


def test_an_epoch_without_an_arm_is_left_out() -> None:
    control, treatment = units(6, [50, 0, 40], 0.0), units(7, [60, 90, 40], 0.0)
    whole = epoch_difference(moments(control), moments(treatment))
    short = epoch_difference(
        moments([control[0], control[2]]), moments([treatment[0], treatment[2]])
    )
    assert float(whole.estimate) == pytest.approx(float(short.estimate))
    assert whole.status == Status.OK
    empty = moments([np.array([])])
    assert epoch_difference(empty, moments([treatment[0]])).status != Status.OK


values = st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), max_size=6)


@settings(deadline=None)
@given(st.lists(st.tuples(values, values), min_size=1, max_size=3))
def test_any_epochs_give_figures_or_a_status(
    epochs: list[tuple[list[float], list[float]]],
) -> None:
    control, treatment = (moments([np.array(e[k]) for e in epochs]) for k in (0, 1))
    for quantile in (None, Look((0.5,), alpha=0.05)):
        for result in (
            epoch_difference(control, treatment, quantile=quantile),
            batched_difference(control, treatment, quantile=quantile),
            epoch_lift(control, treatment, quantile=quantile),
            ipw_difference(control, treatment, (0.3, 0.7), quantile=quantile),
        ):
            assert agree(result)
            assert known_or_marked(result)


def test_wrong_arguments_are_named() -> None:
    arm = moments(units(0, [9, 9], 0.0))
    with pytest.raises(StatisticsError, match=r"shares\[0\] must lie in"):
        ipw_difference(arm, arm, (0.0, 0.5))
    with pytest.raises(StatisticsError, match="units must be finite"):
        epoch_difference(arm, arm, [-1.0, 5.0])
    with pytest.raises(StatisticsError, match="alpha must lie in"):
        epoch_difference(arm, arm, alpha=np.nan)
