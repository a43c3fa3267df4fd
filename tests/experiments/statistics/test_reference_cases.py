"""Published numbers and other tools' answers, to the digits they print.

Sources: the tools' own test suites and documentation (gbstats, tea-tasting,
spotify-confidence, confseq) and papers, as named in each test.
"""

import numpy as np
import pytest

from experiments.statistics import multiplicity, proportions, srm
from experiments.statistics.aggregates import CrossMoments, JointMoments, Moments
from experiments.statistics.always_valid import always_valid
from experiments.statistics.comparison import Comparison
from experiments.statistics.covariates import (
    adjust,
    adjusted_difference,
    adjusted_lift,
)
from experiments.statistics.guardrails import Direction, Outcome, non_inferiority
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray, normal_quantile, normal_tail
from experiments.statistics.ratios import (
    linearised_columns,
    ratio_difference,
)
from experiments.statistics.relative import delta, fieller, log_delta
from experiments.statistics.sequential import Spending, boundaries
from tests.experiments.statistics.shared_data import columns

CONTROL = Moments.from_power_sums(3407, 1396.87, 52377.9767)
TREATMENT = Moments.from_power_sums(3461, 2422.7, 134698.29)
SHORT_CONTROL = Moments.from_power_sums(3000, 1396.87, 52377.9767)
REVENUE_CONTROL = Moments.from_power_sums(2023, 10602.60, 243736.4268)
REVENUE_TREATMENT = Moments.from_power_sums(1977, 11328.43, 278029.8889)


def interval(result: Comparison) -> tuple[float, float]:
    return float(result.lower), float(result.upper)


def near(*values: float, rel: float = 1e-5, abs_: float = 1e-12) -> object:
    return pytest.approx(values, rel=rel, abs=abs_)


def printed(*values: float, digits: int = 5) -> object:
    """Equal up to the last printed digit."""
    return pytest.approx(values, rel=0, abs=0.51 * 10.0**-digits)


def test_delta_lift_equals_the_growthbook_welch_reference() -> None:
    result = delta(CONTROL, TREATMENT)
    assert (float(result.estimate), float(result.standard_error)) == printed(
        0.70732, 0.37879
    )
    assert interval(result) == printed(-0.03526, 1.44989)
    assert float(result.p_value) == pytest.approx(0.06191, abs=5e-6)
    assert float(result.degrees_of_freedom) == pytest.approx(5841.742, abs=5e-4)


def test_welch_difference_equals_the_growthbook_reference() -> None:
    result = welch(CONTROL, TREATMENT)
    assert (float(result.estimate), float(result.standard_error)) == printed(
        0.29, 0.12478
    )
    assert interval(result) == printed(0.04538, 0.53462)
    assert float(result.p_value) == pytest.approx(0.02016, abs=5e-6)


def test_one_sided_figures_are_those_of_a_two_sided_test_at_twice_alpha() -> None:
    absolute = welch(SHORT_CONTROL, TREATMENT, alpha=0.1)
    assert float(absolute.estimate) == pytest.approx(0.23437666666666668)
    assert float(absolute.standard_error) == pytest.approx(0.12983081254184736)
    assert float(absolute.lower) == pytest.approx(0.020791480063255735)
    assert float(absolute.p_value) / 2 == pytest.approx(0.03554272489873023)
    relative = delta(SHORT_CONTROL, TREATMENT, alpha=0.1)
    assert float(relative.estimate) == pytest.approx(0.5033610858562358)
    assert float(relative.standard_error) == pytest.approx(0.3334122146400735)
    assert float(relative.lower) == pytest.approx(-0.045136675850396046)
    assert float(relative.p_value) / 2 == pytest.approx(0.06558262868467746)


def test_delta_lift_of_proportions_equals_the_growthbook_reference() -> None:
    """That tool takes p(1 - p) as the variance, without n - 1."""

    def arm(events: int, units: int) -> Moments:
        share = events / units
        m2 = share * (1 - share) * (units - 1)
        return Moments(*map(np.asarray, (float(units), share, m2, np.nan)))

    result = delta(arm(14, 28), arm(16, 30))
    assert (float(result.estimate), float(result.p_value)) == printed(0.06667, 0.80707)
    assert float(result.standard_error) == pytest.approx(0.2717, abs=5e-5)
    assert interval(result) == printed(-0.47767, 0.61101)


def test_revenue_difference_equals_the_tea_tasting_reference() -> None:
    result = welch(REVENUE_CONTROL, REVENUE_TREATMENT)
    assert float(result.estimate) == pytest.approx(0.48908310374047037)
    assert interval(result) == near(-0.13261881482743088, 1.1107850223083715)
    assert float(result.p_value) == pytest.approx(0.12306988554251341)
    z = result.estimate / result.standard_error
    assert float(2 * normal_tail(z)) == pytest.approx(0.12299000503137922)


def test_log_delta_lift_equals_the_tea_tasting_reference() -> None:
    result = log_delta(REVENUE_CONTROL, REVENUE_TREATMENT)
    assert interval(result) == near(-0.023737708948559866, 0.22440926894909263)


def test_fieller_interval_equals_the_independent_calculation() -> None:
    """The reference takes a normal quantile: the arms are given a huge df."""
    scale = 1e6
    big = [
        Moments(
            arm.count * scale, arm.mean, arm.variance * (arm.count * scale - 1), arm.m3
        )
        for arm in (REVENUE_CONTROL, REVENUE_TREATMENT)
    ]
    # The same squared standard errors at a huge df: widen the variance by the scale.
    control, treatment = (
        Moments(arm.count, arm.mean, arm.m2 * scale, arm.m3) for arm in big
    )
    assert interval(fieller(control, treatment)) == near(
        -0.0239756018, 0.2247702244, rel=1e-5
    )


def test_ratio_difference_equals_the_tea_tasting_reference() -> None:
    control = CrossMoments.from_power_sums(2023, 1073, 4038, 2073, 10098, 2648)
    treatment = CrossMoments.from_power_sums(1977, 1133, 3920, 2121, 9698, 2730)
    result = ratio_difference(control, treatment)
    assert float(result.estimate) == pytest.approx(
        0.28903061224489796 - 0.2657256067360079
    )
    assert interval(result) == near(-0.0024594336679094955, 0.04906944468568956)
    assert float(result.p_value) == pytest.approx(0.0762375997816836)


def tea_tasting_arms(*names: str) -> JointMoments:
    table = columns("tea_tasting_users_rng42.csv.gz")
    arms = [
        JointMoments.from_units(
            np.stack([table[name][table["variant"] == arm] for name in names], -1)
        )
        for arm in (0, 1)
    ]
    return JointMoments(
        np.stack([arm.count for arm in arms]),
        np.stack([arm.mean for arm in arms]),
        np.stack([arm.m2 for arm in arms]),
    )


def test_adjusted_revenue_equals_the_tea_tasting_reference() -> None:
    adjusted = adjust(tea_tasting_arms("revenue", "revenue_covariate"), slope="total")
    assert tuple(adjusted.moments.mean) == near(5.121453608942881, 5.852468057212217)
    result = adjusted_difference(adjusted)
    assert float(result.estimate) == pytest.approx(0.7310144482693364)
    assert interval(result) == near(0.20228702469056448, 1.2597418718481084)
    assert float(result.p_value) == pytest.approx(0.006743929281205273)


def test_adjusted_ratio_equals_the_tea_tasting_reference() -> None:
    arms = tea_tasting_arms(
        "orders", "sessions", "orders_covariate", "sessions_covariate"
    )
    pairs = [(0, 1), (2, 3)]
    everyone = arms[..., 0].merge(arms[..., 1])
    adjusted = adjust(
        linearised_columns(arms, pairs),
        slope="total",
        total=linearised_columns(everyone, pairs),
    )
    assert tuple(adjusted.moments.mean) == near(0.2615585590795329, 0.293292822116314)
    result = adjusted_difference(adjusted)
    assert float(result.estimate) == pytest.approx(0.03173426303678112)
    assert float(result.p_value) == pytest.approx(0.002292943842523004)


def test_covariate_adjustment_equals_the_growthbook_reference() -> None:
    arms = CrossMoments.from_power_sums(
        [3001, 3000], [300, 222], [210, 120], [600, 555], [415, 405], [-20, -10]
    )
    adjusted = adjust(arms, slope="total")
    assert float(adjusted.theta[0]) == pytest.approx(-0.07321194, abs=5e-9)
    spread = np.sqrt(adjusted.moments.variance)
    assert tuple(spread) == printed(0.43441657, 0.42352960, digits=8)
    assert float(adjusted_lift(adjusted).estimate) == pytest.approx(
        -0.281707154, abs=5e-10
    )
    # That tool takes the slope of the ratio at the plain means, ours at the adjusted
    # ones; from our parts at its point the standard error is the same.
    plain, u = adjusted.plain, adjusted.moments.standard_error2
    k = plain.mean[1] / plain.mean[0]
    u_plain, both = plain.standard_error2[0], adjusted.covariance[0]
    of_control = k * k * u_plain - 2 * k * (u_plain - both) + u[0] + u_plain - 2 * both
    error = np.sqrt(u[1] + of_control) / plain.mean[0]
    assert float(error) == pytest.approx(0.097104876, abs=5e-10)


def test_always_valid_interval_equals_the_growthbook_reference() -> None:
    sums = delta(SHORT_CONTROL, TREATMENT)
    got = always_valid(sums.estimate, sums.standard_error, 6461, n_opt=1000)
    low, high = sums.estimate - got.half_width, sums.estimate + got.half_width
    assert (float(low), float(high)) == printed(-0.55844, 1.56516)
    assert float(got.p_value) == 1.0
    one = always_valid(
        sums.estimate, sums.standard_error, 6461, n_opt=5000, one_sided=True
    )
    assert float(sums.estimate - one.half_width) == pytest.approx(-0.42356454602790883)
    plain = welch(SHORT_CONTROL, TREATMENT)
    one = always_valid(
        plain.estimate, plain.standard_error, 6461, n_opt=5000, one_sided=True
    )
    assert float(plain.estimate - one.half_width) == pytest.approx(-0.12656844172804982)


def test_always_valid_proportions_equal_the_growthbook_reference() -> None:
    p, q = 1396 / 3000, 2422 / 3461
    u, v = p * (1 - p) / 3000, q * (1 - q) / 3461
    error = np.sqrt(v / p**2 + u * q**2 / p**4)
    got = always_valid(q / p - 1, error, 6461, n_opt=5000)
    low, high = q / p - 1 - got.half_width, q / p - 1 + got.half_width
    assert (q / p - 1, float(low), float(high)) == printed(0.50386, 0.40098, 0.60675)


def test_always_valid_is_the_normal_mixture_of_confseq() -> None:
    """Unit variance, 100 observations: the boundary is half_width * n."""
    two = always_valid(0.1, 0.1, 100, n_opt=100, burn_in=0)
    assert float(two.half_width) * 100 == pytest.approx(30.35209, abs=5e-6)
    assert float(two.log_evidence) == pytest.approx(-0.6510052, abs=5e-8)
    one = always_valid(0.1, 0.1, 100, n_opt=100, one_sided=True, burn_in=0)
    # The closed form is an upper bound of the exact one-sided 27.66071.
    assert 27.66071 < float(one.half_width) * 100 < 27.80


def test_sample_ratio_equals_the_published_microsoft_example() -> None:
    result = srm.sample_ratio([821_588, 815_482], [1, 1])
    assert result.statistic == pytest.approx(22.7743688, abs=5e-8)
    assert result.p_value == pytest.approx(1.8217929e-6, abs=5e-14)


BENJAMINI_HOCHBERG_1995 = [
    [0.0001, 0.0004, 0.0019, 0.0095, 0.0201],
    [0.0278, 0.0298, 0.0344, 0.0459, 0.3240],
    [0.4262, 0.5719, 0.6528, 0.7590, 1.0000],
]


@pytest.mark.parametrize(
    ("adjusted", "rejected", "fourth"),
    [
        (multiplicity.benjamini_hochberg(BENJAMINI_HOCHBERG_1995), 4, 0.035625),
        (multiplicity.benjamini_yekutieli(BENJAMINI_HOCHBERG_1995), 3, 0.118212),
        (multiplicity.bonferroni(BENJAMINI_HOCHBERG_1995), 3, 0.1425),
        (multiplicity.holm(BENJAMINI_HOCHBERG_1995), 3, 0.114),
        (multiplicity.hochberg(BENJAMINI_HOCHBERG_1995), 3, 0.114),
        (multiplicity.hommel(BENJAMINI_HOCHBERG_1995), 3, 0.095),
    ],
)
def test_adjusted_p_values_equal_the_published_example(
    adjusted: FloatArray, rejected: int, fourth: float
) -> None:
    assert int((adjusted <= 0.05).sum()) == rejected
    assert float(adjusted[0, 3]) == pytest.approx(fourth, abs=5e-7)


def test_wilson_intervals_equal_newcombe_1998() -> None:
    lower, upper = proportions.wilson([81, 15, 0, 1], [263, 148, 20, 29])
    assert tuple(lower) == printed(0.2553, 0.0624, 0.0, 0.0061, digits=4)
    assert tuple(upper) == printed(0.3662, 0.1605, 0.1611, 0.1718, digits=4)


NEWCOMBE_TABLES = ([48, 3, 0], [80, 10, 29], [56, 9, 5], [70, 10, 56])


def test_newcombe_differences_equal_newcombe_1998() -> None:
    lower, upper = proportions.newcombe(*NEWCOMBE_TABLES)
    assert tuple(lower) == printed(0.0524, 0.1705, -0.0381, digits=4)
    assert tuple(upper) == printed(0.3339, 0.8090, 0.1926, digits=4)


def test_score_differences_equal_newcombe_1998() -> None:
    result = proportions.score_difference(*NEWCOMBE_TABLES)
    assert tuple(result.lower) == printed(0.0528, 0.1700, -0.0326, digits=4)
    assert tuple(result.upper) == printed(0.3382, 0.8406, 0.1933, digits=4)


def test_boundaries_equal_the_lan_demets_tables() -> None:
    """Digits printed by ldbounds and gsDesign; derived here at two resolutions."""
    looks = [0.2, 0.4, 0.6, 0.8, 1.0]
    cases: tuple[tuple[Spending, tuple[float, ...]], ...] = (
        ("obrien_fleming", (4.8769, 3.3570, 2.6803, 2.2898, 2.0310)),
        ("pocock", (2.4380, 2.4268, 2.4102, 2.3966, 2.3860)),
    )
    for kind, expected in cases:
        fine = boundaries(looks, 0.05, kind=kind, nodes=256)
        coarse = boundaries(looks, 0.05, kind=kind, nodes=64)
        assert tuple(fine) == printed(*expected, digits=4)
        assert float(np.abs(fine - coarse).max()) < 1e-8


def test_guardrail_equals_the_spotify_reference() -> None:
    control = Moments.from_power_sums(5000, 10021, 25142)
    treatment = Moments.from_power_sums(5000, 9892, 24510)
    absolute = welch(control, treatment, alpha=0.02)
    assert (float(absolute.estimate), *interval(absolute)) == printed(
        -0.0258, -0.0723, 0.0207, digits=4
    )
    # That tool keeps the margin fixed and uses a normal tail.
    margin = 0.02 * control.mean
    for gap, p_value, digits in (
        (absolute.estimate + margin, 0.2375, 4),
        (margin - absolute.estimate, 0.00049, 5),
    ):
        tail = float(normal_tail(gap / absolute.standard_error))
        assert (tail,) == printed(p_value, digits=digits)
    # Ours carries the noise of the margin too, with the same outcome.
    cases: tuple[tuple[Direction, float, Outcome], ...] = (
        ("increase", 0.2375, Outcome.INCONCLUSIVE),
        ("decrease", 0.00049, Outcome.PASS),
    )
    for direction, p_value, outcome in cases:
        result = non_inferiority(
            control, treatment, margin=0.02, direction=direction, alpha=0.01
        )
        assert result.outcome[()] == outcome
        assert float(result.p_value) == pytest.approx(p_value, rel=0.15)


def pooled_p(result: Comparison, units: float) -> float:
    """The p-value without the factor N / (N - 1) of Miettinen and Nurminen."""
    z = normal_quantile(result.p_value / 2) / np.sqrt(1 - 1 / units)
    return float(2 * normal_tail(z))


def test_landing_page_equals_the_published_udacity_result() -> None:
    result = proportions.difference(17_489, 145_274, 17_264, 145_310)
    assert float(result.estimate) == pytest.approx(0.1188081 - 0.1203863, abs=1e-7)
    p_value = pooled_p(result, 290_584)
    assert p_value == pytest.approx(0.1898834, abs=5e-8)
    assert 1 - p_value / 2 == pytest.approx(0.9050583, abs=5e-8)


def test_cookie_cats_retention_equals_the_published_result() -> None:
    table = columns("cookie_cats.csv.gz")
    arm = table["version"]
    units = [int((arm == k).sum()) for k in (0, 1)]
    assert units == [44_700, 45_489]
    for name, p_value, digits in (
        ("retention_1", 0.0744097, 7),
        ("retention_7", 0.0015542, 7),
    ):
        events = [int(table[name][arm == k].sum()) for k in (0, 1)]
        result = proportions.difference(events[0], units[0], events[1], units[1])
        assert (pooled_p(result, sum(units)),) == printed(p_value, digits=digits)
    mismatch = srm.sample_ratio(units, [1, 1])
    assert mismatch.statistic == pytest.approx(6.9024, abs=5e-5)
    assert mismatch.p_value == pytest.approx(0.0086079, abs=1e-7)


def test_cookie_cats_rounds_show_what_one_outlier_does() -> None:
    table = columns("cookie_cats.csv.gz")
    rounds, arm = table["sum_gamerounds"], table["version"]
    control, treatment = (Moments.from_units(rounds[arm == k]) for k in (0, 1))
    result = welch(control, treatment)
    assert float(control.mean) == pytest.approx(52.45626, abs=5e-6)
    assert float(result.p_value) == pytest.approx(0.3759244, abs=5e-8)
    assert result.status[()] == "skew_warning"
    sane = rounds < 49_854
    control, treatment = (Moments.from_units(rounds[(arm == k) & sane]) for k in (0, 1))
    assert float(welch(control, treatment).p_value) == pytest.approx(
        0.9494686, abs=5e-8
    )
