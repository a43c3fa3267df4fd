"""Which of two interleaved rankers do users prefer, and how sure is that?

Every user casts one vote, whatever the number of clicks: for the ranker that supplied
more of what the user took. Delta = (wins + ties / 2) / users - 0.5 is the lead of the
treatment: 0 where nobody prefers either, 0.5 where everybody prefers the treatment. The
default is the sign test, exact at any size and blind to heavy clickers; the mean credit
is the more sensitive option where users differ little in activity.

References:
    Chapelle, Joachims, Radlinski, Yue (2012), "Large-scale validation and analysis of
    interleaved search evaluation", TOIS 30(1) (Delta, ties split).
    Clopper and Pearson (1934), Biometrika 26 (interval inverted from the exact test).
    Dixon and Mood (1946), "The statistical sign test", JASA 41.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import ArrayLike

from experiments.statistics.aggregates import Moments
from experiments.statistics.comparison import (
    Comparison,
    Level,
    Quantile,
    Status,
    statuses,
)
from experiments.statistics.grouping import group_sums, numbered
from experiments.statistics.means import welch
from experiments.statistics.numeric import (
    FloatArray,
    StatisticsError,
    as_floats,
    broadcast,
    check_at_least,
    check_open,
    divide,
    first,
    normal_quantile,
    normal_tail,
    quiet,
)


@dataclass(frozen=True, slots=True)
class Preferences:
    """The votes of users in an interleaving; one shape, e.g. (metric, segment).

    Attributes:
        wins: users who took more from the treatment.
        ties: users who took as much from both, or nothing.
        losses: users who took more from the control.
        scores: moments of the users' scores, credit of treatment minus control.
    """

    wins: FloatArray
    ties: FloatArray
    losses: FloatArray
    scores: Moments

    def __post_init__(self) -> None:
        """Check the counts and give them one shape."""
        counts = {name: getattr(self, name) for name in ("wins", "ties", "losses")}
        for name, count in counts.items():
            check_at_least(name, count, 0)
        for name, array in zip(counts, broadcast(**counts), strict=True):
            object.__setattr__(self, name, array)

    @classmethod
    def from_scores(cls, scores: ArrayLike) -> "Preferences":
        """Reduce one score a user along the last axis."""
        rows = np.atleast_1d(as_floats("scores", scores))
        return cls(
            np.asarray((rows > 0).sum(axis=-1), dtype=np.float64),
            np.asarray((rows == 0).sum(axis=-1), dtype=np.float64),
            np.asarray((rows < 0).sum(axis=-1), dtype=np.float64),
            Moments.from_units(rows),
        )

    @property
    def votes(self) -> Moments:
        """Moments of the votes: 0.5 for the treatment, -0.5 against, 0 for a tie."""
        users = self.wins + self.ties + self.losses
        mean = np.where(users > 0, divide(self.wins - self.losses, 2 * users), 0.0)
        counts, values = (self.wins, self.ties, self.losses), (0.5, 0.0, -0.5)
        pairs = list(zip(counts, values, strict=True))
        m2 = sum((n * (v - mean) ** 2 for n, v in pairs), np.zeros_like(mean))
        m3 = sum((n * (v - mean) ** 3 for n, v in pairs), np.zeros_like(mean))
        return Moments(users, mean, m2, m3)

    def merge(self, other: "Preferences") -> "Preferences":
        """Return the votes of two disjoint sets of users together."""
        return Preferences(
            self.wins + other.wins,
            self.ties + other.ties,
            self.losses + other.losses,
            self.scores.merge(other.scores),
        )


def user_scores(users: ArrayLike, scores: ArrayLike) -> FloatArray:
    """Return the score of every user, summed over what the user was shown.

    Args:
        users: the user of each impression or engagement, whole numbers or text, shape
            (row,); give a row with score 0 for users who took nothing.
        scores: credit of the treatment minus credit of the control, shape (..., row).

    Returns:
        Scores of shape (..., user), users in sorted order.

    Raises:
        StatisticsError: not one user a row.
    """
    rows = np.atleast_1d(as_floats("scores", scores))
    return group_sums(rows, *numbered("users", users, rows.shape[-1]))


@quiet
def sign_test(
    preferences: Preferences, *, alpha: ArrayLike = 0.05, quantile: Quantile = None
) -> Comparison:
    """Test Delta by the exact sign test, with the interval inverted from it.

    Delta is the share of users with a preference times the lead among those. The
    interval of the lead is the inverted sign test, that of the share Clopper and
    Pearson's; Delta's holds every product of the two. Whether it excludes zero hangs on
    the lead alone, so it agrees with the test; its coverage is at least nominal.

    Args:
        preferences: the votes.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1).
    """
    level = Level.resolve(alpha, quantile)
    wins, losses = preferences.wins, preferences.losses
    untied = wins + losses
    users = untied + preferences.ties
    low, high = _clopper_pearson(wins, losses, level.nominal / 2)
    fewest, most = _clopper_pearson(untied, preferences.ties, level.nominal / 2)
    at_least = np.where(wins > 0, scipy.special.betainc(wins, losses + 1, 0.5), 1.0)
    at_most = np.where(losses > 0, scipy.special.betainc(losses, wins + 1, 0.5), 1.0)
    p_value = np.minimum(1.0, 2 * np.minimum(at_least, at_most))
    return Comparison(
        estimate=divide(wins - losses, 2 * users),
        standard_error=np.sqrt(preferences.votes.standard_error2),
        lower=(low - 0.5) * np.where(low > 0.5, fewest, most),
        upper=(high - 0.5) * np.where(high < 0.5, fewest, most),
        p_value=level.p_of(np.asarray(np.where(users > 0, p_value, np.nan))),
        degrees_of_freedom=np.asarray(np.inf),
        status=statuses(
            users.shape,
            (users < 1, Status.NOT_ENOUGH_DATA),
            (untied == 0, Status.DEGENERATE),
        ),
        method="Sign test, exact" + level.label,
        scale="absolute",
        alpha=level.alpha,
    )


def _clopper_pearson(
    hits: FloatArray, misses: FloatArray, tail: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the exact interval of a proportion, ``tail`` outside at each end."""
    low = np.where(hits > 0, scipy.special.betaincinv(hits, misses + 1, tail), 0.0)
    high = np.where(misses > 0, scipy.special.betainccinv(hits + 1, misses, tail), 1.0)
    return low, high


def vote_test(
    preferences: Preferences, *, alpha: ArrayLike = 0.05, quantile: Quantile = None
) -> Comparison:
    """Test Delta by a one-sample t test of the votes; ties count as zeros.

    Args:
        preferences: the votes.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1).
    """
    return one_sample(preferences.votes, alpha=alpha, quantile=quantile)


def credit_test(
    preferences: Preferences, *, alpha: ArrayLike = 0.05, quantile: Quantile = None
) -> Comparison:
    """Test the mean credit per user, treatment minus control, by a one-sample t test.

    Args:
        preferences: the votes with their scores.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1).
    """
    return one_sample(preferences.scores, alpha=alpha, quantile=quantile)


def one_sample(
    units: Moments, *, alpha: ArrayLike = 0.05, quantile: Quantile = None
) -> Comparison:
    """Test whether a mean differs from zero (Student's one-sample t).

    Args:
        units: moments of the values, any shape.
        alpha: two-sided error over all looks.
        quantile: one look of a sequential plan, as in `means.welch`.

    Raises:
        StatisticsError: alpha out of (0, 1).
    """
    # Welch against a constant: the other arm's degrees of freedom are n - 1.
    zero = Moments(*(np.asarray(value) for value in (np.inf, 0.0, 0.0, 0.0)))
    result = welch(zero, units, alpha=alpha, quantile=quantile)
    level = Level.resolve(alpha, quantile)
    return replace(result, method="One-sample t" + level.label)


def users_needed(
    delta: ArrayLike,
    *,
    tied: ArrayLike = 0.0,
    power: ArrayLike = 0.8,
    alpha: ArrayLike = 0.05,
) -> FloatArray:
    """Return the users an interleaving needs to detect a lead, rounded up.

    Args:
        delta: true Delta, between -(1 - tied) / 2 and (1 - tied) / 2, not 0.
        tied: share of users without a preference, [0, 1).
        power: probability of p < alpha.
        alpha: two-sided error of the sign test.

    Raises:
        StatisticsError: an argument out of its bounds.
    """
    lead, share = _lead(delta, tied)
    if bool((lead == 0).any()):
        raise StatisticsError("delta must not be 0: no number of users detects it")
    wanted, error = check_open("power", power), check_open("alpha", alpha)
    spread = np.sqrt(np.maximum(0.25 - lead**2, 0.0))
    z_alpha, z_power = normal_quantile(error / 2), normal_quantile(1 - wanted)
    reach, size = 0.5 * z_alpha + spread * z_power, np.abs(lead)
    # The exact test asks for half a vote more than the normal one.
    untied = ((reach + np.sqrt(reach**2 + 2 * size)) / (2 * size)) ** 2
    return np.asarray(np.ceil(untied / share))


@quiet
def interleaving_power(
    users: ArrayLike,
    delta: ArrayLike,
    *,
    tied: ArrayLike = 0.0,
    alpha: ArrayLike = 0.05,
) -> FloatArray:
    """Return the probability that the sign test of so many users gives p < alpha.

    Normal approximation with the continuity correction.

    Args:
        users: users in the interleaving.
        delta: true Delta, between -(1 - tied) / 2 and (1 - tied) / 2.
        tied: share of users without a preference, [0, 1).
        alpha: two-sided error of the sign test.

    Raises:
        StatisticsError: an argument out of its bounds.
    """
    lead, share = _lead(delta, tied)
    z_alpha = normal_quantile(check_open("alpha", alpha) / 2)
    root = np.sqrt(check_at_least("users", users, 0) * share)
    # A lead of everyone leaves no spread: detection is then certain or impossible.
    spread = np.maximum(np.sqrt(np.maximum(0.25 - lead**2, 0.0)), 1e-12)
    reach = 0.5 * z_alpha + divide(0.5, root)
    toward = normal_tail((reach - root * np.abs(lead)) / spread)
    away = normal_tail((reach + root * np.abs(lead)) / spread)
    return np.asarray(np.where(root > 0, toward + away, 0.0))


def _lead(delta: ArrayLike, tied: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the lead among untied users and their share."""
    wanted, ties = broadcast(delta=delta, tied=tied)
    check_at_least("tied", ties, 0)
    check_open("tied", ties, -1.0, 1.0)
    bad = ~(np.abs(wanted) <= (1 - ties) / 2)
    if bool(bad.any()):
        raise StatisticsError(
            "delta must lie within (1 - tied) / 2 of 0, "
            f"got {first(wanted, bad):g} with tied {first(ties, bad):g}"
        )
    return np.asarray(wanted / (1 - ties)), 1 - ties
