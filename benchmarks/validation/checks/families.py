"""Allocation alarms, and error over a family of twenty mixed metrics."""

from collections.abc import Callable

import numpy as np

from benchmarks.validation.arms import Arm
from benchmarks.validation.claims import Claim, near
from benchmarks.validation.laws import ClicksPerView, Normal, Poisson
from experiments.statistics import multiplicity, proportions, srm
from experiments.statistics.aggregates import CrossMoments, Moments
from experiments.statistics.dunnett import dunnett
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray
from experiments.statistics.ratios import ratio_difference
from experiments.statistics.simultaneous import adjust_family

ALARM = 0.001
ALPHA = 0.05
EACH = 5  # metrics of each of four kinds
CHANGED = 2  # of each kind, where some metrics have an effect
_LIFT = 0.15
FAMILY_WISE = ("bonferroni", "holm", "hochberg", "hommel")
DISCOVERY = ("benjamini_hochberg", "benjamini_yekutieli")


def sample_ratio_alarms(
    generator: np.random.Generator, simulations: int
) -> list[Claim]:
    """False alarms at p < 0.001 when nothing is wrong."""
    claims = []
    for name, units, weights in (
        ("two variants, 10,000 units", 10_000, (0.5, 0.5)),
        ("four variants at 40/30/20/10, 50,000 units", 50_000, (0.4, 0.3, 0.2, 0.1)),
    ):
        drawn = generator.multinomial(units, weights, simulations)
        # The same split has the same p-value: each is tested once.
        splits, times = np.unique(drawn, axis=0, return_counts=True)
        p = np.array([srm.sample_ratio(split, weights).p_value for split in splits])
        rate = float(times[p < ALARM].sum() / simulations)
        claims.append(
            Claim(
                "Sample ratio mismatch: false alarms at p < 0.001",
                name,
                rate,
                0.0005,
                0.0016,
                simulations,
                "srm",
            )
        )
    return claims


def views_as_independent(
    generator: np.random.Generator, simulations: int
) -> list[Claim]:
    """Clicks per view with views taken for independent trials, as a warning."""
    law = ClicksPerView("", units=400, views=11.0)
    arms = [law.draw(generator, simulations, 400, 0.0)[CrossMoments] for _ in range(2)]
    table = [np.rint(total * 400) for arm in arms for total in (arm.mean_y, arm.mean_x)]
    naive = proportions.difference(table[0], table[1], table[2], table[3])
    right = ratio_difference(arms[0], arms[1])
    low, high = near(ALPHA, simulations)
    topic = "Clicks per view: shoppers are dealt, not views (11 views each)"
    wrong = float(naive.excludes_zero.mean())
    good = float(right.excludes_zero.mean())
    return [
        Claim(
            topic, "delta method over shoppers", good, low, high, simulations, "ratios"
        ),
        Claim(
            topic,
            "views counted as independent (for contrast)",
            wrong,
            0.12,
            1.0,
            simulations,
            "proportions",
        ),
    ]


def many_metrics(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """Twenty mixed metrics, with no effect at all and with effects on eight."""
    claims = []
    for topic, changed in (("no effect", 0), (f"{4 * CHANGED} effects", CHANGED)):
        p_values, null = _family(generator, simulations, changed)
        for name in (*FAMILY_WISE, *DISCOVERY):
            adjust: Callable[[FloatArray], FloatArray] = getattr(multiplicity, name)
            found = np.array([adjust(row) < ALPHA for row in p_values])
            false = (found & null).sum(axis=1)
            wise = name in FAMILY_WISE
            share = false > 0 if wise else false / np.maximum(found.sum(axis=1), 1)
            what = "any false find" if wise else "false share of the finds"
            claims.append(
                Claim(
                    f"Twenty mixed metrics, {topic}",
                    f"{name.replace('_', '-').title()}: {what}",
                    float(share.mean()),
                    0.0,
                    0.055,
                    simulations,
                    "multiplicity",
                )
            )
    return claims


def _family(
    generator: np.random.Generator, simulations: int, changed: int
) -> tuple[FloatArray, np.ndarray]:
    """Return p-values, shape (simulation, metric), and which metrics have no effect."""
    columns: list[FloatArray] = []
    normal, ratio = Normal("", units=200), ClicksPerView("", units=500)
    counts = Poisson("", units=500)
    for metric in range(EACH):
        lift = _LIFT if metric < changed else 0.0

        def arms(law: Normal | ClicksPerView | Poisson) -> tuple[Arm, Arm]:
            return (
                law.draw(generator, simulations, law.units, 0.0),
                law.draw(generator, simulations, law.units, lift),  # noqa: B023  # now
            )

        a, b = arms(normal)
        columns.append(welch(a[Moments], b[Moments]).p_value)
        a, b = arms(counts)
        columns.append(welch(a[Moments], b[Moments]).p_value)
        a, b = arms(ratio)
        columns.append(ratio_difference(a[CrossMoments], b[CrossMoments]).p_value)
        events = generator.binomial(5_000, 0.05, simulations)
        more = generator.binomial(5_000, 0.05 * (1 + lift), simulations)
        columns.append(proportions.difference(events, 5_000, more, 5_000).p_value)
    null = np.repeat(np.arange(EACH) >= changed, 4)
    return np.stack(columns, axis=1), null


def one_control_for_several(
    generator: np.random.Generator, simulations: int
) -> list[Claim]:
    """Dunnett with four treatments: any false find, any interval wrong, and power."""
    shape = (simulations, 5)
    noise = generator.standard_normal(shape) / np.sqrt(200)
    m2 = generator.chisquare(199, shape)
    effect = np.array([0.0, 0.1, 0.1, 0.1, 0.1])
    flat = Moments(np.full(shape, 200.0), 1 + noise, m2, np.asarray(0.0))
    got = dunnett(flat, alpha=ALPHA)
    moved = dunnett(Moments(flat.count, flat.mean + effect, m2, flat.m3), alpha=ALPHA)
    wrong = (moved.lower > effect[1:]) | (moved.upper < effect[1:])
    low, high = near(ALPHA, simulations)
    return [
        Claim(
            "Four treatments, one control (Dunnett)",
            name,
            rate,
            low,
            high,
            simulations,
            "dunnett",
        )
        for name, rate in (
            ("any false find", float((got.p_value < ALPHA).any(axis=1).mean())),
            ("any interval leaves its truth out", float(wrong.any(axis=1).mean())),
        )
    ]


def selected_intervals(generator: np.random.Generator, simulations: int) -> list[Claim]:
    """FCR intervals of the cells that Benjamini-Hochberg selects, 20 metrics."""
    truth = np.repeat([0.0, 0.15, 0.3], [10, 5, 5])
    shape = (simulations, truth.size)
    noise = generator.standard_normal((2, *shape)) / np.sqrt(200)
    m2 = generator.chisquare(199, (2, *shape))
    count = np.full(shape, 200.0)
    arms = [
        Moments(count, mean + noise[i], m2[i], np.asarray(0.0))
        for i, mean in enumerate((np.zeros(20), truth))
    ]
    missed = np.zeros(simulations)
    for i in range(simulations):
        single = welch(arms[0][i], arms[1][i], alpha=ALPHA)
        (got,) = adjust_family(single, method="benjamini_hochberg", alpha=ALPHA)
        wrong = got.selected & ((got.lower > truth) | (got.upper < truth))
        missed[i] = wrong.sum() / max(int(got.selected.sum()), 1)
    return [
        Claim(
            "Twenty metrics, the selected ones shown with intervals",
            "FCR: false share of the intervals shown",
            float(missed.mean()),
            0.0,
            0.055,
            simulations,
            "simultaneous",
        )
    ]
