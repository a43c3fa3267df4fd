"""What the catalogue routes take."""

from typing import Any, cast

import msgspec
from rest_framework import serializers

from experiments.events import contract
from experiments.events.models import Item

MAX_UPDATES = 1000
SEPARATOR = " > "


class AttributesField(serializers.JSONField):
    """A flat object of texts, numbers, booleans and lists of these."""

    default_error_messages = {
        "invalid": "This is no flat object: {reason}.",
        "nul": "A text holds U+0000 or half a surrogate pair; leave it out.",
    }

    def to_internal_value(self, data: object) -> dict[str, object]:
        """Check the object against the contract of events' attributes."""
        try:
            found = msgspec.convert(data, contract.Attributes)
            text = msgspec.json.encode(found)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            self.fail("invalid", reason=str(error))
        if b"\\u0000" in text:
            self.fail("nul")
        return dict(found)


class CategoryField(serializers.CharField):
    """A path from broad to narrow, as a list or already joined by `` > ``."""

    def to_internal_value(self, data: object) -> str:
        """The joined path."""
        if isinstance(data, list) and all(isinstance(part, str) for part in data):
            data = SEPARATOR.join(data)
        return super().to_internal_value(cast("str", data))


class ItemSerializer(serializers.ModelSerializer[Item]):
    """A partial update of an item: fields left out keep their value."""

    item_id = serializers.CharField(max_length=200)
    category = CategoryField(max_length=500, required=False, allow_blank=True)
    currency = serializers.RegexField(r"^[A-Z]{3}$", required=False)
    attributes = AttributesField(required=False)
    price = serializers.DecimalField(
        max_digits=18, decimal_places=4, min_value=0, required=False, allow_null=True
    )

    class Meta:
        model = Item
        fields = (
            "item_id", "title", "description", "category", "price", "currency",
            "in_stock", "available_from", "image_url", "url", "attributes",
        )  # fmt: skip


class ItemsSerializer(serializers.Serializer[dict[str, Any]]):
    """1 to 1,000 updates."""

    items = serializers.ListField(
        child=ItemSerializer(), allow_empty=False, max_length=MAX_UPDATES
    )


class UnitSerializer(serializers.Serializer[dict[str, Any]]):
    """Attributes of a unit; null removes one."""

    unit_id = serializers.CharField(max_length=200)
    attributes = AttributesField()


class UnitsSerializer(serializers.Serializer[dict[str, Any]]):
    """1 to 1,000 updates."""

    units = serializers.ListField(
        child=UnitSerializer(), allow_empty=False, max_length=MAX_UPDATES
    )


class UpdatedSerializer(serializers.Serializer[dict[str, int]]):
    """How many were updated."""

    updated = serializers.IntegerField()
