"""What the demo's worlds say of their shoppers."""

import numpy as np

from config.demo.world import newcomer_share


def test_newcomers_are_those_never_seen_before() -> None:
    shoppers = ["old", "new", "gone", "old", "new", "again"]
    at = [1.0, 10.0, 2.0, 11.0, 12.0, 10.0]
    assert newcomer_share(shoppers, at, since=10.0) == 2 / 3


def test_a_stretch_without_shoppers_has_no_newcomers() -> None:
    assert newcomer_share(np.array([], dtype=str), [], since=0.0) == 0.0
