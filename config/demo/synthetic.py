"""The synthetic shop as a world: its past as files, its shoppers' responses."""

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from config.demo.shop import CATEGORIES, DAY_S, Shop
from config.demo.words import OPINIONS
from config.demo.world import Event, Visit, event, newcomer_share

CURRENCY = "GBP"
SECONDS_PER_VIEW = 45.0
CART, BUY, REFUND, SEARCH, REVIEW = 0.25, 0.5, 0.05, 0.2, 0.1
COLUMNS = (
    "event_id",
    "name",
    "unit_id",
    "timestamp",
    "session_id",
    "item_id",
    "query",
    "rating",
    "text",
    "order_id",
    "value",
    "price",
    "quantity",
    "currency",
)


class SyntheticWorld:
    """Shoppers with known tastes; see ``config.demo.shop``."""

    currency = CURRENCY

    def __init__(self, shop: Shop, folder: Path) -> None:
        self.shop = shop
        self.folder = folder
        self.starts_at = shop.opening_of_test
        length = shop.parameters.test_days * DAY_S
        self.ends_at = self.starts_at + length
        self.newcomers = newcomer_share(
            shop.past.shopper, shop.past.at, since=self.starts_at - length
        )

    def log_file(self) -> tuple[Path, str]:
        """Write the past as CSV in the generic mapping's columns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "log.csv.gz"
        past = self.shop.past
        with gzip.open(path, "wt", compresslevel=1, newline="") as file:
            out = csv.DictWriter(file, COLUMNS, restval="")
            out.writeheader()
            for i in range(len(past.at)):
                rng = np.random.default_rng((self.shop.parameters.seed, 1, i))
                shopper, at = int(past.shopper[i]), float(past.at[i])
                for row in self._browse(shopper, at, past.views[i], rng):
                    if row["timestamp"] < _stamp(self.starts_at):  # type: ignore[operator]
                        out.writerow(row)
        return path, "generic"

    def catalogue_file(self) -> tuple[Path, str]:
        """Write the catalogue as CSV in the API's field names."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "items.csv"
        goods = self.shop.catalogue
        with path.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(
                ("item_id", "title", "description", "category", "price", "currency")
            )
            for i, item in enumerate(goods.item_ids):
                department, category = CATEGORIES[goods.category[i]]
                out.writerow(
                    (
                        item,
                        goods.titles[i],
                        f"{goods.titles[i]}, from our {category.lower()}.",
                        f"{department} > {category}",
                        f"{goods.price[i]:.2f}",
                        CURRENCY,
                    )
                )
        return path, "generic"

    def visits(self) -> Sequence[Visit]:
        """Every visit of the experiment's stretch."""
        coming = self.shop.visits
        return [
            Visit(i, self.shop.unit_id(int(shopper)), float(at))
            for i, (shopper, at) in enumerate(
                zip(coming.shopper, coming.at, strict=True)
            )
        ]

    def respond(
        self, visit: Visit, items: Sequence[str], request_id: str
    ) -> list[Event]:
        """Look at the list, click what fits, then browse on."""
        coming, goods = self.shop.visits, self.shop.catalogue
        rng = np.random.default_rng((self.shop.parameters.seed, 2, visit.number))
        shopper = int(coming.shopper[visit.number])
        seen = event(
            "impression",
            visit.unit_id,
            visit.at + 1,
            visit.number,
            request_id=request_id,
            placement="home",
            source="web",
        )
        shown = [goods.index[item] for item in items]
        chance = self.shop.click_probabilities(
            shopper, int(coming.intent[visit.number]), shown
        )
        events: list[Event] = [seen]
        for slot in map(int, np.flatnonzero(rng.random(len(shown)) < chance)):
            events += self._click(visit, items[slot], slot, request_id, rng)
        events += self._browse(
            shopper, visit.at + 60, coming.views[visit.number], rng, visit.number
        )
        return events

    def background(self) -> Iterator[Event]:
        """Nothing happens outside visits."""
        return iter(())

    def _click(
        self,
        visit: Visit,
        item: str,
        slot: int,
        request_id: str,
        rng: np.random.Generator,
    ) -> list[Event]:
        price = float(self.shop.catalogue.price[self.shop.catalogue.index[item]])
        at = visit.at + 5 + slot
        events: list[Event] = [
            event(
                "click",
                visit.unit_id,
                at,
                visit.number,
                request_id=request_id,
                placement="home",
                item_id=item,
                position=slot + 1,
                source="web",
            )
        ]
        if rng.random() < CART * BUY:
            events += _purchase(visit.unit_id, item, price, at + 20, visit.number, rng)
        return events

    def _browse(
        self,
        shopper: int,
        at: float,
        views: np.typing.NDArray[np.int64],
        rng: np.random.Generator,
        number: int = 0,
    ) -> list[dict[str, object]]:
        """Views with now and then a search, a cart, a purchase, a review."""
        goods, unit = self.shop.catalogue, self.shop.unit_id(shopper)
        session = f"s-{shopper}-{int(at)}"
        events: list[dict[str, object]] = []
        for step, item in enumerate(views[views >= 0]):
            moment = at + step * SECONDS_PER_VIEW
            about = {"item_id": goods.item_ids[item], "session_id": session}
            if rng.random() < SEARCH:
                query = CATEGORIES[goods.category[item]][1].lower()
                events.append(
                    event(
                        "search",
                        unit,
                        moment - 5,
                        number,
                        query=query,
                        session_id=session,
                    )
                )
            events.append(event("view", unit, moment, number, **about))
            if rng.random() < CART:
                events.append(event("add_to_cart", unit, moment + 10, number, **about))
                if rng.random() < BUY:
                    price = float(goods.price[item])
                    events += _purchase(
                        unit, goods.item_ids[item], price, moment + 20, number, rng
                    )
        return events


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _purchase(
    unit: str,
    item: str,
    price: float,
    at: float,
    number: int,
    rng: np.random.Generator,
) -> list[dict[str, object]]:
    """An order line, now and then with a review or a refund soon after."""
    order = f"o-{unit}-{int(at * 1000)}"
    money = {
        "item_id": item,
        "order_id": order,
        "value": f"{price:.2f}",
        "price": f"{price:.2f}",
        "quantity": 1,
        "currency": CURRENCY,
    }
    events = [event("purchase", unit, at, number, **money)]
    if rng.random() < REVIEW:
        stars = int(rng.integers(3, 6))
        text = str(rng.choice(OPINIONS))
        events.append(
            event(
                "review", unit, at + 300, number, item_id=item, rating=stars, text=text
            )
        )
    if rng.random() < REFUND:
        events.append(event("refund", unit, at + 600, number, **money))
    return events


def dump(events: Sequence[Event]) -> bytes:
    """The events as a request body of our API."""
    return json.dumps({"events": list(events)}).encode()
