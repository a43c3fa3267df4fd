"""Splits by time, never random: train before a cut, judge on what came after.

A random or leave-last-out split lets a model see other units' future, see 'Time to
Split', Gusak et al., RecSys 2025 (arXiv 2507.16289).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.engine.artifact import Json
from scoring.engine.errors import EvaluationError
from scoring.engine.evaluation import EvaluationCase
from scoring.engine.protocol import History, Interactions


@dataclass(frozen=True, slots=True, eq=False)
class TimeSplit:
    """What to train on and what to judge on.

    Attributes:
        train: Interactions before the cut; vocabulary reduced to what they hold.
        cases: One per unit with a past and at least one relevant item after the cut.
        units: int32[len(cases)], the unit of each case.
        facts: Cut, gap, horizon and what was left out, ready for a manifest.
    """

    train: Interactions
    cases: tuple[EvaluationCase, ...]
    units: NDArray[np.int32]
    facts: Mapping[str, Json]


def cut_at_share(interactions: Interactions, share: float = 0.1) -> float:
    """The time after which about that share of the interactions lies.

    Raises:
        EvaluationError: The share is not between 0 and 1, or all times are equal.
    """
    if not 0 < share < 1:
        raise EvaluationError(f"share = {share}; use a number between 0 and 1")
    times = interactions.timestamp
    if not len(times) or times[0] == times[-1]:
        raise EvaluationError(
            f"{len(times)} interactions at one time cannot be split by time; "
            "add a longer log"
        )
    cut = float(np.quantile(times, 1 - share))
    if cut > times[0]:
        return cut
    return float(times[times > times[0]][0])


def time_split(
    interactions: Interactions,
    cut: float,
    *,
    gap: float = 0.0,
    horizon: float | None = None,
    exclude_seen: bool = True,
) -> TimeSplit:
    """Split at a global cut.

    Relevant are the distinct items of a unit in [cut + gap, cut + gap + horizon).
    Units without a past and items not in training are left out and counted in the
    facts: no collaborative ranker can be right about them.

    Args:
        interactions: The whole log.
        cut: Seconds since the epoch; training ends before it.
        gap: Seconds between the end of training and the first judged interaction, as
            between nightly training and serving.
        horizon: Seconds that are judged; None: to the end of the log.
        exclude_seen: Whether items of the unit's past are excluded from the ranking
            and from what is relevant; False is the "repeat purchase" table.

    Raises:
        EvaluationError: One of the sides would be empty, or a length is negative.
    """
    if gap < 0 or (horizon is not None and horizon <= 0):
        raise EvaluationError(
            f"gap = {gap}, horizon = {horizon}; gap must be at least 0, horizon above 0"
        )
    begin = cut + gap
    end = np.inf if horizon is None else begin + horizon
    time = interactions.timestamp
    past, judged = time < cut, (time >= begin) & (time < end)
    judged &= interactions.weight > 0
    _check_sides(time, cut, int(past.sum()), int(judged.sum()))
    train = _restricted(interactions, past)
    cases, units, left_out = _cases(
        train, _targets(interactions, judged), cut, exclude_seen=exclude_seen
    )
    if not cases:
        raise EvaluationError(
            f"no unit has a past before {cut} and a new known item after; "
            f"left out: {left_out}; choose another cut or a longer horizon"
        )
    facts: dict[str, Json] = {
        "method": "global time cut",
        "cut": cut,
        "gap_seconds": gap,
        "horizon_seconds": horizon,
        "exclude_seen": exclude_seen,
        "train_interactions": len(train),
        "cases": len(cases),
        **left_out,
    }
    return TimeSplit(train, tuple(cases), np.array(units, np.int32), facts)


def _cases(
    train: Interactions,
    targets: Mapping[int, frozenset[str]],
    cut: float,
    *,
    exclude_seen: bool,
) -> tuple[list[EvaluationCase], list[int], dict[str, int]]:
    """Cases, their units and counts of what was left out."""
    left_out = {"units_without_past": 0, "cold_targets": 0, "units_without_target": 0}
    known = frozenset(train.item_ids)
    pasts = _rows_by_unit(train)
    cases, units = [], []
    for unit, wanted in targets.items():
        left_out["cold_targets"] += len(wanted - known)
        if unit not in pasts:
            left_out["units_without_past"] += 1
            continue
        history = _history(train, pasts[unit], cut)
        exclude = frozenset(history.item_ids) if exclude_seen else frozenset()
        relevant = (wanted & known) - exclude
        if not relevant:
            left_out["units_without_target"] += 1
            continue
        cases.append(EvaluationCase(history, relevant, exclude))
        units.append(unit)
    return cases, units, left_out


def _check_sides(
    time: NDArray[np.float64], cut: float, n_past: int, n_judged: int
) -> None:
    if n_past and n_judged:
        return
    span = f"{time[0]} to {time[-1]}" if len(time) else "no time at all"
    raise EvaluationError(
        f"cut {cut} leaves {n_past} interactions before and {n_judged} to judge; the "
        f"log spans {span}: choose a cut inside it, a smaller gap or a longer horizon"
    )


def _restricted(interactions: Interactions, rows: NDArray[np.bool_]) -> Interactions:
    """Some rows, with the vocabulary reduced to the items in them."""
    kept, item = np.unique(interactions.item[rows], return_inverse=True)
    return Interactions(
        unit=interactions.unit[rows],
        item=item.astype(np.int32),
        timestamp=interactions.timestamp[rows],
        weight=interactions.weight[rows],
        n_units=interactions.n_units,
        item_ids=tuple(interactions.item_ids[i] for i in kept.tolist()),
    )


def _targets(
    interactions: Interactions, rows: NDArray[np.bool_]
) -> dict[int, frozenset[str]]:
    """Distinct items of each unit in some rows, by unit."""
    met: dict[int, set[str]] = {}
    ids = interactions.item_ids
    pairs = zip(
        interactions.unit[rows].tolist(), interactions.item[rows].tolist(), strict=True
    )
    for unit, item in pairs:
        met.setdefault(unit, set()).add(ids[item])
    return {unit: frozenset(met[unit]) for unit in sorted(met)}


def _rows_by_unit(interactions: Interactions) -> dict[int, NDArray[np.int64]]:
    order, offsets = interactions.by_unit()
    busy = np.flatnonzero(np.diff(offsets)).tolist()
    return {unit: order[offsets[unit] : offsets[unit + 1]] for unit in busy}


def _history(
    interactions: Interactions, rows: NDArray[np.int64], now: float
) -> History:
    ids = interactions.item_ids
    return History(
        item_ids=tuple(ids[i] for i in interactions.item[rows].tolist()),
        timestamps=tuple(interactions.timestamp[rows].tolist()),
        now=now,
    )
