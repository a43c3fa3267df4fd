"""Metrics in the admin: a definition is changed by saving a new version."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from experiments.metrics.definitions import DefinitionError, MetricDefinition, parse
from experiments.metrics.models import Metric, MetricVersion
from experiments.metrics.services import add_version


class MetricForm(forms.ModelForm[Metric]):
    """A metric with its present definition; a changed one makes the next version."""

    definition = forms.JSONField(
        help_text=(
            'For example {"kind": "conversion", "events": ["click"], '
            '"attribution": "recommended"}. Saving a change makes a new version; '
            "reports keep the one they used."
        )
    )

    class Meta:
        model = Metric
        fields = ("key", "name", "description")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        latest = (
            self.instance.versions.order_by("-number").first()
            if self.instance.pk
            else None
        )
        if latest is not None:
            self.fields["definition"].initial = latest.definition

    def clean_definition(self) -> MetricDefinition:
        """Read the definition; what is wrong stands beside the field."""
        data = self.cleaned_data["definition"]
        try:
            return parse(data if isinstance(data, dict) else {})
        except DefinitionError as error:
            raise forms.ValidationError(str(error)) from error


class VersionInline(TabularInline):
    """What the metric meant before."""

    model = MetricVersion
    fields = readonly_fields = ("number", "definition", "created_at")
    extra = 0
    can_delete = False

    def has_add_permission(self, *_: Any) -> bool:
        """Versions are made by saving the metric."""
        return False


@admin.register(Metric)
class MetricAdmin(ModelAdmin):
    """The shop's metrics."""

    form = MetricForm
    list_display = ("name", "key", "created_at")
    search_fields = ("name", "key", "description")
    inlines = (VersionInline,)

    def get_readonly_fields(
        self,
        request: HttpRequest,
        obj: Metric | None = None,
    ) -> tuple[str, ...]:
        """The key names the metric in reports, so it stays."""
        return ("key",) if obj else ()

    def save_model(
        self, request: HttpRequest, obj: Metric, form: MetricForm, change: bool
    ) -> None:
        """Save the metric, and its definition as a version if it is new."""
        super().save_model(request, obj, form, change)
        add_version(obj, form.cleaned_data["definition"])
