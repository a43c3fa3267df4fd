"""A synthetic shop whose truth is known (pure NumPy, seeded).

Shoppers have a long-term taste over categories, a style, and an intent that moves
from visit to visit: where it goes next depends on the last two categories, so a model
that reads the sequence can know more than one that reads a bag of items. The intent
moves on its own; what is recommended changes what is clicked, not what is wanted, so
that each variant's true value can be computed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from config.demo.words import DEPARTMENTS, MATERIALS, SIZES, STYLES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

OPENING = datetime(2026, 6, 1, tzinfo=UTC)
DAY_S = 86_400.0
STYLE_DIMENSIONS = 4


@dataclass(frozen=True)
class ShopParameters:
    """How large and how lively the shop is.

    Attributes:
        history_days: Days of log before the experiment.
        test_days: Days of the experiment.
        visits_mean: Mean visits a shopper makes while the experiment runs (1 or more).
        history_mean: Mean views a shopper left before it.
        stay, follow: Chance that the next intent is the same category, or the one
            that follows the last two; the rest is drawn from the long-term taste.
        appeal: Chance to click a perfectly fitting first item.
        browse: The same for an item of a category the shopper likes in general.
        charm: The same for the shop's most popular item, whoever looks.
    """

    seed: int = 7
    shoppers: int = 20_500
    items: int = 1_000
    history_days: int = 60
    test_days: int = 14
    visits_mean: float = 1.5
    history_mean: float = 9.0
    stay: float = 0.37
    follow: float = 0.37
    appeal: float = 0.07
    browse: float = 0.05
    charm: float = 0.03


@dataclass(frozen=True)
class Catalogue:
    """The shop's items.

    Attributes:
        category: Category index of each item.
        style: (items, 4) style vectors.
        appeal: Popularity weight within the category.
        price: In GBP.
    """

    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    category: Ints
    style: Floats
    appeal: Floats
    price: Floats

    @cached_property
    def index(self) -> dict[str, int]:
        """Item id -> position."""
        return {item: i for i, item in enumerate(self.item_ids)}


CATEGORIES: tuple[tuple[str, str], ...] = tuple(
    (department, category)
    for department, categories in DEPARTMENTS.items()
    for category in categories
)


def make_catalogue(rng: np.random.Generator, items: int) -> Catalogue:
    """Items spread over the categories, a few far more popular than the rest."""
    category = np.sort(rng.integers(0, len(CATEGORIES), items))
    appeal = rng.pareto(1.4, items) + 0.2
    level = np.exp(rng.normal(2.4, 0.5, len(CATEGORIES)))
    price = np.round(level[category] * np.exp(rng.normal(0, 0.4, items)), 2)
    words = [
        rng.integers(0, n, items) for n in (len(STYLES), len(MATERIALS), len(SIZES))
    ]
    titles = tuple(
        f"{STYLES[words[0][i]].capitalize()} {MATERIALS[words[1][i]]} "
        f"{CATEGORIES[category[i]][1].lower()}, {SIZES[words[2][i]]}"
        for i in range(items)
    )
    return Catalogue(
        item_ids=tuple(f"P{i:05d}" for i in range(items)),
        titles=titles,
        category=category,
        style=rng.normal(0, 1, (items, STYLE_DIMENSIONS)),
        appeal=appeal,
        price=np.maximum(price, 0.5),
    )


@dataclass(frozen=True)
class Visits:
    """Visits in time order, as parallel arrays.

    Attributes:
        shopper: Who comes.
        at: Unix seconds.
        intent: Category wanted at the visit: what a fitting list would hold.
        views: Items looked at after the list, in order (up to 4), -1 for none.
    """

    shopper: Ints
    at: Floats
    intent: Ints
    views: Ints


class Shop:
    """One shop with its past and its coming visits."""

    def __init__(self, parameters: ShopParameters) -> None:
        self.parameters = parameters
        rng = np.random.default_rng(parameters.seed)
        self.catalogue = make_catalogue(rng, parameters.items)
        n, c = parameters.shoppers, len(CATEGORIES)
        self.taste: Floats = rng.dirichlet(np.full(c, 0.25), n)
        self.style: Floats = rng.normal(0, 1, (n, STYLE_DIMENSIONS))
        self.follows: Ints = rng.integers(0, c, (c, c))
        self._rng = rng
        self._by_category = [
            np.flatnonzero(self.catalogue.category == k) for k in range(c)
        ]
        self._intents = rng.integers(0, c, (n, 2))
        self.past = self._browse(
            start=OPENING.timestamp(),
            days=parameters.history_days,
            counts=1 + rng.poisson(parameters.history_mean / 2.5 - 1, n),
        )
        self.opening_of_test = OPENING.timestamp() + parameters.history_days * DAY_S
        self.visits = self._browse(
            start=self.opening_of_test,
            days=parameters.test_days,
            counts=1 + rng.poisson(parameters.visits_mean - 1, n),
        )

    def unit_id(self, shopper: int) -> str:
        """The shopper's name outside."""
        return f"shopper-{self.parameters.seed}-{shopper:06d}"

    def _browse(self, *, start: float, days: int, counts: Ints) -> Visits:
        """Visits of all shoppers, each walking its own chain of intents."""
        rng = self._rng
        shopper = np.repeat(np.arange(len(counts)), counts)
        order = np.concatenate([np.arange(k) for k in counts])
        at = start + np.sort(rng.random((len(shopper),))) * days * DAY_S
        # Sorted times dealt to shoppers at random keep each shopper's own order.
        at = at[np.argsort(np.argsort(rng.random(len(shopper)), kind="stable"))]
        ranks = np.lexsort((at, shopper))
        at = at[ranks]
        views = np.full((len(shopper), 4), -1, dtype=np.int64)
        intent = np.zeros(len(shopper), dtype=np.int64)
        lengths = 1 + rng.integers(0, 4, len(shopper))
        for step in range(int(counts.max())):
            rows = np.flatnonzero(order == step)
            for view in range(4):
                wanted = self._next_intents(shopper[rows])
                if view == 0:
                    intent[rows] = wanted
                looking = lengths[rows] > view
                moving = rows[looking]
                views[moving, view] = self._pick(shopper[moving], wanted[looking])
                self._intents[shopper[moving], 0] = self._intents[shopper[moving], 1]
                self._intents[shopper[moving], 1] = wanted[looking]
        in_time = np.argsort(at, kind="stable")
        return Visits(shopper[in_time], at[in_time], intent[in_time], views[in_time])

    def _next_intents(self, shoppers: Ints) -> Ints:
        rng, p = self._rng, self.parameters
        before, last = self._intents[shoppers].T
        draw = rng.random(len(shoppers))
        cumulative = self.taste[shoppers].cumsum(axis=1)
        own = (rng.random((len(shoppers), 1)) > cumulative).sum(axis=1)
        own = np.minimum(own, len(CATEGORIES) - 1)
        chosen: Ints = np.where(
            draw < p.stay,
            last,
            np.where(draw < p.stay + p.follow, self.follows[before, last], own),
        )
        return chosen

    def _pick(self, shoppers: Ints, wanted: Ints) -> Ints:
        """An item of the wanted category by fit of style and popularity."""
        picked = np.zeros(len(shoppers), dtype=np.int64)
        for category in np.unique(wanted):
            rows = np.flatnonzero(wanted == category)
            items = self._by_category[category]
            logits = np.log(self.catalogue.appeal[items]) + 0.8 * (
                self.style[shoppers[rows]] @ self.catalogue.style[items].T
            )
            gumbel = self._rng.gumbel(size=logits.shape)
            picked[rows] = items[(logits + gumbel).argmax(axis=1)]
        return picked

    def click_probabilities(
        self, shopper: int, intent: int, items: npt.ArrayLike
    ) -> Floats:
        """Chance of a click on each item of a list, independent given the visit.

        Args:
            shopper: Who looks.
            intent: The category wanted at the visit.
            items: Item positions in the catalogue, first slot first.

        Returns:
            (len(items),) probabilities.
        """
        shown = np.asarray(items, dtype=np.int64)
        if not len(shown):
            return np.zeros(0)
        fit = 1.0 / (1.0 + np.exp(-self.catalogue.style[shown] @ self.style[shopper]))
        category = self.catalogue.category[shown]
        liked = self.taste[shopper, category] / self.taste[shopper].max()
        seen = 1.0 / (1.0 + 0.12 * np.arange(len(shown)))
        p = self.parameters
        famous = np.sqrt(self.catalogue.appeal[shown] / self.catalogue.appeal.max())
        wanted = (category == intent) * p.appeal + liked * p.browse + famous * p.charm
        chance: Floats = np.minimum(0.95, 2.0 * wanted * fit * seen)
        return chance
