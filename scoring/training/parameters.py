"""What a training run can be told besides the ranker's own hyper-parameters (pure)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from scoring.engine.artifact import Scalar
from scoring.engine.parameters import Parameters
from scoring.engine.registry import ranker_entry

WEIGHTS = {"view": 1.0, "click": 1.0, "add_to_cart": 2.0, "purchase": 4.0}
# Fitting these twice costs seconds; they are registered with the whole log in them.
REFITTED_KINDS = ("popularity", "item_knn")


class RunParametersError(ValueError):
    """A parameter is unknown or out of range; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class RunParameters:
    """Which rows of the log count, and how the model is judged.

    Attributes:
        weights: Event name -> strength of the implicit feedback, above 0.
        log_days: Days before the end of the log that are read; 0: all.
        drop_duplicates: Whether a line repeated in every field counts once.
        drop_cancelled: Whether a purchase whose order line was refunded is dropped.
        non_stock: RE2 pattern of whole item ids that are no products; empty: none.
        horizon_days: Held-out time at the end of the log that judges the model.
        gap_days: Days between training and the held-out time.
        exclude_seen: Whether items of the past are left out of the ranking.
        k: Length of the judged lists.
        max_cases: Most shoppers judged, drawn once for all models.
        refit: Whether the registered model is fitted again on the whole log after it
            was judged; None: for kinds that are cheap to fit.
        threads: Threads of the numeric libraries.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    log_days: float = 0.0
    drop_duplicates: bool = True
    drop_cancelled: bool = True
    non_stock: str = ""
    horizon_days: float = 7.0
    gap_days: float = 0.0
    exclude_seen: bool = True
    k: int = 10
    max_cases: int = 5000
    refit: bool | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        for name, least in (
            ("log_days", 0.0),
            ("horizon_days", 0.01),
            ("gap_days", 0.0),
            ("k", 1),
            ("max_cases", 1),
            ("threads", 1),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise RunParametersError(f"{name} = {value!r}; use a number.")
            if not value >= least:
                raise RunParametersError(f"{name} = {value}; use at least {least}.")
        for name in ("drop_duplicates", "drop_cancelled", "exclude_seen"):
            if not isinstance(getattr(self, name), bool):
                raise RunParametersError(
                    f"{name} = {getattr(self, name)!r}; use true or false."
                )
        weights: object = self.weights  # from JSON: may be anything
        if not isinstance(weights, Mapping) or not weights:
            raise RunParametersError(
                f"weights = {weights!r}; map at least one event name to a number."
            )
        for name, weight in weights.items():
            if not isinstance(weight, int | float) or not 0 < weight <= 1000:
                raise RunParametersError(
                    f"weights.{name} = {weight!r}; use a number above 0, at most 1000."
                )

    def refits(self, kind: str) -> bool:
        """Whether the registered model of that kind has the whole log in it."""
        return kind in REFITTED_KINDS if self.refit is None else self.refit

    def as_dict(self) -> dict[str, object]:
        """The values by name, ready for JSON."""
        return asdict(self)


def split_parameters(
    kind: str, values: Mapping[str, object]
) -> tuple[Parameters, RunParameters]:
    """Tell the ranker's hyper-parameters from the run's, both checked.

    Raises:
        UnknownRankerError: No ranker of that kind exists.
        InvalidParametersError: The ranker refuses one of its own.
        RunParametersError: A name is neither's, or a value is out of range.
    """
    entry = ranker_entry(kind)
    of_ranker = {each.name for each in entry.parameters.described()}
    of_run = {each.name for each in fields(RunParameters)}
    unknown = sorted(values.keys() - of_ranker - of_run)
    if unknown:
        raise RunParametersError(
            f"{unknown[0]} is no parameter; {kind} takes "
            f"{', '.join(sorted(of_ranker))}, every run {', '.join(sorted(of_run))}."
        )
    mine: dict[str, Scalar] = {
        name: value  # type: ignore[misc]  # checked by the ranker, value by value
        for name, value in values.items()
        if name in of_ranker
    }
    ours = {name: value for name, value in values.items() if name in of_run}
    return entry.parameters.from_mapping(mine), RunParameters(**ours)  # type: ignore[arg-type]  # checked by __post_init__
