"""Effects of an adaptive experiment: compare within epochs, then average over them.

When the shares of the arms change between periods (epochs), pooling all units mistakes
a good day for a good variant (Simpson's paradox) and is biased even without a trend,
since an arm that starts unluckily is given no chance to recover. Within an epoch the
shares are fixed, so the difference there is fair. `epoch_difference` averages those
differences, each epoch with its share of all units: the default, since that average is
the effect on the users who came, whether or not the effect moves with time; it errs on
the safe side when the shares swing. `batched_difference` averages standardised
differences: its error rate is nominal however wildly the shares swing, but it supposes
one constant effect. `ipw_difference` weighs each unit by its known probability.

References:
    Zhang, Janson, Murphy (2020), "Inference for batched bandits", NeurIPS, section 4
    (batched least squares).
    Hadad, Hirshberg, Zhan, Wager, Athey (2021), "Confidence intervals for policy
    evaluation in adaptive experiments", PNAS 118(15) (inverse probability weights).
    Nie, Tian, Taylor, Zou (2018), "Why adaptively collected data have negative bias and
    how to correct for it", AISTATS.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import Comparison, Level, Quantile
from experiments.statistics.estimates import as_moments
from experiments.statistics.means import arm_statuses, welch, welch_df
from experiments.statistics.numeric import (
    FloatArray,
    broadcast,
    check_at_least,
    check_open,
    divide,
    normal_quantile,
    normal_tail,
    quiet,
)
from experiments.statistics.preferences import one_sample
from experiments.statistics.relative import fieller

_BATCH_UNITS = 6


@quiet
def by_epoch(arm: Moments, units: ArrayLike) -> Moments:
    """Return an arm's mean over epochs, each with its share of all units.

    Give the results of control and treatment to any comparison of means. Epochs in
    which an arm has fewer than two units must be left out of both by units of 0.

    Args:
        arm: moments of one arm, shape (..., epoch).
        units: units of all arms together in each epoch, the same for every arm.

    Raises:
        StatisticsError: negative or infinite units, or shapes that do not fit.
    """
    total = check_at_least("units", units, 0)
    weight = divide(total, total.sum(axis=-1, keepdims=True))
    used = weight > 0
    part = np.where(used, weight**2 * arm.standard_error2, 0.0)
    error2 = part.sum(axis=-1)
    mean = np.where(used, weight * np.where(arm.count > 0, arm.mean, np.nan), 0.0)
    mean = np.where(used.any(axis=-1), mean.sum(axis=-1), np.nan)
    share = divide(part, error2[..., None])
    df = divide(1.0, np.where(used, divide(share**2, arm.count - 1), 0.0).sum(axis=-1))
    # Constant in every epoch: the degrees of freedom no longer matter.
    spare = np.where(used, arm.count - 1, 0.0).sum(axis=-1)
    return as_moments(mean, error2, np.where(error2 == 0, spare, df))


def epoch_difference(
    control: Moments,
    treatment: Moments,
    units: ArrayLike | None = None,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two arms within epochs: the difference of means, averaged over epochs.

    Args:
        control: moments of the control, shape (..., epoch).
        treatment: moments of the treatment, shape (..., epoch).
        units: units of all arms in each epoch; those of these two by default.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: as `by_epoch` and `means.welch`.
    """
    arms = _stratified(control, treatment, units)
    return _labelled(welch(*arms, alpha=alpha, quantile=quantile))


def epoch_lift(
    control: Moments,
    treatment: Moments,
    units: ArrayLike | None = None,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two arms within epochs, relative to the control's mean over epochs.

    Args:
        control: moments of the control, shape (..., epoch).
        treatment: moments of the treatment, shape (..., epoch).
        units: units of all arms in each epoch; those of these two by default.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: as `by_epoch` and `means.welch`.
    """
    arms = _stratified(control, treatment, units)
    return _labelled(fieller(*arms, alpha=alpha, critical=quantile))


@quiet
def batched_difference(
    control: Moments,
    treatment: Moments,
    units: ArrayLike | None = None,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two arms by standardised differences within epochs, an option.

    Each epoch's (difference - effect) / error has unit variance whatever the shares,
    and so has their sum weighted by the root of the epoch's share of all units. The
    interval holds the constant effects at which that sum is not extreme. Epochs in
    which an arm has fewer than six units, or nothing varies, are left out.

    Args:
        control: moments of the control, shape (..., epoch).
        treatment: moments of the treatment, shape (..., epoch).
        units: units of all arms in each epoch; those of these two by default.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: negative units, alpha out of (0, 1), or shapes that do not fit.
    """
    level = Level.resolve(alpha, quantile)
    u_control, u_treatment = control.standard_error2, treatment.standard_error2
    df = welch_df(u_control, control.count, u_treatment, treatment.count)
    # A t statistic has variance df / (df - 2), wild where an arm has few units.
    noise = np.sqrt((u_control + u_treatment) * divide(df, df - 2))
    total = control.count + treatment.count if units is None else units
    total, noise = broadcast(units=check_at_least("units", total, 0), noise=noise)
    fewest = np.minimum(control.count, treatment.count)
    used = (fewest >= _BATCH_UNITS) & (noise != 0) & (total > 0)
    total = np.where(used, total, 0.0)
    share = np.sqrt(divide(total, total.sum(axis=-1, keepdims=True)))
    pull = np.where(used, divide(share, noise), 0.0)
    gap = np.where(used, treatment.mean - control.mean, 0.0)
    strength = pull.sum(axis=-1)
    estimate = divide((pull * gap).sum(axis=-1), strength)
    error = divide(1.0, strength)
    half = normal_quantile(level.nominal / 2) * error
    arms = _stratified(control, treatment, total)
    return Comparison(
        estimate=estimate,
        standard_error=error,
        lower=estimate - half,
        upper=estimate + half,
        p_value=level.p_of(2 * normal_tail(np.abs(divide(estimate, error)))),
        degrees_of_freedom=np.asarray(np.inf),
        status=arm_statuses(*arms, estimate, half),
        method="Batched by epoch" + level.label,
        scale="absolute",
        alpha=level.alpha,
    )


@quiet
def ipw_difference(
    control: Moments,
    treatment: Moments,
    shares: tuple[ArrayLike, ArrayLike],
    units: ArrayLike | None = None,
    *,
    alpha: ArrayLike = 0.05,
    quantile: Quantile = None,
) -> Comparison:
    """Compare two arms, each unit weighted by one over its known probability.

    The mean of the epochs before is taken from every value first; it was known before
    the units came, so it removes noise and adds no bias. (In the first epoch, whose
    shares were fixed, its own mean serves.)

    Args:
        control: moments of the control, shape (..., epoch).
        treatment: moments of the treatment, shape (..., epoch).
        shares: probabilities of control and of treatment in each epoch, each of shape
            (..., epoch) and above 0 wherever the arm has units.
        units: units of all arms in each epoch; those of these two by default.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: shares out of (0, 1), alpha out of (0, 1), or shapes that do
            not fit.
    """
    p_control, p_treatment = (
        check_open(name, share)
        for name, share in zip(("shares[0]", "shares[1]"), shares, strict=True)
    )
    total = control.count + treatment.count if units is None else units
    total, *_ = broadcast(units=check_at_least("units", total, 0), arm=control.count)
    centre = _mean_before(control, treatment)
    score, square = np.zeros_like(total), np.zeros_like(total)
    for arm, share in ((control, -p_control), (treatment, p_treatment)):
        gap = np.where(arm.count > 0, arm.mean - centre, 0.0)
        score = score + arm.count * gap / share
        square = square + (arm.m2 + arm.count * gap**2) / share**2
    mean = np.where(total > 0, divide(score, total), 0.0)
    m2 = np.maximum(square - total * mean**2, 0.0)
    scores = Moments(total, mean, m2, np.full(mean.shape, np.nan))
    total = np.where(total < 2, 0.0, total)
    result = one_sample(by_epoch(scores, total), alpha=alpha, quantile=quantile)
    return replace(result, method=f"Inverse probability weights, {result.method}")


def _mean_before(control: Moments, treatment: Moments) -> FloatArray:
    """Return the mean of both arms over the epochs before; the first has its own."""
    counts = np.cumsum(control.count + treatment.count, axis=-1)
    sums = control.count * control.mean + treatment.count * treatment.mean
    running = divide(np.cumsum(sums, axis=-1), counts)
    running = np.where(np.isfinite(running), running, 0.0)
    return np.concatenate([running[..., :1], running[..., :-1]], axis=-1)


def _stratified(
    control: Moments, treatment: Moments, units: ArrayLike | None
) -> tuple[Moments, Moments]:
    both = (control.count >= 2) & (treatment.count >= 2)
    total = control.count + treatment.count if units is None else units
    used = np.where(both, check_at_least("units", total, 0), 0.0)
    return by_epoch(control, used), by_epoch(treatment, used)


def _labelled(result: Comparison) -> Comparison:
    return replace(result, method=f"By epoch, {result.method}")
