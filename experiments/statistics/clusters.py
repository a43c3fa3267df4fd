"""Experiments that assign whole clusters (shops, regions, households), not users.

Members of a cluster share their assignment and resemble each other, so the number of
clusters, not of users, decides what can be said. Give the moments of each cluster, with
clusters on the last axis; each arm's value is total over size with a cluster-robust
(CR2) error and the degrees of freedom of that error, where the plain robust error is
too small. With equal clusters it is Welch's test of the cluster means. With fewer than
40 clusters of unequal size in an arm the error rate is a little above its name (5.5 %
with 15) and the cell is marked `few_clusters`.

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
    BoolArray,
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

FEW_CLUSTERS = 40
"""Clusters of an arm below which its error is too uncertain, if they are uneven."""
UNEVEN = 1.05
"""Mean square of the sizes over the square of their mean."""

Weighting: TypeAlias = Literal["unit", "cluster"]
"""Whether each user or each cluster counts alike."""


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
def cluster_totals(size: ArrayLike, total: ArrayLike) -> Moments:
    """Return clusters known by their totals alone, for any comparison here.

    Args:
        size: users of each cluster, or sums of a ratio's denominator, shape
            (..., cluster).
        total: sums of the metric.

    Raises:
        StatisticsError: a negative or infinite size, or shapes that do not fit.
    """
    users, sums = broadcast(size=check_at_least("size", size, 0), total=total)
    mean = np.where(users > 0, divide(sums, users), 0.0)
    unknown = np.asarray(np.nan)
    return Moments(*(np.atleast_1d(part) for part in (users, mean, unknown, unknown)))


@quiet
def cluster_moments(cluster: ArrayLike, values: ArrayLike) -> Moments:
    """Reduce one value a user to moments of each cluster, shape (..., cluster).

    Args:
        cluster: id of each user's cluster, shape (user,).
        values: shape (..., user).

    Raises:
        StatisticsError: not one cluster a user.
    """
    rows = np.atleast_1d(as_floats("values", values))
    place, number = numbered("cluster", cluster, rows.shape[-1])
    size = np.bincount(place, minlength=number).astype(np.float64)
    mean = group_sums(rows, place, number) / size
    gap = rows - mean[..., place]
    m2, m3 = (group_sums(gap**power, place, number) for power in (2, 3))
    return Moments(size, mean, m2, m3)


@quiet
def cluster_arm(clusters: Moments, *, weighting: Weighting = "unit") -> Moments:
    """Return an arm as moments whose error and df are cluster-robust (CR2).

    Args:
        clusters: moments of each cluster of one arm, shape (..., cluster). Clusters
            without users are ignored, so that arms can be padded to one shape.
        weighting: whether each user or each cluster counts alike.

    Raises:
        StatisticsError: an unknown weighting.
    """
    if weighting not in get_args(Weighting):
        raise StatisticsError(
            f"weighting must be 'unit' or 'cluster', got {weighting!r}"
        )
    used = clusters.count > 0
    size = clusters.count if weighting == "unit" else np.where(used, 1.0, 0.0)
    everyone = size.sum(axis=-1)
    share = np.where(used, divide(size, everyone[..., None]), 0.0)
    mean = (share * clusters.mean).sum(axis=-1)
    mean = np.where(everyone > 0, mean, np.nan)
    residual = share * (clusters.mean - mean[..., None])
    # CR2: the residuals of a large cluster are small because it pulls the mean.
    lift = divide(1.0, 1.0 - share)
    error2 = (lift * np.where(used, residual, 0.0) ** 2).sum(axis=-1)
    # tr(B)^2 / tr(B^2) of the quadratic form, users independent (Bell and McCaffrey).
    pull = lift * share**2
    trace2 = (share**2).sum(axis=-1) + pull.sum(axis=-1) ** 2 - (pull**2).sum(axis=-1)
    df = np.where(used.sum(axis=-1) > 1, divide(1.0, trace2), np.nan)
    return as_moments(mean, error2, df)


def cluster_difference(
    control: Moments,
    treatment: Moments,
    *,
    weighting: Weighting = "unit",
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two arms of clusters by the difference of their values.

    Args:
        control: moments of the control's clusters, shape (..., cluster).
        treatment: moments of the treatment's clusters.
        weighting: whether each user or each cluster counts alike.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: an unknown weighting, alpha out of (0, 1), or shapes that do
            not fit.
    """
    arms = (cluster_arm(arm, weighting=weighting) for arm in (control, treatment))
    return _labelled(welch(*arms, alpha=alpha, quantile=quantile), control, treatment)


def cluster_lift(
    control: Moments,
    treatment: Moments,
    *,
    weighting: Weighting = "unit",
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two arms of clusters relative to the control's value.

    Args:
        control: moments of the control's clusters, shape (..., cluster).
        treatment: moments of the treatment's clusters.
        weighting: whether each user or each cluster counts alike.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: an unknown weighting, alpha out of (0, 1), or shapes that do
            not fit.
    """
    arms = (cluster_arm(arm, weighting=weighting) for arm in (control, treatment))
    result = fieller(*arms, alpha=alpha, critical=quantile)
    return _labelled(result, control, treatment)


def _labelled(result: Comparison, control: Moments, treatment: Moments) -> Comparison:
    """Return the comparison by its name, marked where few uneven clusters carry it."""
    few = _few_and_uneven(control) | _few_and_uneven(treatment)
    status = result.status.copy()
    status[np.broadcast_to(few, status.shape) & (status == Status.OK)] = (
        Status.FEW_CLUSTERS
    )
    return replace(
        result, status=status, method=f"Cluster-robust (CR2), {result.method}"
    )


def _few_and_uneven(arm: Moments) -> BoolArray:
    """Where an arm has few clusters whose sizes differ by more than a fifth or so."""
    clusters = (arm.count > 0).sum(axis=-1)
    squares = divide((arm.count**2).sum(axis=-1), arm.count.sum(axis=-1) ** 2)
    return np.asarray((clusters < FEW_CLUSTERS) & (clusters * squares > UNEVEN))


@quiet
def intraclass(*arms: Moments) -> Intraclass:
    """Return the intraclass correlation within arms, by analysis of variance.

    Args:
        arms: moments of the clusters of one or more arms, from `cluster_moments`; each
            arm keeps its own mean.

    Raises:
        StatisticsError: no arm given, or shapes that do not fit.
    """
    if not arms:
        raise StatisticsError("arms must be at least 1, got 0")
    between, within, evened = (np.asarray(0.0) for _ in range(3))
    count, users, spread = (np.asarray(0.0) for _ in range(3))
    for arm in arms:
        used = arm.count > 0
        everyone = arm.count.sum(axis=-1)
        centre = divide((arm.count * arm.mean).sum(axis=-1), everyone)
        gap = np.where(used, arm.mean - centre[..., None], 0.0)
        between = between + (arm.count * gap**2).sum(axis=-1)
        within = within + np.where(used, arm.m2, 0.0).sum(axis=-1)
        evened = evened + everyone - divide((arm.count**2).sum(axis=-1), everyone)
        count = count + used.sum(axis=-1)
        users = users + everyone
        spread = spread + (arm.count**2).sum(axis=-1)
    ms_between = divide(between, count - len(arms))
    ms_within = divide(within, users - count)
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
