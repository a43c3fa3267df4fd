"""Decisions are evidence: read only."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from experiments.decisions.models import Decision


@admin.register(Decision)
class DecisionAdmin(ModelAdmin[Decision]):
    """Who decided what, when, on which report, and why."""

    list_display = (
        "experiment",
        "action",
        "variant",
        "report",
        "against_rule",
        "decided_by",
        "decided_at",
    )
    list_filter = ("action", "against_rule")
    list_select_related = ("experiment", "variant", "report", "decided_by")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Decisions are made on the report page."""
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Decision | None = None
    ) -> bool:
        """Never edited."""
        return False

    def has_delete_permission(
        self, request: HttpRequest, obj: Decision | None = None
    ) -> bool:
        """Never deleted."""
        return False
