"""What a file's columns mean: mappings are data, in TOML (pure but for reading them).

``docs`` of the format: the shipped files in ``mappings/`` use all of it.
"""

import tomllib
from pathlib import Path

import msgspec

from experiments.events.contract import NAME_PATTERN
from models_registry.errors import InvalidError

SHIPPED = Path(__file__).parent / "mappings"
TEXT_FIELDS = (
    "session_id",
    "page_view_id",
    "placement",
    "source",
    "user_agent",
    "request_id",
    "list_id",
    "item_id",
    "parent_item_id",
    "query",
    "text",
    "order_id",
    "coupon",
    "currency",
)
MONEY_FIELDS = ("value", "price", "discount")
WHOLE_FIELDS = ("quantity", "position", "dwell_ms", "result_count")
NUMBER_FIELDS = ("rating", "propensity")
FIELDS = (
    "event_id",
    "unit_id",
    *TEXT_FIELDS,
    *MONEY_FIELDS,
    *WHOLE_FIELDS,
    *NUMBER_FIELDS,
)
ITEM_FIELDS = (
    "title",
    "description",
    "category",
    "price",
    "currency",
    "image_url",
    "url",
)


class FileFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a CSV file is written; Parquet needs none of it."""

    delimiter: str = ","
    encoding: str = "utf-8"


class Timestamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When it happened.

    Attributes:
        format: ``iso8601``, ``unix_s``, ``unix_ms``, or a ``strptime`` format.
        timezone: Of stamps that name none.
    """

    column: str
    format: str = "iso8601"
    timezone: str = "UTC"


class Naming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The event's name: always the same, or from a column.

    Attributes:
        constant: The name of every row.
        column: The column that tells it.
        values: What the column's values mean; empty: they are our names.
        negative_quantity: Name of rows with a negative quantity, which is then
            counted positive; empty: such rows are errors.
    """

    constant: str = ""
    column: str = ""
    values: dict[str, str] = {}
    negative_quantity: str = ""


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file's columns mean.

    Attributes:
        fields: Field of the event -> the column, or several: the first that is not
            empty.
        optional: Fields whose columns the file may lack.
        constants: Field -> the text every row gets.
        properties: Columns kept as properties under their own names.
        derive_order_id: An order is what one unit bought at one time.
        derive_value: value = price x quantity.
        items: Field of the catalogue -> column; the last row of an item wins.
    """

    title: str
    timestamp: Timestamp
    name: Naming
    fields: dict[str, str | list[str]]
    file: FileFormat = FileFormat()
    optional: list[str] = []
    constants: dict[str, str] = {}
    properties: list[str] = []
    derive_order_id: bool = False
    derive_value: bool = False
    items: dict[str, str] = {}

    def columns_of(self, field: str) -> tuple[str, ...]:
        """The columns a field is read from; none, if it is not mapped."""
        columns = self.fields.get(field, [])
        return (columns,) if isinstance(columns, str) else tuple(columns)

    def item_columns(self) -> dict[str, bool]:
        """Columns of a catalogue file -> whether the file must have them."""
        return {
            **dict.fromkeys(self.items.values(), False),
            **dict.fromkeys(self.columns_of("item_id"), True),
        }

    def columns(self) -> dict[str, bool]:
        """Columns of a file of events -> whether the file must have them."""
        wanted = {self.timestamp.column: True}
        for field in self.fields:
            for column in self.columns_of(field):
                wanted[column] = wanted.get(column, False) or (
                    field not in self.optional
                )
        if self.name.column:
            wanted[self.name.column] = True
        for column in (*self.properties, *self.items.values()):
            wanted.setdefault(column, False)
        return wanted


def load_mapping(name_or_path: str) -> Mapping:
    """A shipped mapping by name, or one of the shop's own from a TOML file.

    Raises:
        InvalidError: There is none of that name, or the file is not a mapping.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = SHIPPED / f"{name_or_path}.toml"
        if not path.is_file():
            shipped = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.toml")))
            raise InvalidError(
                f"There is no mapping {name_or_path!r}; shipped are {shipped}; your "
                "own is named by its path, ending in .toml."
            )
    try:
        mapping = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Mapping)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"{path} can't be read: {error}.") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidError(f"{path} is not a mapping: {error}.") from None
    _check(mapping, path)
    return mapping


def _check(mapping: Mapping, path: Path) -> None:
    """Refuse what can be read but makes no sense."""
    import re

    unknown = [
        *(f for f in (*mapping.fields, *mapping.optional) if f not in FIELDS),
        *(f for f in mapping.constants if f not in TEXT_FIELDS),
        *(f for f in mapping.items if f not in ITEM_FIELDS),
    ]
    if unknown:
        raise InvalidError(
            f"{path}: {unknown[0]!r} is not a field that can be mapped there; fields "
            f"are {', '.join(FIELDS)}; of items {', '.join(ITEM_FIELDS)}."
        )
    if "unit_id" not in mapping.fields:
        raise InvalidError(f"{path}: fields.unit_id is missing; name its column.")
    naming = mapping.name
    if bool(naming.constant) == bool(naming.column):
        raise InvalidError(f"{path}: [name] needs either `constant` or `column`.")
    names = [naming.constant, naming.negative_quantity, *naming.values.values()]
    wrong = [n for n in names if n and not re.match(NAME_PATTERN, n)]
    if wrong:
        raise InvalidError(
            f"{path}: {wrong[0]!r} is no event name; use small letters, digits and _."
        )
