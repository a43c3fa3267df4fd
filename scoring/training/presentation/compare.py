"""The comparison of versions: a claim with its interval, then the figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.analysis.presentation import charts, numbers, wording
from experiments.analysis.presentation.banner import Banner
from experiments.analysis.presentation.banner import Fact as BannerFact
from experiments.analysis.presentation.table import IntervalBar, interval_bar
from experiments.analysis.presentation.wording import Tag
from models_registry.models import Evaluation
from scoring.engine.errors import EvaluationError
from scoring.engine.evaluation import Evaluation as Judged
from scoring.engine.evaluation import Figure, paired_difference
from scoring.training.presentation.facts import Fact, facts
from scoring.training.presentation.scores import (
    MEASURES,
    Score,
    interval_of,
    label,
    length,
    padded,
    score_of,
    written,
)
from scoring.training.registered import Registered

MAIN = "ndcg"
COLUMNS = ("precision", "recall", "f1", "hit_rate", "coverage")
BETTER = Tag("good", "check", "Better")
WORSE = Tag("bad", "x", "Behind")
UNCLEAR = Tag("quiet", "minus", "No clear difference")


@dataclass(frozen=True)
class Column:
    """A column's head and what it means."""

    name: str
    label: str
    meaning: str


@dataclass(frozen=True)
class Paired:
    """A version against the reference, on the same shoppers."""

    tag: Tag
    change: str
    bounds: str


@dataclass(frozen=True)
class Row:
    """One version of the table."""

    letter: str
    slot: str
    model: str
    number: int
    label: str
    about: str
    bar: IntervalBar | None
    main: str
    main_bounds: str
    cells: tuple[str, ...]
    accuracy: str
    accuracy_bounds: str
    always_no: str
    above: str
    paired: Paired | None
    note: str


@dataclass(frozen=True)
class Comparison:
    """Everything the comparison page shows."""

    title: str
    banner: Banner
    main: Column
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    protocol: tuple[Fact, ...]
    same_protocol: bool
    reference: str
    always_no: str
    k: int


def compare(found: Sequence[Registered]) -> Comparison:
    """Compare versions; the champion, else the first one, is the reference."""
    reference = next((r for r in found if "champion" in r.aliases), found[0])
    ordered = [reference, *(r for r in found if r is not reference)]
    k = length([r.evaluation for r in ordered])
    paired = {
        r.version.pk: difference(r.evaluation, reference.evaluation, f"{MAIN}@{k}")
        for r in ordered[1:]
    }
    main = MEASURES[MAIN]
    protocols = [r.evaluation.protocol for r in ordered if r.evaluation]
    always_no = score_of(reference.evaluation, "always_no_accuracy")
    return Comparison(
        title=wording.listed([str(r.version) for r in ordered]) + " compared",
        banner=_banner(ordered, paired),
        main=Column(MAIN, label(main, k), main.meaning),
        columns=tuple(
            Column(name, label(MEASURES[name], k), MEASURES[name].meaning)
            for name in COLUMNS
        ),
        rows=tuple(
            _row(r, "ABCDEFGH"[min(i, 7)], _scale(ordered), paired.get(r.version.pk))
            for i, r in enumerate(ordered)
        ),
        protocol=facts(protocols[0]) if protocols else (),
        same_protocol=all(p == protocols[0] for p in protocols),
        reference=str(reference.version),
        always_no=written(
            MEASURES["always_no_accuracy"], always_no.value if always_no else None
        ),
        k=k,
    )


def difference(
    challenger: Evaluation | None, reference: Evaluation | None, name: str
) -> Figure | None:
    """Mean difference over the same shoppers with its bootstrap interval, or None."""
    if challenger is None or reference is None:
        return None
    if name not in challenger.per_unit or name not in reference.per_unit:
        return None
    key = (challenger.pk, reference.pk, name)
    if key not in _KNOWN:
        if len(_KNOWN) > 500:
            _KNOWN.clear()
        _KNOWN[key] = _difference(challenger, reference, name)
    return _KNOWN[key]


_KNOWN: dict[tuple[int, int, str], Figure | None] = {}  # evaluations never change


def _difference(
    challenger: Evaluation, reference: Evaluation, name: str
) -> Figure | None:
    try:
        return paired_difference(
            _judged(challenger, name), _judged(reference, name), name
        )
    except EvaluationError:  # other shoppers were judged: no pairs
        return None


def _judged(stored: Evaluation, name: str) -> Judged:
    values = np.asarray(stored.per_unit[name], dtype=np.float64)
    cases = stored.protocol.get("cases_hash")
    return Judged(
        figures={},
        per_unit={name: values},
        users=len(values),
        skipped=0,
        k=10,
        confidence=0.95,
        cases=str(cases) if cases else f"{len(values)} shoppers",
    )


def _scale(ordered: Sequence[Registered]) -> tuple[float, float]:
    bounds = [
        bound
        for r in ordered
        if (score := score_of(r.evaluation, MAIN)) is not None
        for bound in score.bounds
    ]
    return padded(bounds)


def _row(
    registered: Registered,
    letter: str,
    scale: tuple[float, float],
    pair: Figure | None,
) -> Row:
    version, evaluation = registered.version, registered.evaluation
    main = score_of(evaluation, MAIN)
    accuracy = score_of(evaluation, "accuracy")
    always_no = score_of(evaluation, "always_no_accuracy")
    about = [*registered.aliases, *_where(registered)]
    share = MEASURES["accuracy"]
    return Row(
        letter=letter,
        slot=charts.slot(letter),
        model=version.model.name,
        number=version.number,
        label=str(version),
        about=", ".join(about),
        bar=interval_bar(
            letter,
            main.value,
            main.bounds,
            scale,
            label=f"{version}: {interval_of(MEASURES[MAIN], main) or main.value}",
        )
        if main
        else None,
        main=numbers.score(main.value if main else None),
        main_bounds=interval_of(MEASURES[MAIN], main),
        cells=tuple(_cell(evaluation, name) for name in COLUMNS),
        accuracy=_precise(accuracy),
        accuracy_bounds=interval_of(share, accuracy),
        always_no=_precise(always_no),
        above=numbers.signed((accuracy.value - always_no.value) * 100, 2, " points")
        if accuracy and always_no
        else numbers.NONE,
        paired=_paired(pair),
        note="reference"
        if pair is None and letter == "A"
        else "other shoppers were judged",
    )


def _precise(score: Score | None) -> str:
    return numbers.NONE if score is None else numbers.percent(score.value, 2)


def _cell(evaluation: Evaluation | None, name: str) -> str:
    score = score_of(evaluation, name)
    return written(MEASURES[name], score.value if score else None)


def _where(registered: Registered) -> list[str]:
    return [
        f"variant {v.letter} of {v.experiment.name}" for v in registered.variants[:1]
    ]


def _paired(pair: Figure | None) -> Paired | None:
    if pair is None:
        return None
    low, high = pair.lower, pair.upper
    tag = UNCLEAR
    if low is not None and low > 0:
        tag = BETTER
    elif high is not None and high < 0:
        tag = WORSE
    bounds = (
        ""
        if low is None or high is None
        else f"{numbers.signed(low, 4)} to {numbers.signed(high, 4)}"
    )
    return Paired(tag, numbers.signed(pair.value, 4), bounds)


def _banner(ordered: Sequence[Registered], paired: dict[int, Figure | None]) -> Banner:
    reference = ordered[0]
    base = score_of(reference.evaluation, MAIN)
    scored = [
        (score.value, r)
        for r in ordered[1:]
        if (score := score_of(r.evaluation, MAIN)) is not None
    ]
    is_champion = "champion" in reference.aliases
    role = "today's champion" if is_champion else str(reference.version)
    shown: tuple[BannerFact, ...] = (
        BannerFact(
            "champion, live now" if is_champion else "reference",
            str(reference.version),
            f"NDCG {numbers.score(base.value if base else None)}",
        ),
    )
    if not scored or base is None:
        return Banner(
            "quiet",
            "minus",
            "Offline figures",
            "Nothing to compare yet",
            ("Choose two or more versions that have been evaluated.",),
            shown,
        )
    value, best = max(scored, key=lambda pair: pair[0])
    pair = paired.get(best.version.pk)
    shown += (BannerFact("best of the others", str(best.version), f"NDCG {value:.4f}"),)
    return Banner(
        tone="info",
        icon="flag",
        kicker="Offline figures",
        sentence=_claim(best, role, value, base.value, pair),
        reasons=_reasons(pair),
        facts=shown,
    )


def _claim(
    best: Registered, role: str, value: float, base: float, pair: Figure | None
) -> str:
    if pair is not None and (
        pair.lower is None or pair.upper is None or pair.lower <= 0 <= pair.upper
    ):
        return f"No clear difference offline between {best.version} and {role}"
    size = numbers.size_of(value / base - 1) if base else numbers.score(value - base)
    word = "better" if value >= base else "worse"
    return f"{best.version} ranks {size} {word} than {role}"


def _reasons(pair: Figure | None) -> tuple[str, ...]:
    last = "Offline figures alone do not promote a model; an experiment decides."
    if pair is None or pair.lower is None or pair.upper is None:
        return ("These versions were judged on other shoppers: no paired test.", last)
    return (
        (
            f"NDCG changes by {numbers.signed(pair.value, 4)} (95% interval "
            f"{numbers.signed(pair.lower, 4)} to {numbers.signed(pair.upper, 4)}), "
            "paired on the same shoppers."
        ),
        last,
    )
