"""The table of methods: to validate a new one, add an entry.

An entry names the method, the laws it is meant for and the function that turns two arms
into a `Comparison`; the bar says what is asked of its error rate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from benchmarks.validation.adaptive import Adaptive, Epochs
from benchmarks.validation.arms import Arm, Events, Law, side_by_side
from benchmarks.validation.bars import Bar
from benchmarks.validation.grouped import (
    Blocks,
    ResampledRevenue,
    Rows,
    Shops,
    Strata,
    Switchback,
)
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
from experiments.statistics.bootstrap import bootstrap_difference, bootstrap_lift
from experiments.statistics.clusters import cluster_difference, cluster_lift
from experiments.statistics.comparison import Comparison
from experiments.statistics.counts import rate_difference, rate_ratio
from experiments.statistics.covariates import (
    Adjusted,
    adjust,
    adjusted_difference,
    adjusted_lift,
)
from experiments.statistics.epochs import (
    batched_difference,
    epoch_difference,
    epoch_lift,
    ipw_difference,
)
from experiments.statistics.means import welch
from experiments.statistics.numeric import FloatArray
from experiments.statistics.quantiles import (
    QuantileStatistics,
    quantile_difference,
    quantile_lift,
)
from experiments.statistics.ratios import ratio_difference, ratio_lift
from experiments.statistics.regression import (
    Regression,
    fit,
    regression_difference,
    regression_lift,
)
from experiments.statistics.relative import delta, fieller, log_delta
from experiments.statistics.replicates import ReplicateSums
from experiments.statistics.skewed import skew_corrected, skew_corrected_lift
from experiments.statistics.stratification import (
    stratified_difference,
    stratified_lift,
    stratify,
)
from experiments.statistics.switchback import block_difference

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
    Rows("clustered quantile", units=500),
    Rows("quantile of units", units=1_000, alike=0.0),
    ResampledRevenue("zero-inflated log-normal, resampled", units=10_000),
    Shops("shops", units=15),
    Switchback("switchback", units=30),
    Adaptive("adaptive shares", units=200),
    Bernoulli("few units, 5 %", units=100, share=0.05, block=10_000, fewer=60),
    Bernoulli("few events, 0.5 %", units=500, share=0.005, block=10_000, fewer=60),
    Poisson("few counts", units=100, rate=0.1, block=10_000, fewer=60),
    Strata("normal in five strata", units=200),
    Shops("many shops", units=60),
    ResampledRevenue("even money, resampled", units=10_000, sigma=0.5),
)

MEANS = ("normal", "Bernoulli 5 %", "Bernoulli 0.5 %", "Poisson")
MONEY = ("zero-inflated log-normal",)
QUANTILES = ("clustered quantile", "quantile of units")
RESAMPLED = ("zero-inflated log-normal, resampled", "even money, resampled")
SHOPS = ("shops", "many shops")
COUNTS = ("Poisson", "few counts")
CONVERSION = ("Bernoulli 5 %", "Bernoulli 0.5 %", "few units, 5 %", "few events, 0.5 %")


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


def _fitted(control: Arm, treatment: Arm) -> Regression:
    return fit(side_by_side(control[CrossMoments], treatment[CrossMoments]))


def _epochs(control: Arm, treatment: Arm) -> tuple[Moments, Moments]:
    return control[Epochs].moments, treatment[Epochs].moments


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
        "skew-corrected, difference",
        "skewed",
        (*MEANS, *MONEY),
        on(Moments, skew_corrected),
    ),
    Method(
        "skew-corrected, lift",
        "skewed",
        (*MEANS, *MONEY),
        on(Moments, skew_corrected_lift),
    ),
    Method(
        "post-stratified, difference",
        "stratification",
        ("normal in five strata",),
        lambda a, b, alpha: stratified_difference(
            stratify(a[Moments], b[Moments]), alpha=alpha
        ),
    ),
    Method(
        "post-stratified, lift",
        "stratification",
        ("normal in five strata",),
        lambda a, b, alpha: stratified_lift(
            stratify(a[Moments], b[Moments]), alpha=alpha
        ),
    ),
    Method(
        "proportion, difference",
        "proportions",
        CONVERSION,
        lambda a, b, alpha: proportions.difference(*_table(a, b), alpha=alpha),
        Bar.UPPER,
    ),
    Method(
        "proportion, lift",
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
        "quantile, difference",
        "quantiles",
        QUANTILES,
        on(QuantileStatistics, quantile_difference),
    ),
    Method(
        "quantile, lift", "quantiles", QUANTILES, on(QuantileStatistics, quantile_lift)
    ),
    Method(
        "bootstrap-t, difference",
        "bootstrap",
        RESAMPLED,
        on(ReplicateSums, bootstrap_difference),
        simulations=1_000,
    ),
    Method(
        "bootstrap-t, lift",
        "bootstrap",
        RESAMPLED,
        on(ReplicateSums, bootstrap_lift),
        simulations=1_000,
    ),
    Method("clusters, difference", "clusters", SHOPS, on(Moments, cluster_difference)),
    Method("clusters, lift", "clusters", SHOPS, on(Moments, cluster_lift)),
    Method(
        "switchback, difference",
        "switchback",
        ("switchback",),
        lambda a, b, alpha: block_difference(
            a[Blocks].outcome, b[Blocks].schedule, alpha=alpha
        ),
    ),
    Method(
        "by epoch, difference",
        "epochs",
        ("adaptive shares",),
        lambda a, b, alpha: epoch_difference(*_epochs(a, b), alpha=alpha),
        Bar.UPPER,
    ),
    Method(
        "by epoch, lift",
        "epochs",
        ("adaptive shares",),
        lambda a, b, alpha: epoch_lift(*_epochs(a, b), alpha=alpha),
        Bar.UPPER,
    ),
    Method(
        "batched by epoch, difference",
        "epochs",
        ("adaptive shares",),
        lambda a, b, alpha: batched_difference(*_epochs(a, b), alpha=alpha),
    ),
    Method(
        "inverse probability, difference",
        "epochs",
        ("adaptive shares",),
        lambda a, b, alpha: ipw_difference(
            a[Epochs].moments,
            b[Epochs].moments,
            (a[Epochs].share, b[Epochs].share),
            alpha=alpha,
        ),
    ),
    Method(
        "rate, difference",
        "counts",
        COUNTS,
        lambda a, b, alpha: rate_difference(*_table(a, b), alpha=alpha),
        Bar.UPPER,
    ),
    Method(
        "rate, lift",
        "counts",
        COUNTS,
        lambda a, b, alpha: rate_ratio(*_table(a, b), alpha=alpha),
        Bar.UPPER,
    ),
    Method(
        "regression (Lin), difference",
        "regression",
        ("normal with covariate",),
        lambda a, b, alpha: regression_difference(_fitted(a, b), alpha=alpha),
    ),
    Method(
        "regression (Lin), lift",
        "regression",
        ("normal with covariate",),
        lambda a, b, alpha: regression_lift(_fitted(a, b), alpha=alpha),
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
