"""A family of comparisons read together: adjusted p-values with intervals that fit.

Twenty metrics at 5 % show one false alarm on average. A family shares one error: the
chance of any false claim (Bonferroni, Holm, Hochberg, Hommel, Dunnett), or the share of
false claims among the claims (Benjamini-Hochberg, Benjamini-Yekutieli). Intervals come
from the comparison's own procedure at a stricter level, so Fieller, score and exact
intervals are adjusted as well as t intervals. Where theory has no interval that says
the same as the adjusted p-value, the interval is a labelled neighbour.

The default, Holm, holds under any dependence between metrics and is never less powerful
than Bonferroni; it pays with the size: the interval of a significant cell starts at
zero unless all are significant. Choose Bonferroni to state how large an effect is.

References:
    Benjamini and Yekutieli (2005), "False discovery rate-adjusted multiple confidence
    intervals for selected parameters", JASA 100, definition 1 and theorems 1 and 4.
    Strassburger and Bretz (2008), "Compatible simultaneous lower confidence bounds for
    the Holm procedure and other Bonferroni-based closed tests", Statistics in Medicine
    27, section 3; Guilbaud (2008), Biometrical Journal 50.
    Hsu (1996), "Multiple Comparisons: Theory and Methods", 3.1 (Dunnett).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics import dunnett, multiplicity
from experiments.statistics.adjusted_bounds import (
    Bound,
    Interval,
    Method,
    Procedure,
    adjusted_p,
    bounds_of,
    two_sided,
)
from experiments.statistics.comparison import (
    Comparison,
    Scale,
    Status,
    StatusArray,
)
from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    broadcast,
    check_open,
    first,
    quiet,
    student_quantile,
)

_INTERVALS: dict[str, tuple[Interval, ...]] = {
    "none": ("single",),
    "bonferroni": ("bonferroni",),
    "holm": ("holm", "bonferroni"),
    "hochberg": ("bonferroni",),
    "hommel": ("bonferroni",),
    "benjamini_hochberg": ("fcr", "bonferroni"),
    "benjamini_yekutieli": ("fcr", "bonferroni"),
    "dunnett": ("dunnett",),
}
_P_LABELS = {
    "none": "not adjusted",
    "bonferroni": "Bonferroni, family-wise error",
    "holm": "Holm, family-wise error",
    "hochberg": "Hochberg, family-wise error",
    "hommel": "Hommel, family-wise error",
    "benjamini_hochberg": "Benjamini-Hochberg, false discovery rate",
    "benjamini_yekutieli": "Benjamini-Yekutieli, false discovery rate",
    "dunnett": "Dunnett, family-wise error",
}
_INTERVAL_LABELS: dict[Interval, str] = {
    "single": "each interval covers by itself",
    "bonferroni": "all intervals cover together (Bonferroni)",
    "holm": (
        "all intervals cover together (Holm); a significant one starts at zero "
        "unless all are significant"
    ),
    "fcr": "selected cells only; of their intervals few miss (FCR)",
    "dunnett": "all intervals cover together (Dunnett)",
}


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Comparisons of one family, adjusted; every array has the cells' shape.

    Attributes:
        estimate: as before the adjustment.
        standard_error: as before the adjustment.
        lower: lower end of the adjusted interval, NaN where none is shown.
        upper: upper end.
        p_value: adjusted; compare it with alpha. NaN where there was none.
        single_p_value: before the adjustment.
        selected: where the adjusted p-value is below alpha.
        compatible: where interval and p-value say the same of "no effect"; always so
            for Bonferroni and Dunnett, and for the cells an FCR interval is shown for.
        degrees_of_freedom: of the single comparison.
        status: of the comparison at its stricter level.
        method: the single procedure, then the adjustment of the p-value.
        interval_method: what the intervals promise.
        scale: absolute or relative.
        alpha: error of the whole family.
    """

    estimate: FloatArray
    standard_error: FloatArray
    lower: FloatArray
    upper: FloatArray
    p_value: FloatArray
    single_p_value: FloatArray
    selected: BoolArray
    compatible: BoolArray
    degrees_of_freedom: FloatArray
    status: StatusArray
    method: str
    interval_method: str
    scale: Scale
    alpha: float


def adjust_family(
    *members: Comparison | Procedure,
    method: Method = "holm",
    interval: Interval | None = None,
    alpha: float = 0.05,
    weights: Sequence[ArrayLike] | None = None,
    shared: ArrayLike | None = None,
) -> tuple[Adjustment, ...]:
    """Adjust all cells of all members as one family.

    Args:
        members: comparisons whose interval is estimate -+ t quantile times standard
            error (`means.welch`, adjusted means, ratios), or procedures: functions of
            alpha that return a comparison, for any other interval.
        method: adjusts the p-values.
        interval: kind of interval; the first that fits the method by default: "holm"
            for Holm, "fcr" for the false discovery rate, "bonferroni" for Hochberg and
            Hommel.
        alpha: two-sided error of the family.
        weights: for Bonferroni and Holm, the share of alpha of each cell of each
            member, in any unit.
        shared: for Dunnett, the share of each cell's squared standard error that is the
            control's (``u0 / (u0 + u)``). The last axis of the one member then holds
            the comparisons with one control; leading axes (metrics) share alpha
            equally.

    Returns:
        One adjustment a member, in order. Cells whose p-value is NaN are not counted.

    Raises:
        StatisticsError: no member, alpha out of (0, 1), an unknown method, an interval
            or weights that do not fit it, shapes that differ, or a comparison whose
            interval cannot be recomputed from it.
    """
    check_open("alpha", alpha)
    kind = _kind(method, interval, len(members), weights, shared)
    procedures = [_t_procedure(m) if isinstance(m, Comparison) else m for m in members]
    singles = [procedure(np.asarray(alpha)) for procedure in procedures]
    p = np.concatenate([single.p_value.ravel() for single in singles])
    shares = multiplicity.shares(p, _flat_weights(weights, singles))
    if method == "dunnett":
        adjusted, bounds = _dunnett(singles[0], shared, alpha)
    else:
        signs = np.sign(np.concatenate([s.estimate.ravel() for s in singles]))
        adjusted = adjusted_p(method, p, shares)
        bounds = bounds_of(kind, method, p, shares, signs, alpha)
    found, start = [], 0
    for single, procedure in zip(singles, procedures, strict=True):
        cells = slice(start, start + single.p_value.size)
        ends = [bound.of(procedure, single, cells) for bound in bounds]
        found.append(_adjustment(single, adjusted[cells], ends, (method, kind, alpha)))
        start = cells.stop
    return tuple(found)


def _kind(
    method: Method,
    interval: Interval | None,
    members: int,
    weights: Sequence[ArrayLike] | None,
    shared: ArrayLike | None,
) -> Interval:
    """Check the arguments against each other and return the kind of interval."""
    if not members:
        raise StatisticsError("members must hold at least one comparison, got none")
    if method not in get_args(Method):
        raise StatisticsError(
            f"method must be one of {', '.join(get_args(Method))}, got {method!r}"
        )
    allowed = _INTERVALS[method]
    if interval is not None and interval not in allowed:
        raise StatisticsError(
            f"interval must be {' or '.join(allowed)} for {method}, got {interval!r}"
        )
    if weights is not None and method not in ("bonferroni", "holm"):
        raise StatisticsError(f"weights must be None for {method}")
    if (method == "dunnett") != (shared is not None):
        raise StatisticsError(f"shared must be given for dunnett only, got {method}")
    if method == "dunnett" and members > 1:
        raise StatisticsError(f"members must be 1 for dunnett, got {members}")
    return interval or allowed[0]


def _flat_weights(
    weights: Sequence[ArrayLike] | None, singles: Sequence[Comparison]
) -> FloatArray | None:
    if weights is None:
        return None
    if len(weights) != len(singles):
        raise StatisticsError(
            f"weights must hold {len(singles)} members, got {len(weights)}"
        )
    pairs = zip(weights, singles, strict=True)
    flat = [broadcast(weights=w, cells=single.p_value) for w, single in pairs]
    for (spread, _), single in zip(flat, singles, strict=True):
        if spread.shape != single.p_value.shape:
            raise StatisticsError(
                f"weights must fit the cells {single.p_value.shape}, got {spread.shape}"
            )
    return np.concatenate([spread.ravel() for spread, _ in flat])


def _dunnett(
    single: Comparison, shared: ArrayLike | None, alpha: float
) -> tuple[FloatArray, tuple[Bound, Bound]]:
    """Return Dunnett's p-values and bounds; metrics share alpha equally."""
    share, p = broadcast(shared=np.nan if shared is None else shared, p=single.p_value)
    outside = np.asarray((share < 0) | (share > 1))
    if outside.any():
        raise StatisticsError(
            f"shared must lie in [0, 1], got {first(share, outside):g}"
        )
    if p.ndim < 1 or p.shape != single.p_value.shape:
        raise StatisticsError(
            f"shared must fit comparisons of shape (..., comparison), got "
            f"{share.shape} for {single.p_value.shape}"
        )
    share = np.where(np.isnan(p), np.nan, share)
    metrics = max(int((~np.isnan(p)).any(axis=-1).sum()), 1)
    df = single.degrees_of_freedom
    adjusted = np.minimum(metrics * dunnett.many_to_one_p(p, share, df), 1.0)
    level = dunnett.levels(alpha / metrics, share, df)
    return adjusted.ravel(), two_sided(level.ravel())


@quiet
def _adjustment(
    single: Comparison,
    adjusted: FloatArray,
    ends: Sequence[tuple[FloatArray, StatusArray]],
    family: tuple[Method, Interval, float],
) -> Adjustment:
    """Put the figures of one member together."""
    method, kind, alpha = family
    (lower, status), (upper, other) = ends
    p_value = adjusted.reshape(single.p_value.shape)
    selected = np.asarray(p_value < alpha)
    # Holm's bound at zero is open: zero itself is rejected.
    at_zero = ((lower == 0) | (upper == 0)) & (kind == "holm")
    excludes = (lower > 0) | (upper < 0) | at_zero
    return Adjustment(
        estimate=single.estimate,
        standard_error=single.standard_error,
        lower=lower,
        upper=upper,
        p_value=p_value,
        single_p_value=single.p_value,
        selected=selected,
        compatible=np.asarray((excludes == selected) & ~np.isnan(lower)),
        degrees_of_freedom=single.degrees_of_freedom,
        status=np.where(other == Status.UNBOUNDED, other, status),
        method=f"{single.method}; {_P_LABELS[method]}",
        interval_method=_INTERVAL_LABELS[kind],
        scale=single.scale,
        alpha=alpha,
    )


@quiet
def _t_procedure(given: Comparison) -> Procedure:
    """Return the comparison as a function of alpha, rebuilt from its t interval.

    Raises:
        StatisticsError: its interval is not estimate -+ t quantile x standard error.
    """

    @quiet
    def at(alpha: FloatArray) -> Comparison:
        quantile = student_quantile(alpha / 2, given.degrees_of_freedom)
        half = quantile * given.standard_error
        return replace(
            given, lower=given.estimate - half, upper=given.estimate + half, alpha=alpha
        )

    usable = np.isin(given.status.astype(str), [Status.OK, Status.SKEW_WARNING])
    rebuilt = at(given.alpha)
    width = (given.upper - given.lower)[usable]
    for name in ("lower", "upper"):
        off = np.abs(getattr(given, name) - getattr(rebuilt, name))[usable]
        if not (off <= 1e-6 * width).all():
            raise StatisticsError(
                f"members must have intervals of t form, got {given.method!r}; give "
                "the procedure instead: lambda alpha: method(..., alpha=alpha)"
            )
    return at
