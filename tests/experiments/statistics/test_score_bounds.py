"""The score interval is where the score statistic itself says it is."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiments.statistics import proportions
from experiments.statistics.numeric import normal_quantile, rising_root

arms = st.tuples(st.sampled_from([1, 2, 7, 40, 1000, 30_000]), st.floats(0, 1)).map(
    lambda arm: (round(arm[0] * arm[1]), arm[0])
)


@settings(deadline=None, max_examples=200)
@given(control=arms, treatment=arms, alpha=st.sampled_from([0.001, 0.05, 0.3]))
@example(control=(0, 20), treatment=(0, 10**10), alpha=0.05)
@example(control=(3, 10**10), treatment=(9, 10**10), alpha=0.05)
@example(control=(3 * 10**9, 10**10), treatment=(9 * 10**9, 10**10), alpha=0.05)
@example(control=(20, 20), treatment=(7, 7), alpha=0.05)
@example(control=(20, 20), treatment=(0, 7), alpha=0.05)
@example(control=(1, 1), treatment=(30_000, 30_000), alpha=0.3)
def test_the_score_at_a_bound_is_the_critical_value(
    control: tuple[int, int], treatment: tuple[int, int], alpha: float
) -> None:
    table = (*control, *treatment)
    x0, n0, x1, n1 = (np.asarray(float(count)) for count in table)
    q = float(normal_quantile(alpha / 2))
    points = proportions.score_difference(*table, alpha=alpha)
    lift = proportions.score_relative_difference(*table, alpha=alpha)
    for result, score, shift in (
        (points, proportions.difference_score, 0.0),
        (lift, proportions.ratio_score, 1.0),
    ):
        for bound, side in ((result.lower, 1), (result.upper, -1)):
            value = bound + shift
            if not np.isfinite(value) or abs(float(bound)) == 1:
                continue
            away = abs(float(bound - result.estimate))
            nudge = 1e-6 * (away if np.isfinite(away) else float(value))
            inner, outer = (
                float(score(x0, n0, x1, n1, value + side * sign * nudge))
                for sign in (1, -1)
            )
            # The statistic jumps where a rate reaches 0 or 1, so it is bracketed.
            assert side * inner <= q * (1 + 1e-4)
            assert side * outer >= q * (1 - 1e-4)


def test_a_hundred_thousand_tables_are_compared_together() -> None:
    events = np.random.default_rng(0).binomial(4000, 0.05, (2, 100_000))
    got = proportions.difference(events[0], 4000, events[1], 4000)
    assert (got.excludes_zero == (got.p_value < 0.05)).all()


def test_a_rising_root_is_found_to_the_last_digits() -> None:
    level = np.array([1e-9, 0.2, 0.999])
    got = rising_root(lambda at: at**3 - level, np.zeros(3), np.ones(3))
    assert got == pytest.approx(np.cbrt(level), rel=1e-12)
