"""What a metric is: a value per exposed unit, defined as data (pure).

A definition names events, filters them, says whether they must belong to a list we
recommended, and what becomes of them per unit. It knows neither SQL nor an
experiment; ``compiler`` turns it into an expression for one.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import msgspec

from experiments.events.schema import EVENTS_SCHEMA, MONEY

Operator: TypeAlias = Literal[
    "is", "is_not", "in", "above", "at_least", "below", "at_most", "set", "missing"
]
FilterValue: TypeAlias = str | int | float | bool | tuple[str, ...] | None
Number: TypeAlias = Literal[
    "value", "price", "discount", "quantity", "dwell_ms", "rating", "result_count"
]

REFUND = "refund"
MONEY_SCALE = 10_000  # the log keeps four decimals
FLOAT_SCALE = 1_000_000
WINDOW_MINUTES = {"purchase": 24 * 60}
DEFAULT_WINDOW_MINUTES = 30


class DefinitionError(ValueError):
    """A definition that cannot be computed; the message names field and remedy."""


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition on one column of the log; a missing value satisfies only ``missing``.

    Attributes:
        field: A column of the event log: text, a number or a flag.
        value: What it is compared with; none for ``set`` and ``missing``.
    """

    field: str
    operator: Operator
    value: FilterValue = None

    def check(self) -> None:
        """Raise when the column or the value does not fit the operator.

        Raises:
            DefinitionError: Unknown column, or a value the operator cannot use.
        """
        if self.field not in EVENTS_SCHEMA.names:
            raise DefinitionError(
                f"filters: {self.field!r} is no column of the event log; "
                f"use one of {', '.join(EVENTS_SCHEMA.names)}."
            )
        bare = self.operator in {"set", "missing"}
        if bare != (self.value is None):
            need = "takes no value" if bare else "needs a value"
            raise DefinitionError(
                f"filters: {self.field} {self.operator} {need}, got {self.value!r}."
            )
        if (self.operator == "in") != isinstance(self.value, tuple):
            raise DefinitionError(
                f"filters: {self.field} {self.operator} got {self.value!r}; "
                "a list of values goes with 'in', a single one with the others."
            )
        if not bare:
            self._check_type()

    def _check_type(self) -> None:
        kind = str(EVENTS_SCHEMA.field(self.field).type)
        if kind == "string":
            fits, wanted = isinstance(self.value, str | tuple), "text"
        elif kind == "bool":
            fits, wanted = isinstance(self.value, bool), "true or false"
        elif kind.startswith(("int", "double", "decimal")):
            number = isinstance(self.value, int | float)
            fits, wanted = number and not isinstance(self.value, bool), "a number"
        else:
            raise DefinitionError(
                f"filters: {self.field} is a {kind}; filter text, numbers or flags."
            )
        ordered = self.operator in {"above", "at_least", "below", "at_most"}
        if not fits or (ordered and wanted != "a number"):
            raise DefinitionError(
                f"filters: {self.field} {self.operator} {self.value!r} does not fit; "
                f"{self.field} is {wanted}."
            )


class _Definition(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Fields every kind has.

    Attributes:
        events: Names of the events that count.
        filters: All must hold.
        attribution: ``recommended``: the event must belong to a list shown at the
            experiment's placement, by request and item, else the item's last showing
            to that unit within the window was there.
        attribution_minutes: The window; unset: 24 hours for purchases, else 30 minutes.
        at_placement: The event itself must name the experiment's placement.
        window_days: Count only so many days from a unit's first exposure.
        direction: Which way is good.
        unit: What a value is in, for people: ``share``, ``count``, ``GBP``.
    """

    events: tuple[str, ...]
    filters: tuple[Filter, ...] = ()
    attribution: Literal["none", "recommended"] = "none"
    attribution_minutes: int | None = None
    at_placement: bool = False
    window_days: int | None = None
    direction: Literal["increase", "decrease"] = "increase"
    unit: str = "count"

    @property
    def kind(self) -> str:
        """The tag: ``conversion``, ``count`` or ``sum``."""
        return str(self.__struct_config__.tag)

    @property
    def scale(self) -> int:
        """Integer steps in one unit of the value; per-unit totals are whole steps."""
        return 1

    @property
    def ceiling(self) -> int | None:
        """Highest per-unit total that counts, in steps; above it is cut."""
        return None

    def event_names(self) -> tuple[str, ...]:
        """All names the log is searched for."""
        return self.events

    def window_minutes(self, event: str) -> int:
        """Attribution window of one kind of event, in minutes."""
        if self.attribution_minutes is not None:
            return self.attribution_minutes
        return WINDOW_MINUTES.get(event, DEFAULT_WINDOW_MINUTES)


class Conversion(_Definition, frozen=True, kw_only=True, tag="conversion"):
    """Share of exposed units with at least one matching event."""

    unit: str = "share"

    @property
    def ceiling(self) -> int | None:
        """One event is as good as many."""
        return 1


class Count(_Definition, frozen=True, kw_only=True, tag="count"):
    """Matching events per exposed unit.

    Attributes:
        distinct: Count different values of this column (``order_id``) instead of rows.
        cap: Most events of one unit that count.
    """

    distinct: str | None = None
    cap: int | None = None

    @property
    def ceiling(self) -> int | None:
        """The cap."""
        return self.cap


class Sum(_Definition, frozen=True, kw_only=True, tag="sum"):
    """Sum of a number of the matching events per exposed unit.

    Attributes:
        field: The number that is summed.
        net_of_refunds: Take off the same unit's refunds, by their own time and
            under the same filters; total money only, since a refund belongs to no list.
        cap: Highest total of one unit that counts, in the field's unit.
    """

    field: Number = "value"
    net_of_refunds: bool = False
    cap: float | None = None

    @property
    def scale(self) -> int:
        """Money in ten-thousandths, whole numbers as they are, others in millionths."""
        kind = EVENTS_SCHEMA.field(self.field).type
        if kind == MONEY:
            return MONEY_SCALE
        return FLOAT_SCALE if str(kind) == "double" else 1

    @property
    def ceiling(self) -> int | None:
        """The cap in steps."""
        return None if self.cap is None else round(self.cap * self.scale)

    def event_names(self) -> tuple[str, ...]:
        """Refunds are searched for too when they are taken off."""
        return (*self.events, REFUND) if self.net_of_refunds else self.events


MetricDefinition: TypeAlias = Conversion | Count | Sum

KINDS = ("conversion", "count", "sum")


def parse(data: Mapping[str, object]) -> MetricDefinition:
    """Read a definition from plain data, as the database and the API hold it.

    Raises:
        DefinitionError: The message says which field is wrong and what is allowed.
    """
    if data.get("kind") not in KINDS:
        raise DefinitionError(
            f"kind is {data.get('kind')!r}; allowed: {', '.join(KINDS)}."
        )
    unknown = set(data) - _FIELDS[str(data["kind"])]
    if unknown:
        raise DefinitionError(
            f"{min(unknown)} is no field of a {data['kind']}; "
            f"allowed: {', '.join(sorted(_FIELDS[str(data['kind'])]))}."
        )
    try:
        definition: MetricDefinition = msgspec.convert(data, MetricDefinition)
    except msgspec.ValidationError as error:
        raise DefinitionError(f"{error}.") from error
    check(definition)
    return definition


def to_data(definition: MetricDefinition) -> dict[str, object]:
    """Return plain JSON data that ``parse`` reads back to an equal definition."""
    data: dict[str, object] = msgspec.json.decode(msgspec.json.encode(definition))
    return data


def check(definition: MetricDefinition) -> None:
    """Raise when the fields contradict each other.

    Raises:
        DefinitionError: The message says which field and what to change.
    """
    if not definition.events or not all(definition.events):
        raise DefinitionError("events is empty; name at least one kind of event.")
    for condition in definition.filters:
        condition.check()
    _check_positive("window_days", definition.window_days)
    _check_positive("attribution_minutes", definition.attribution_minutes)
    match definition:
        case Sum(net_of_refunds=True):
            _check_refunds(definition)
            _check_positive("cap", definition.cap)
        case Sum() | Count():
            _check_positive("cap", definition.cap)
        case Conversion():
            pass
    if isinstance(definition, Count) and definition.distinct is not None:
        _check_distinct(definition.distinct)


def _check_refunds(definition: Sum) -> None:
    if definition.field != "value":
        raise DefinitionError(
            f"net_of_refunds with field {definition.field!r}: a refund states only its "
            "value; sum 'value' or turn net_of_refunds off."
        )
    if definition.attribution != "none":
        raise DefinitionError(
            "net_of_refunds with attribution 'recommended': a refund belongs to no "
            "list; use attribution 'none', or turn net_of_refunds off."
        )


def _check_distinct(column: str) -> None:
    allowed = ("order_id", "item_id", "session_id", "request_id")
    if column not in allowed:
        raise DefinitionError(f"distinct is {column!r}; allowed: {', '.join(allowed)}.")


def _check_positive(name: str, value: float | None) -> None:
    if value is not None and not value > 0:
        raise DefinitionError(f"{name} is {value!r}; it must be above 0, or unset.")


_FIELDS = {
    str(kind.__struct_config__.tag): {"kind", *kind.__struct_fields__}
    for kind in get_args(MetricDefinition)
}
