"""The catalogue and the dead letters, to look at; shops write them by the API."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from experiments.events.models import DeadLetter, Item
from experiments.events.presentation import payload_text


@admin.register(Item)
class ItemAdmin(ModelAdmin):
    """Items as they are now; the shop's feed is what changes them."""

    list_display = ("item_id", "title", "category", "price", "currency", "in_stock")
    list_filter = ("in_stock",)
    search_fields = ("item_id", "title", "category")
    readonly_fields = (
        "item_id", "title", "description", "category", "price", "currency", "in_stock",
        "available_from", "image_url", "url", "attributes", "updated_at",
    )  # fmt: skip
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Items come from the shop."""
        return False

    def has_delete_permission(
        self,
        request: HttpRequest,
        obj: Item | None = None,
    ) -> bool:
        """An item that is gone is out of stock."""
        return False


@admin.register(DeadLetter)
class DeadLetterAdmin(ModelAdmin):
    """Stream entries that gave no rows, with the reason."""

    list_display = ("created_at", "shard", "entry_id", "reason")
    list_filter = ("shard",)
    search_fields = ("entry_id", "reason")
    fields = ("created_at", "shard", "entry_id", "reason", "shown")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        """They come from the collector."""
        return False

    @admin.display(description="payload")
    def shown(self, letter: DeadLetter) -> str:
        """The entry, as far as it can be shown."""
        return payload_text(bytes(letter.payload))
