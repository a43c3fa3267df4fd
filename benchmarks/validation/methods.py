"""The table of methods: to validate a new one, add an entry.

An entry names the method, the laws it is meant for and the function that turns two arms
into a `Comparison`; the bar says what is asked of its error rate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from benchmarks.validation.arms import Arm, Events, Law, side_by_side
from benchmarks.validation.bars import Bar
from benchmarks.validation.laws import (
    Bernoulli,
    ClicksPerView,
    Correlated,
    Normal,
    Poisson,
    Revenue,
)
from experiments.statistics import proportions
from experiments.statistics.aggregates import CrossMoments, Moments
from experiments.statistics.comparison import Comparison
from experiments.statistics.covariates import (
    Adjusted,
    adjust,
    adjusted_difference,
    adjusted_lift,
)
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray
from experiments.statistics.ratios import ratio_difference, ratio_lift
from experiments.statistics.relative import delta, fieller, log_delta

Form = TypeVar("Form")
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


def _table(a: Arm, b: Arm) -> tuple[FloatArray, int, FloatArray, int]:
    return a[Events].count, a.units, b[Events].count, b.units


def _adjusted(control: Arm, treatment: Arm) -> Adjusted:
    """Return the arms with the covariate's part taken out."""
    return adjust(side_by_side(control[CrossMoments], treatment[CrossMoments]))


def on(kind: type[Form], compare: Callable[..., Comparison]) -> Compare:
    """Return a comparison of one form of the arms, which most methods are."""
    return lambda a, b, alpha: compare(a[kind], b[kind], alpha=alpha)


METHODS: tuple[Method, ...] = (
    Method("Welch, difference", "means", (*MEANS, *MONEY), on(Moments, welch)),
    Method("Fieller, lift", "relative", (*MEANS, *MONEY), on(Moments, fieller)),
    Method(
        "linear delta, lift",
        "relative",
        (*MEANS, *MONEY),
        on(Moments, delta),
        Bar.LABELLED,
    ),
    Method(
        "log delta, lift",
        "relative",
        (*MEANS, *MONEY),
        on(Moments, log_delta),
        Bar.LABELLED,
    ),
    Method(
        "score, difference",
        "proportions",
        CONVERSION,
        lambda a, b, alpha: proportions.difference(*_table(a, b), alpha=alpha),
        Bar.UPPER,
    ),
    Method(
        "score, lift",
        "proportions",
        CONVERSION,
        lambda a, b, alpha: proportions.relative_difference(*_table(a, b), alpha=alpha),
        Bar.UPPER,
    ),
    Method(
        "delta method, difference of ratios",
        "ratios",
        ("ratio",),
        on(CrossMoments, ratio_difference),
    ),
    Method(
        "delta method, lift of ratios",
        "ratios",
        ("ratio",),
        on(CrossMoments, ratio_lift),
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
