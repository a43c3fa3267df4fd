"""Capping: how much of an effect rests on a few very large units.

One threshold is taken from all variants together, on the units that have the metric at
all (zeros would drag it down), and then kept: every later look and every variant uses
the stored number. Capped moments stand beside the uncapped ones, never instead of
them, with the share of units the cap touched; a capped mean answers another question.
Refunds below zero are left as they are. The default level, the 99.9th percentile of
non-zero values, touches one buyer in a thousand: enough to tame a bot or a reseller,
too few to change what the metric means.

References:
    Kohavi, Tang, Xu (2020), "Trustworthy online controlled experiments", Cambridge
    University Press, chapters 3 and 22 (outliers, capping).
    Dixon (1960), "Simplified estimation from censored normal samples", Annals of
    Mathematical Statistics 31(2) (winsorising).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    as_floats,
    check_open,
    divide,
    quiet,
)

LEVEL = 0.999


@dataclass(frozen=True, slots=True)
class CappedMoments:
    """One variant with and without the cap; every array has the cells' shape.

    Attributes:
        uncapped: moments of the values as they are.
        capped: moments of the values, none above the threshold.
        share_capped: share of units above the threshold; NaN without units.
        threshold: the cap, in the metric's unit.
    """

    uncapped: Moments
    capped: Moments
    share_capped: FloatArray
    threshold: FloatArray


@dataclass(frozen=True, slots=True)
class Cap:
    """A frozen threshold; store it with the analysis plan.

    Attributes:
        threshold: largest value that counts in full, one number or one a cell;
            infinite where nothing is capped.
    """

    threshold: FloatArray

    def __post_init__(self) -> None:
        """Check that the threshold is a number."""
        threshold = as_floats("threshold", self.threshold)
        if np.isnan(threshold).any():
            raise StatisticsError(f"threshold must be a number, got {threshold!r}")
        object.__setattr__(self, "threshold", threshold)

    @classmethod
    def from_units(cls, *arms: ArrayLike, level: float = LEVEL) -> "Cap":
        """Take the threshold from all variants together.

        It is one of the values, as ``quantile_disc(value, level) filter (value <> 0)``
        in SQL. Without any non-zero value nothing is capped.

        Args:
            arms: values of each variant, one a unit along the last axis; the leading
                axes (metric, segment) are the same for all.
            level: share of non-zero units at or below the threshold.

        Raises:
            StatisticsError: level out of (0, 1), or leading axes that differ.
        """
        check_open("level", level)
        rows = [as_floats("arms", arm) for arm in arms]
        if not rows or len({row.shape[:-1] for row in rows}) > 1:
            shapes = [row.shape for row in rows]
            raise StatisticsError(f"arms must share their leading axes, got {shapes}")
        pooled = np.concatenate(rows, axis=-1)
        # Zeros and unknown values go last, beyond the counted ones.
        counted = np.isfinite(pooled) & (pooled != 0)
        order = np.sort(np.where(counted, pooled, np.inf), axis=-1)
        place = np.ceil(level * counted.sum(axis=-1)).astype(np.intp) - 1
        if not pooled.shape[-1]:
            return cls(np.full(pooled.shape[:-1], np.inf))
        found = np.take_along_axis(order, np.maximum(place, 0)[..., None], axis=-1)
        return cls(found[..., 0])

    @quiet
    def apply(self, values: ArrayLike) -> CappedMoments:
        """Reduce one variant's values, one a unit along the last axis.

        Args:
            values: shape (..., unit).

        Raises:
            StatisticsError: the leading axes do not fit the thresholds.
        """
        rows = as_floats("values", values)
        try:
            threshold = np.broadcast_to(self.threshold, rows.shape[:-1])
        except ValueError as error:
            raise StatisticsError(
                f"values must have the leading axes {self.threshold.shape}, got "
                f"{rows.shape}"
            ) from error
        above = rows > threshold[..., None]
        units = np.full(threshold.shape, float(rows.shape[-1]))
        return CappedMoments(
            uncapped=Moments.from_units(rows),
            capped=Moments.from_units(np.minimum(rows, threshold[..., None])),
            share_capped=divide(above.sum(axis=-1), units),
            threshold=threshold,
        )
