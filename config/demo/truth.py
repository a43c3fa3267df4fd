"""What each variant is truly worth in the synthetic shop, from the known tastes."""

from collections.abc import Mapping, Sequence

import numpy as np

from config.demo.shop import Shop
from scoring.engine.protocol import History, Scorer

SAMPLE = 2_000
SECONDS_PER_VIEW = 45.0


def true_values(
    shop: Shop,
    scorers: Mapping[str, Scorer],
    *,
    list_size: int = 10,
    sample: int = SAMPLE,
) -> dict[str, float]:
    """Expected share of shoppers with a click on a recommended item, per variant.

    The same sampled shoppers meet every variant at each of their visits, with the
    history they would have then; what they want does not depend on what was shown
    before, so a shopper's chance is 1 - prod(1 - p) over visits and slots.
    """
    rng = np.random.default_rng((shop.parameters.seed, 3))
    everybody = shop.parameters.shoppers
    chosen = rng.choice(everybody, min(sample, everybody), replace=False)
    pasts = {int(s): _views(shop, int(s)) for s in chosen}
    return {
        name: float(
            np.mean([_chance(shop, scorer, s, pasts[s], list_size) for s in pasts])
        )
        for name, scorer in scorers.items()
    }


def _views(shop: Shop, shopper: int) -> list[tuple[str, float]]:
    past = shop.past
    rows = np.flatnonzero(past.shopper == shopper)
    return [
        (shop.catalogue.item_ids[item], float(past.at[row]) + step * SECONDS_PER_VIEW)
        for row in rows
        for step, item in enumerate(past.views[row])
        if item >= 0
    ]


def _chance(
    shop: Shop,
    scorer: Scorer,
    shopper: int,
    past: Sequence[tuple[str, float]],
    list_size: int,
) -> float:
    coming, known = shop.visits, list(past)
    none_clicked = 1.0
    for row in np.flatnonzero(coming.shopper == shopper):
        at = float(coming.at[row])
        latest = known[-50:]
        history = History(
            tuple(item for item, _ in latest), tuple(t for _, t in latest), at
        )
        seen = {item for item, _ in known}
        ranked = scorer.recommend([history], list_size, [seen])[0]
        shown = [shop.catalogue.index[item] for item in ranked.item_ids]
        chance = shop.click_probabilities(shopper, int(coming.intent[row]), shown)
        none_clicked *= float(np.prod(1.0 - chance))
        known += [
            (shop.catalogue.item_ids[item], at + 60 + step * SECONDS_PER_VIEW)
            for step, item in enumerate(coming.views[row])
            if item >= 0
        ]
    return 1.0 - none_clicked
