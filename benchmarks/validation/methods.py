"""The table of methods: to validate a new one, add an entry.

An entry names the method, the laws it is meant for and the function that turns two arms
into a `Comparison`; the bar says what is asked of its error rate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from benchmarks.validation.bars import Bar
from benchmarks.validation.laws import (
    Arm,
    Bernoulli,
    ClicksPerView,
    Correlated,
    Law,
    Normal,
    Poisson,
    Revenue,
)
from experiments.statistics import proportions
from experiments.statistics.aggregates import CrossMoments
from experiments.statistics.comparison import Comparison
from experiments.statistics.covariates import (
    Adjusted,
    adjust,
    adjusted_difference,
    adjusted_lift,
)
from experiments.statistics.means import welch
from experiments.statistics.ratios import ratio_difference, ratio_lift
from experiments.statistics.relative import delta, fieller, log_delta

Compare: TypeAlias = Callable[[Arm, Arm, float], Comparison]

# A law keeps its place: its cells' seeds follow from it. New laws go to the end.
LAWS: tuple[Law, ...] = (
    Normal("normal", units=200),
    Bernoulli("Bernoulli 5 %", units=10_000, share=0.05),
    Bernoulli("Bernoulli 0.5 %", units=10_000, share=0.005),
    Poisson("Poisson", units=1_000),
    Revenue("zero-inflated log-normal", units=10_000),
    ClicksPerView("ratio", units=1_000),
    Correlated("normal with covariate", units=500),
)

MEANS = ("normal", "Bernoulli 5 %", "Bernoulli 0.5 %", "Poisson")
MONEY = ("zero-inflated log-normal",)
CONVERSION = ("Bernoulli 5 %", "Bernoulli 0.5 %")


@dataclass(frozen=True)
class Method:
    """One row of the grid.

    Attributes:
        name: as shown; a method's absolute and relative form are two entries.
        module: where it lives in ``experiments.statistics``.
        laws: names of the laws it is validated on.
        compare: two arms and alpha to a comparison.
        bar: what is asked of the error rate.
        simulations: a cell; fewer for methods that resample.
    """

    name: str
    module: str
    laws: tuple[str, ...]
    compare: Compare
    bar: Bar = Bar.BOTH
    simulations: int = 10_000

    def __reduce__(self) -> tuple[Callable[[str], "Method"], tuple[str]]:
        """Travel between processes by name."""
        return named, (self.name,)


def _score(a: Arm, b: Arm, alpha: float) -> Comparison:
    return proportions.difference(a.events, a.units, b.events, b.units, alpha=alpha)


def _score_lift(a: Arm, b: Arm, alpha: float) -> Comparison:
    return proportions.relative_difference(
        a.events, a.units, b.events, b.units, alpha=alpha
    )


def _adjusted(control: Arm, treatment: Arm) -> Adjusted:
    """Return the arms with the covariate's part taken out."""
    a, b = control.cross, treatment.cross
    return adjust(
        CrossMoments(
            *(
                np.stack([getattr(a, name), getattr(b, name)], axis=-1)
                for name in ("count", "mean_y", "mean_x", "m2_y", "m2_x", "cxy")
            )
        )
    )


METHODS: tuple[Method, ...] = (
    Method(
        "Welch, difference",
        "means",
        (*MEANS, *MONEY),
        lambda a, b, alpha: welch(a.moments, b.moments, alpha=alpha),
    ),
    Method(
        "Fieller, lift",
        "relative",
        (*MEANS, *MONEY),
        lambda a, b, alpha: fieller(a.moments, b.moments, alpha=alpha),
    ),
    Method(
        "linear delta, lift",
        "relative",
        (*MEANS, *MONEY),
        lambda a, b, alpha: delta(a.moments, b.moments, alpha=alpha),
        Bar.LABELLED,
    ),
    Method(
        "log delta, lift",
        "relative",
        (*MEANS, *MONEY),
        lambda a, b, alpha: log_delta(a.moments, b.moments, alpha=alpha),
        Bar.LABELLED,
    ),
    Method("score, difference", "proportions", CONVERSION, _score, Bar.UPPER),
    Method("score, lift", "proportions", CONVERSION, _score_lift, Bar.UPPER),
    Method(
        "delta method, difference of ratios",
        "ratios",
        ("ratio",),
        lambda a, b, alpha: ratio_difference(a.cross, b.cross, alpha=alpha),
    ),
    Method(
        "delta method, lift of ratios",
        "ratios",
        ("ratio",),
        lambda a, b, alpha: ratio_lift(a.cross, b.cross, alpha=alpha),
    ),
    Method(
        "CUPED, difference",
        "covariates",
        ("normal with covariate",),
        lambda a, b, alpha: adjusted_difference(_adjusted(a, b), alpha=alpha),
    ),
    Method(
        "CUPED, lift",
        "covariates",
        ("normal with covariate",),
        lambda a, b, alpha: adjusted_lift(_adjusted(a, b), alpha=alpha),
    ),
)


def named(name: str) -> Method:
    """Return the method of that name."""
    return next(entry for entry in METHODS if entry.name == name)
