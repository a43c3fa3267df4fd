"""The catalogue as a file tells it: of each item, what was last said (pure)."""

from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pandas as pd

from experiments.events.imports import columns as read
from experiments.events.imports.columns import Text
from experiments.events.imports.mapping import Mapping
from experiments.events.imports.reading import Chunk

LIMITS = {"title": 500, "category": 500, "currency": 3, "image_url": 2000, "url": 2000}
MAX_ITEM_ID = 200
ItemValue = str | Decimal


class SeenItems:
    """Items met so far; later rows win, empty values never do."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._frame = pd.DataFrame()

    def see(self, chunk: Chunk) -> None:
        """Take in a chunk."""
        have = chunk.columns.column_names
        ids = [c for c in self._mapping.columns_of("item_id") if c in have]
        if not ids or not self._mapping.items:
            return
        item = read.first_filled(
            [read.text_column(chunk.columns.column(c)) for c in ids]
        )
        columns: dict[str, object] = {"item_id": _objects(item)}
        for name, column in self._mapping.items.items():
            if column in have:
                text = read.text_column(chunk.columns.column(column))
                columns[name] = _objects(_prices(text) if name == "price" else text)
        frame = pd.DataFrame(columns, dtype=object)
        frame = frame[frame["item_id"].notna()]
        frame = frame[frame["item_id"].str.len() <= MAX_ITEM_ID]
        self._frame = (
            pd.concat([self._frame.reset_index(), frame], ignore_index=True)
            .drop(columns="index", errors="ignore")
            .groupby("item_id", sort=True)
            .last()
        )

    def __len__(self) -> int:
        return len(self._frame)

    def items(self) -> Iterator[dict[str, ItemValue]]:
        """Items as partial updates of the catalogue, by item id."""
        for row in self._frame.reset_index().to_dict("records"):
            item: dict[str, ItemValue] = {}
            for name, value in row.items():
                if isinstance(value, str):
                    amount = Decimal(value) if name == "price" else None
                    limit = LIMITS.get(str(name))
                    item[str(name)] = amount if amount is not None else value[:limit]
            yield item


def _objects(text: Text) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    values = np.array([v.replace("\0", "") if v else None for v in text.values], object)
    return values[text.index]


def _prices(text: Text) -> Text:
    """Prices as exact texts; empty where it is none."""
    wholes, ok = read.scaled_money(
        Text(text.values, np.arange(len(text.values), dtype=np.int32))
    )
    good = ok & (wholes >= 0)
    shown = [
        f"{whole // 10_000}.{whole % 10_000:04d}" if well else ""
        for whole, well in zip(wholes.tolist(), good.tolist(), strict=True)
    ]
    return Text(list(shown), text.index)
