"""A real shop's log as a world: after a cut, shoppers click what they really bought."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from config.demo.world import Event, Visit, event, newcomer_share

TEST_DAYS = 84
WINDOW_DAYS = 28
DAY_S = 86_400.0
CURRENCY = "GBP"


class RetailWorld:
    """Online Retail II: purchases and refunds of a gift shop.

    Visits are a shopper's orders after the cut, a minute before each; a click is an
    item on the list that the shopper bought within the next 28 days. The purchases
    and refunds after the cut are sent as they happened.
    """

    currency = CURRENCY

    def __init__(self, source: Path, folder: Path) -> None:
        self.folder = folder
        log = pd.read_csv(
            source,
            dtype={"customer": "string", "code": "string", "description": "string"},
            parse_dates=["ts"],
        )
        self._before = folder / "log-before-the-cut.csv.gz"
        last = log["ts"].max()
        cut = (last - timedelta(days=TEST_DAYS)).normalize()
        folder.mkdir(parents=True, exist_ok=True)
        log[log["ts"] < cut].to_csv(
            self._before,
            index=False,
            compression={"method": "gzip", "compresslevel": 1},
        )
        past = self._prepare(log[log["ts"] < cut])
        past = past[past["qty"] > 0]
        self._after = self._prepare(log[log["ts"] >= cut])
        self.starts_at = cut.tz_localize(UTC).timestamp()
        self.ends_at = self.starts_at + TEST_DAYS * DAY_S
        self.newcomers = newcomer_share(
            past["customer"].to_numpy(dtype=str),
            past["at"].to_numpy(),
            since=self.starts_at - TEST_DAYS * DAY_S,
        )
        bought = self._after[self._after["qty"] > 0]
        self._orders = bought.drop_duplicates(["customer", "at"])
        self._bought = {
            customer: (rows["at"].to_numpy(), rows["item"].to_numpy())
            for customer, rows in bought.groupby("customer", sort=False)
        }

    @staticmethod
    def _prepare(log: pd.DataFrame) -> pd.DataFrame:
        code = log["code"].fillna("").str.strip()
        item = code.where(code != "", log["description"].fillna("").str.strip())
        at = (log["ts"] - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
        kept = log.assign(item=item, at=at.astype(float)).sort_values(
            "at", kind="stable"
        )
        return kept[kept["item"] != ""]

    def log_file(self) -> tuple[Path, str]:
        """The log before the cut."""
        return self._before, "online_retail_ii"

    def catalogue_file(self) -> None:
        """The log carries titles and prices."""
        return

    def visits(self) -> Sequence[Visit]:
        """A minute before each order after the cut."""
        return [
            Visit(i, customer, at - 60.0)
            for i, (customer, at) in enumerate(
                zip(self._orders["customer"], self._orders["at"], strict=True)
            )
            if at < self.ends_at
        ]

    def respond(
        self, visit: Visit, items: Sequence[str], request_id: str
    ) -> list[Event]:
        """Click what is really bought within the window."""
        about = {"request_id": request_id, "placement": "home", "source": "web"}
        events: list[Event] = [
            event("impression", visit.unit_id, visit.at + 1, visit.number, **about)
        ]
        times, bought = self._bought[visit.unit_id]
        within = (times > visit.at) & (times <= visit.at + WINDOW_DAYS * DAY_S)
        wanted = set(bought[within])
        events += [
            event(
                "click",
                visit.unit_id,
                visit.at + 5 + slot,
                visit.number,
                item_id=item,
                position=slot + 1,
                **about,
            )
            for slot, item in enumerate(items)
            if item in wanted
        ]
        return events

    def background(self) -> Iterator[Event]:
        """Purchases and refunds as they happened, in time order."""
        rows = self._after[self._after["at"] < self.ends_at]
        value = np.abs(rows["qty"].to_numpy() * rows["price"].to_numpy())
        for number, (row, money) in enumerate(
            zip(rows.itertuples(), value, strict=True)
        ):
            moment = datetime.fromtimestamp(row.at, UTC)
            yield event(
                "purchase" if row.qty > 0 else "refund",
                str(row.customer),
                float(row.at),
                number,
                item_id=row.item,
                order_id=f"{row.customer}-{moment:%Y%m%d%H%M}",
                value=f"{money:.2f}",
                price=f"{row.price:.2f}",
                quantity=abs(int(row.qty)),
                currency=CURRENCY,
                source="server",
            )
