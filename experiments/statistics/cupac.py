"""CUPAC: one covariate that a model learnt from many features (MLRATE).

Anything known of a unit before exposure may predict the metric; the prediction is then
adjusted for like any covariate. A model must not see the unit it predicts, or it would
explain noise away: units are cut into folds, and each fold is predicted by a model
learnt on the others. Lin's regression on the prediction is valid however bad the model.

The default learner is a ridge regression with a light penalty: it has no knob to tune,
and with useless features the regression gives the prediction a slope near zero. Five
folds let each model learn from 80 % of the units.

References:
    Tang, Shen, et al. (2020), "Control using predictions as covariates in switchback
    experiments" (CUPAC), DoorDash.
    Guo, Coey, Konutgan, Li, Schoener, Goldman (2021), "Machine learning for variance
    reduction in online experiments" (MLRATE), NeurIPS, algorithm 1 and theorem 1.
    Hastie, Tibshirani, Friedman (2009), "The Elements of Statistical Learning", 3.4.1.
    Steele, Lea, Flood (2014), OOPSLA (the mixing function, SplitMix64).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.covariates import missing_indicator
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    as_floats,
    check_at_least,
    divide,
    quiet,
)
from experiments.statistics.regression import Regression, fit_units

Learner: TypeAlias = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
"""Learn from features (unit, feature) and the metric (unit,), and return predictions
for other units' features."""

FOLDS = 5
PENALTY = 1.0

_FNV_START = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What models that did not see a unit say of it.

    Attributes:
        values: predicted metric, shape (unit,).
        fold: fold of each unit, shape (unit,).
        r2: share of the metric's variance predicted; may be negative.
    """

    values: FloatArray
    fold: NDArray[np.int64]
    r2: float


def folds_of(
    units: ArrayLike, *, folds: int = FOLDS, seed: int = 0
) -> NDArray[np.int64]:
    """Return the fold of each unit: the same for the same id and seed, anywhere.

    Args:
        units: ids, whole numbers or words, shape (unit,). All rows of a unit share its
            fold.
        folds: number of folds, at least 2.
        seed: another seed deals the units anew, independent of the first.

    Raises:
        StatisticsError: fewer than 2 folds, or ids of another type.
    """
    if folds < 2:
        raise StatisticsError(f"folds must be >= 2, got {folds}")
    ids = np.asarray(units)
    if ids.dtype.kind in "iu":
        hashed = ids.astype(np.uint64)
    elif ids.dtype.kind in "US":
        hashed = _fnv(ids)
    else:
        raise StatisticsError(f"units must be whole numbers or words, got {ids.dtype}")
    mixed = _mix(_mix(hashed) ^ _mix(np.full_like(hashed, np.uint64(seed % 2**64))))
    return (mixed % np.uint64(folds)).astype(np.int64)


def ridge(penalty: float = PENALTY) -> Learner:
    """Return a linear learner that shrinks its slopes.

    A missing feature (NaN) counts as 0 with an indicator of its own; features are
    brought to one scale, so the penalty means as many units of prior evidence for
    "no slope".

    Args:
        penalty: 0 is least squares.

    Raises:
        StatisticsError: a negative or infinite penalty.
    """
    check_at_least("penalty", penalty, 0.0)

    @quiet
    def learn(
        features: FloatArray, metric: FloatArray, other: FloatArray
    ) -> FloatArray:
        known, new = _complete(features), _complete(other)
        centre, scale = known.mean(axis=0), known.std(axis=0)
        varies = scale > 1e-12 * (np.abs(centre) + scale)
        x = np.where(varies, divide(known - centre, scale), 0.0)
        level = metric.mean()
        left = x.T @ x + penalty * np.eye(x.shape[1])
        slopes = np.linalg.lstsq(left, x.T @ (metric - level), rcond=1e-12)[0]
        return np.asarray(
            level + np.where(varies, divide(new - centre, scale), 0.0) @ slopes
        )

    return learn


@quiet
def predict_out_of_fold(
    metric: ArrayLike,
    features: ArrayLike,
    units: ArrayLike,
    *,
    learner: Learner | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> Predictions:
    """Predict each unit's metric by a model learnt on the other folds.

    Args:
        metric: finite, shape (unit,), all arms together.
        features: known before exposure, shape (unit, feature).
        units: ids, shape (unit,).
        learner: `ridge` by default.
        folds: number of folds.
        seed: deals the units to the folds.

    Raises:
        StatisticsError: shapes that differ, no unit or a metric that is not finite,
            fewer than 2 folds, or a learner that returns another shape.
    """
    y, x = as_floats("metric", metric), as_floats("features", features)
    fold = folds_of(units, folds=folds, seed=seed)
    if y.ndim != 1 or x.shape[:1] != y.shape or x.ndim != 2 or fold.shape != y.shape:
        raise StatisticsError(
            "metric must have shape (unit,), features (unit, feature) and units "
            f"(unit,), got {y.shape}, {x.shape} and {fold.shape}"
        )
    if not y.size or not np.isfinite(y).all():
        raise StatisticsError("metric must hold at least one unit, all finite")
    learn = ridge() if learner is None else learner
    values = np.full(y.shape, y.mean())
    for k in np.unique(fold):
        held = fold == k
        # A fold of its own has nobody to learn from and keeps the mean.
        if not held.all():
            values[held] = _learnt(learn, x[~held], y[~held], x[held])
    left = float(((y - values) ** 2).sum())
    return Predictions(
        values, fold, 1 - float(divide(left, ((y - y.mean()) ** 2).sum()))
    )


def fit_with_predictions(
    metric: ArrayLike,
    predictions: Predictions,
    arm: ArrayLike,
    *,
    covariates: ArrayLike | None = None,
) -> Regression:
    """Adjust for the predictions by Lin's regression with HC2 (MLRATE).

    Args:
        metric: shape (unit,).
        predictions: from `predict_out_of_fold`.
        arm: index of each unit's arm from 0, shape (unit,).
        covariates: others to adjust for as well, shape (unit, covariate).

    Returns:
        To be read with `regression.regression_difference` and `regression_lift`.

    Raises:
        StatisticsError: shapes that differ, or arms that are not whole numbers from 0.
    """
    y, index = as_floats("metric", metric), np.asarray(arm)
    x = predictions.values[:, None]
    if covariates is not None:
        x = np.concatenate([x, as_floats("covariates", covariates)], axis=-1)
    if y.shape != index.shape or x.shape[:1] != y.shape:
        raise StatisticsError(
            "metric, predictions and arm must have one shape (unit,), got "
            f"{y.shape}, {predictions.values.shape} and {index.shape}"
        )
    if index.dtype.kind not in "iu" or (index < 0).any():
        raise StatisticsError("arm must hold whole numbers from 0")
    rows = np.concatenate([y[:, None], x], axis=-1)
    arms: Sequence[FloatArray] = [rows[index == a] for a in range(int(index.max()) + 1)]
    return fit_units(arms)


def _learnt(
    learn: Learner, known: FloatArray, metric: FloatArray, other: FloatArray
) -> FloatArray:
    """Return a learner's predictions, checked."""
    found = as_floats("learner", learn(known, metric, other))
    if found.shape != other.shape[:1]:
        raise StatisticsError(
            f"learner must return shape {other.shape[:1]}, got {found.shape}"
        )
    if not np.isfinite(found).all():
        raise StatisticsError("learner must return finite predictions")
    return found


def _complete(features: FloatArray) -> FloatArray:
    """Return features without gaps, beside their indicators."""
    pairs = missing_indicator(features)
    return np.concatenate([pairs[..., 0], pairs[..., 1]], axis=-1)


def _fnv(words: np.ndarray) -> NDArray[np.uint64]:
    """Return the 64-bit FNV-1a hash of each word, letter by letter over all words."""
    coded = np.char.encode(words, "utf-8") if words.dtype.kind == "U" else words
    letters = np.ascontiguousarray(coded).view(np.uint8)
    table = letters.reshape(*coded.shape, coded.dtype.itemsize)
    hashed = np.full(coded.shape, _FNV_START)
    with np.errstate(over="ignore"):
        for place in range(table.shape[-1]):
            letter = table[..., place].astype(np.uint64)
            following = (hashed ^ letter) * _FNV_PRIME
            # A zero byte pads a shorter word.
            hashed = np.where(letter > 0, following, hashed)
    return hashed


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's scramble: close ids fall far apart."""
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
