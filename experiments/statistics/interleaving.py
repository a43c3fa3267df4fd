"""One list out of several rankers, so that each user compares them side by side.

An interleaved list mixes the rankings and remembers what one click in each slot is
worth to each ranker. Since every user sees all rankers, differences between users drop
out and a test needs some fifty times fewer of them than an A/B test. Use it to prune
rankers, then run an A/B test of the best: it does not measure money or whole-list
effects. Team draft is the default: it is simple and needs nothing but the lists.
Optimised interleaving is the more sensitive choice for two short lists. The votes of
the users are tested in `preferences`.

References:
    Radlinski, Kurup, Joachims (2008), "How does clickthrough data reflect retrieval
    quality?", CIKM, section 4.3 (team draft).
    Radlinski, Craswell (2013), "Optimized interleaving for online retrieval
    evaluation", WSDM, sections 3 and 4.
    Schuth, Sietsma, Whiteson, Lefortier, de Rijke (2014), "Multileaved comparisons for
    fast online evaluation", CIKM, section 4.1 (team-draft multileaving).
    Zhang, Deng, Du, Gao, He, Katariya (2025), "Harnessing the power of interleaving and
    counterfactual evaluation for Airbnb search ranking", KDD (competitive pairs).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from experiments.statistics.numeric import (
    BoolArray,
    FloatArray,
    StatisticsError,
    as_floats,
)

Item = TypeVar("Item", bound=Hashable)
Credit: TypeAlias = Literal["inverse", "linear"]
"""Worth of a click to a ranker: 1 / rank, or minus the rank."""

_MOST_LISTS = 4096


@dataclass(frozen=True, slots=True)
class Interleaved(Generic[Item]):
    """One list to show.

    Attributes:
        items: what to show, first slot first.
        credit: worth of one click in each slot to each ranker, shape (slot, ranker).
        competitive: where the rankers were at odds over the slot, shape (slot,).
    """

    items: tuple[Item, ...]
    credit: FloatArray
    competitive: BoolArray

    def score(
        self, engagements: ArrayLike, *, competitive_only: bool = False
    ) -> FloatArray:
        """Return the credit each ranker earns from the engagements of one user.

        Args:
            engagements: clicks or purchases in each slot, shape (..., slot).
            competitive_only: leave out slots over which the rankers agreed; they hold
                only chance (who drew the shared item first).

        Returns:
            Credit of shape (..., ranker). The score of `preferences` is the difference
            of two of them.

        Raises:
            StatisticsError: not one number a slot.
        """
        taken = np.atleast_1d(as_floats("engagements", engagements))
        if taken.shape[-1] != len(self.items):
            raise StatisticsError(
                f"engagements must have shape (..., {len(self.items)}), "
                f"got {taken.shape}"
            )
        if competitive_only:
            taken = np.where(self.competitive, taken, 0.0)
        return np.asarray(taken @ self.credit)


def team_draft(
    rankings: Sequence[Sequence[Item]], length: int, rng: np.random.Generator
) -> Interleaved[Item]:
    """Let the rankers draft their best unused items in rounds of random order.

    Two rankings make team-draft interleaving, more make team-draft multileaving. A
    round is competitive when all its first choices differ: each ranker then places its
    own, only their order is drawn, and counting those rounds alone stays unbiased.

    Args:
        rankings: one ranking a ranker, best item first.
        length: slots to fill; the list is shorter when the items run out.
        rng: the source of chance; the same state gives the same list.

    Raises:
        StatisticsError: fewer than two rankings, or a length below 1.
    """
    _check(rankings, length)
    items: list[Item] = []
    teams: list[int] = []
    competitive: list[bool] = []
    used: set[Item] = set()
    while len(items) < length:
        wishes = [_best(ranking, used) for ranking in rankings]
        if all(wish is None for wish in wishes):
            break
        apart = None not in wishes and len(set(wishes)) == len(wishes)
        for team in rng.permutation(len(rankings)).tolist():
            wish = _best(rankings[team], used)
            if wish is None or len(items) == length:
                continue
            items.append(wish[0])
            used.add(wish[0])
            teams.append(team)
            competitive.append(apart)
    return Interleaved(
        tuple(items), np.eye(len(rankings))[teams], np.array(competitive, dtype=bool)
    )


@dataclass(frozen=True, slots=True)
class OptimisedInterleaving(Generic[Item]):
    """The lists two rankings may be shown as, each with its probability.

    Attributes:
        lists: every list that keeps the order of the two rankings.
        probabilities: how often to show each, shape (list,).
        credit: worth of one click to each ranker, shape (list, slot, ranker).
    """

    lists: tuple[tuple[Item, ...], ...]
    probabilities: FloatArray
    credit: FloatArray

    def draw(self, rng: np.random.Generator) -> Interleaved[Item]:
        """Return one list at random; the same state of ``rng`` gives the same list."""
        chosen = int(rng.choice(len(self.lists), p=self.probabilities))
        credit = self.credit[chosen]
        return Interleaved(self.lists[chosen], credit, credit[:, 0] != credit[:, 1])


def optimised(
    control: Sequence[Item],
    treatment: Sequence[Item],
    length: int,
    *,
    credit: Credit = "inverse",
) -> OptimisedInterleaving[Item]:
    """Choose how often to show each mix of two rankings, by linear programming.

    A user who clicks at random in the top k slots must favour neither ranker, for every
    k. Among the distributions that satisfy this, the one with the highest expected
    sensitivity wins: that of the lists over which a careless user would be most torn.
    Rankings of unequal depth cannot always be balanced; the deeper one is cut.

    Args:
        control: ranking of the control, best item first.
        treatment: ranking of the treatment.
        length: slots to fill; at most about a dozen, since lists double with each slot.
        credit: worth of a click, from the rank that a ranker gave the item. An item
            it left out counts as ranked just below its list.

    Raises:
        StatisticsError: a length below 1, an unknown credit, an empty ranking, more
            than 4,096 possible lists, or a ranking that repeats an item so that no
            balance exists.
    """
    depth = min(len(control), len(treatment))
    rankings = (control[:depth], treatment[:depth])
    _check(rankings, length)
    if credit not in ("inverse", "linear"):
        raise StatisticsError(f"credit must be 'inverse' or 'linear', got {credit!r}")
    lists = _mixes(rankings, length)
    worth = np.array(
        [[_worth(rankings, item, credit) for item in mix] for mix in lists]
    )
    lead = worth[..., 1] - worth[..., 0]
    return OptimisedInterleaving(lists, _most_sensitive(lead), worth)


def _check(rankings: Sequence[Sequence[Item]], length: int) -> None:
    if len(rankings) < 2:
        raise StatisticsError(f"rankings must be at least 2, got {len(rankings)}")
    if any(len(ranking) == 0 for ranking in rankings):
        raise StatisticsError("rankings must each hold an item, got an empty one")
    if length < 1:
        raise StatisticsError(f"length must be >= 1, got {length}")


def _best(ranking: Sequence[Item], used: set[Item]) -> tuple[Item] | None:
    """Return the ranking's best unused item; in a tuple, since an item may be None."""
    return next(((item,) for item in ranking if item not in used), None)


def _mixes(
    rankings: Sequence[Sequence[Item]], length: int
) -> tuple[tuple[Item, ...], ...]:
    """Return every list whose each item is the best left of one of the rankings."""
    mixes: list[tuple[Item, ...]] = [()]
    for _ in range(min(length, len({item for row in rankings for item in row}))):
        grown: dict[tuple[Item, ...], None] = {}
        for mix in mixes:
            for ranking in rankings:
                wish = _best(ranking, set(mix))
                if wish is not None:
                    grown[mix + wish] = None
        mixes = list(grown)
        if len(mixes) > _MOST_LISTS:
            raise StatisticsError(
                f"length {length} makes more than {_MOST_LISTS} lists; "
                "shorten it or use team_draft"
            )
    return tuple(mixes)


def _worth(
    rankings: Sequence[Sequence[Item]], item: Item, credit: Credit
) -> list[float]:
    """Return the worth of a click on an item to each ranker."""
    ranks = [
        ranking.index(item) + 1 if item in ranking else len(ranking) + 1
        for ranking in rankings
    ]
    return [1 / rank if credit == "inverse" else -float(rank) for rank in ranks]


def _most_sensitive(lead: FloatArray) -> FloatArray:
    """Return the unbiased, most sensitive probabilities of lists.

    Args:
        lead: worth of a click to the treatment less the control, shape (list, slot).
    """
    # SciPy's optimiser takes longer to load than the rest of the engine together.
    from scipy.optimize import linprog

    count, slots = lead.shape
    found = linprog(
        -_sensitivity(lead),
        A_eq=np.vstack([np.cumsum(lead, axis=-1).T, np.ones(count)]),
        b_eq=np.append(np.zeros(slots), 1.0),
        method="highs",
    )
    if not found.success:
        raise StatisticsError(
            "rankings cannot be balanced, as one repeats an item; use team_draft"
        )
    chosen = np.maximum(np.asarray(found.x), 0.0)
    return np.asarray(chosen / chosen.sum())


def _sensitivity(lead: FloatArray) -> FloatArray:
    """Return how torn a careless user is by each list: entropy of the winner.

    The user clicks slot i with probability proportional to 1 / i.
    """
    clicks = 1 / np.arange(1, lead.shape[-1] + 1)
    clicks = clicks / clicks.sum()
    wins = ((lead > 0) * clicks).sum(axis=-1)
    losses = ((lead < 0) * clicks).sum(axis=-1)
    untied = np.maximum(wins + losses, 1e-12)
    share = np.clip(wins / untied, 1e-12, 1 - 1e-12)
    entropy = -share * np.log(share) - (1 - share) * np.log1p(-share)
    return np.asarray(untied * entropy)
