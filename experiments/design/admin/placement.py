"""Placements in the admin."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from experiments.design.models import Placement
from models_registry.services import publish_plan


@admin.register(Placement)
class PlacementAdmin(ModelAdmin[Placement]):
    """Where the shop asks, and what it gets when no experiment decides."""

    list_display = ("name", "key", "value_type", "default_model", "list_size")
    search_fields = ("name", "key")
    fields = (
        ("name", "key"),
        "description",
        "value_type",
        "default_model",
        "default_value",
        ("list_size", "exclude_seen"),
    )
    prepopulated_fields = {"key": ("name",)}

    def get_readonly_fields(
        self, request: HttpRequest, obj: Placement | None = None
    ) -> tuple[str, ...]:
        """A key is on storefronts and in logs: it stays."""
        return ("key", "value_type") if obj else ()

    def get_prepopulated_fields(
        self, request: HttpRequest, obj: Placement | None = None
    ) -> dict[str, tuple[str, ...]]:
        """Only a new placement's key follows its name."""
        return {} if obj else {"key": ("name",)}

    def save_model(
        self, request: HttpRequest, obj: Placement, form: object, change: bool
    ) -> None:
        """Save, and tell the fronts."""
        super().save_model(request, obj, form, change)
        publish_plan()
