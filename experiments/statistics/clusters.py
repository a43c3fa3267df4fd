"""Experiments that assign whole clusters (shops, regions, households), not users.

Members of a cluster share their assignment and resemble each other, so the number of
clusters, not of users, decides what can be said. The comparison is of cluster totals:
each arm's value is total over size with a cluster-robust (CR2) error and the degrees of
freedom of that error, right with a dozen clusters of unequal size, where the plain
robust error is too small. With equal clusters it is Welch's test of the cluster means.
The default weighs each user alike; weighing each cluster alike is an option for when
the size of a cluster is itself related to the effect.

References:
    Bell, McCaffrey (2002), "Bias reduction in standard errors for linear regression
    with multi-stage samples", Survey Methodology 28(2) (CR2 and its degrees of
    freedom).
    Pustejovsky, Tipton (2018), "Small-sample methods for cluster-robust variance
    estimation and hypothesis testing in fixed effects models", JBES 36(4).
    Donner, Klar (2000), "Design and Analysis of Cluster Randomization Trials", chapter
    1 (ICC by analysis of variance, design effect).
    Eldridge, Ashby, Kerry (2006), International Journal of Epidemiology 35 (design
    effect with unequal sizes).
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import (
    Comparison,
    Quantile,
    Status,
    StatusArray,
    statuses,
)
from experiments.statistics.estimates import as_moments
from experiments.statistics.grouping import group_sums, numbered
from experiments.statistics.means import welch
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    as_floats,
    broadcast,
    check_at_least,
    divide,
    first,
    quiet,
)
from experiments.statistics.relative import fieller

Weighting: TypeAlias = Literal["unit", "cluster"]
"""Whether each user or each cluster counts alike."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Sums of one metric in each cluster of an arm, shape (..., cluster).

    Clusters of size 0 are ignored, so arms with different numbers of clusters can be
    padded to one shape. For a ratio metric give the denominator as the size.

    Attributes:
        size: users of each cluster, or sums of the denominator.
        total: sums of the metric.
        squares: sums of squares over the users, needed by `intraclass` alone; NaN where
            not collected.
    """

    size: FloatArray
    total: FloatArray
    squares: FloatArray

    @classmethod
    def of(
        cls, size: ArrayLike, total: ArrayLike, squares: ArrayLike = np.nan
    ) -> "Clusters":
        """Build from sums.

        Raises:
            StatisticsError: a negative or infinite size, or shapes that do not fit.
        """
        arrays = broadcast(
            size=np.atleast_1d(check_at_least("size", size, 0)),
            total=total,
            squares=squares,
        )
        return cls(*arrays)

    @classmethod
    def from_units(cls, cluster: ArrayLike, values: ArrayLike) -> "Clusters":
        """Reduce one value a user.

        Args:
            cluster: id of each user's cluster, shape (user,).
            values: shape (..., user).

        Raises:
            StatisticsError: not one cluster a user.
        """
        rows = np.atleast_1d(as_floats("values", values))
        place, number = numbered("cluster", cluster, rows.shape[-1])
        return cls.of(
            np.bincount(place, minlength=number),
            group_sums(rows, place, number),
            group_sums(rows**2, place, number),
        )


@dataclass(frozen=True, slots=True)
class Intraclass:
    """How alike the users of one cluster are; arrays have the cells' shape.

    Attributes:
        estimate: intraclass correlation; may be a little negative by chance.
        mean_size: mean users of a cluster.
        size_variation: standard deviation of the sizes over their mean.
        design_effect: how many times more users a cluster experiment needs than one
            that assigns users; at least 1.
        status: what can be said of the cell.
    """

    estimate: FloatArray
    mean_size: FloatArray
    size_variation: FloatArray
    design_effect: FloatArray
    status: StatusArray


@quiet
def cluster_arm(clusters: Clusters, *, weighting: Weighting = "unit") -> Moments:
    """Return an arm as moments whose error and df are cluster-robust (CR2).

    Args:
        clusters: sums of one arm.
        weighting: whether each user or each cluster counts alike.

    Raises:
        StatisticsError: an unknown weighting.
    """
    if weighting not in get_args(Weighting):
        raise StatisticsError(
            f"weighting must be 'unit' or 'cluster', got {weighting!r}"
        )
    size, total = clusters.size, clusters.total
    used = size > 0
    if weighting == "cluster":
        total = np.where(used, divide(total, size), 0.0)
        size = np.where(used, 1.0, 0.0)
    everyone = size.sum(axis=-1)
    mean = divide(np.where(used, total, 0.0).sum(axis=-1), everyone)
    share = np.where(used, divide(size, everyone[..., None]), 0.0)
    residual = np.where(used, total - mean[..., None] * size, 0.0)
    # CR2: the residuals of a large cluster are small because it pulls the mean.
    lift = divide(1.0, 1.0 - share)
    error2 = divide((lift * residual**2).sum(axis=-1), everyone**2)
    # tr(B)^2 / tr(B^2) of the quadratic form, users independent (Bell and McCaffrey).
    pull = lift * share**2
    trace2 = (share**2).sum(axis=-1) + pull.sum(axis=-1) ** 2 - (pull**2).sum(axis=-1)
    df = np.where(used.sum(axis=-1) > 1, divide(1.0, trace2), np.nan)
    return as_moments(mean, error2, df)


def cluster_difference(
    control: Clusters,
    treatment: Clusters,
    *,
    weighting: Weighting = "unit",
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two arms of clusters by the difference of their values.

    Args:
        control: sums of the control's clusters.
        treatment: sums of the treatment's clusters.
        weighting: whether each user or each cluster counts alike.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: an unknown weighting, alpha out of (0, 1), or shapes that do
            not fit.
    """
    arms = (cluster_arm(arm, weighting=weighting) for arm in (control, treatment))
    result = welch(*arms, alpha=alpha, quantile=quantile)
    return replace(result, method=f"Cluster-robust (CR2), {result.method}")


def cluster_lift(
    control: Clusters,
    treatment: Clusters,
    *,
    weighting: Weighting = "unit",
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two arms of clusters relative to the control's value.

    Args:
        control: sums of the control's clusters.
        treatment: sums of the treatment's clusters.
        weighting: whether each user or each cluster counts alike.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: an unknown weighting, alpha out of (0, 1), or shapes that do
            not fit.
    """
    arms = (cluster_arm(arm, weighting=weighting) for arm in (control, treatment))
    result = fieller(*arms, alpha=alpha, critical=quantile)
    return replace(result, method=f"Cluster-robust (CR2), {result.method}")


@quiet
def intraclass(*arms: Clusters) -> Intraclass:
    """Return the intraclass correlation within arms, by analysis of variance.

    Args:
        arms: sums with squares of one or more arms; each keeps its own mean.

    Raises:
        StatisticsError: no arm given, or shapes that do not fit.
    """
    if not arms:
        raise StatisticsError("arms must be at least 1, got 0")
    between, within, evened = (np.asarray(0.0) for _ in range(3))
    count, users, spread = (np.asarray(0.0) for _ in range(3))
    for arm in arms:
        used = arm.size > 0
        means = np.where(used, divide(arm.total, arm.size), 0.0)
        everyone = arm.size.sum(axis=-1)
        centre = divide((arm.size * means).sum(axis=-1), everyone)
        between = between + (arm.size * (means - centre[..., None]) ** 2).sum(axis=-1)
        inner = np.where(used, arm.squares - arm.size * means**2, 0.0)
        within = within + inner.sum(axis=-1)
        evened = evened + everyone - divide((arm.size**2).sum(axis=-1), everyone)
        count = count + used.sum(axis=-1)
        users = users + everyone
        spread = spread + (arm.size**2).sum(axis=-1)
    ms_between = divide(between, count - len(arms))
    ms_within = divide(np.maximum(within, 0.0), users - count)
    evened = divide(evened, count - len(arms))
    icc = divide(ms_between - ms_within, ms_between + (evened - 1) * ms_within)
    mean_size = divide(users, count)
    variation = np.sqrt(np.maximum(divide(spread, count) / mean_size**2 - 1, 0.0))
    few = (count <= len(arms)) | (users <= count)
    effect = 1 + ((1 + variation**2) * mean_size - 1) * np.maximum(icc, 0.0)
    return Intraclass(
        estimate=np.where(few, np.nan, icc),
        mean_size=mean_size,
        size_variation=variation,
        design_effect=np.where(few, np.nan, effect),
        status=statuses(
            np.shape(icc),
            (np.asarray(few), Status.NOT_ENOUGH_DATA),
            (~np.isfinite(icc), Status.DEGENERATE),
        ),
    )


def design_effect(
    mean_size: ArrayLike, icc: ArrayLike, *, size_variation: ArrayLike = 0.0
) -> FloatArray:
    """Return how many times more users a cluster experiment needs.

    Args:
        mean_size: mean users of a cluster, at least 1.
        icc: intraclass correlation, [0, 1].
        size_variation: standard deviation of the sizes over their mean.

    Raises:
        StatisticsError: an argument out of its bounds.
    """
    size = check_at_least("mean_size", mean_size, 1)
    alike = check_at_least("icc", icc, 0)
    if bool((alike > 1).any()):
        raise StatisticsError(f"icc must be <= 1, got {first(alike, alike > 1):g}")
    variation = check_at_least("size_variation", size_variation, 0)
    return np.asarray(1 + ((1 + variation**2) * size - 1) * alike)
