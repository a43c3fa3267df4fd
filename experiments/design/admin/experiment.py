"""Experiments in the admin: create, check, start, pause, conclude."""

from collections.abc import Callable, Iterable

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import ForeignKey, Model
from django.forms import BaseInlineFormSet, ModelChoiceField, ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from experiments.design.lifecycle import Action, Status, allowed_actions
from experiments.design.models import (
    Experiment,
    ExperimentMetric,
    ForcedVariant,
    LayerMembership,
    Prerequisite,
    Variant,
)
from experiments.design.services import (
    check_experiment,
    check_prerequisites,
    record_change,
    transition,
)
from experiments.gateway.roles import person
from models_registry.errors import ShipworthyError
from models_registry.services import publish_plan

FROZEN_ONCE_STARTED = (
    "key",
    "placement",
    "audience",
    "coverage",
    "exposure_source",
    "planned_days",
    "looks",
    "alpha",
    "minimum_effect",
    "priority",
    "tags",
    "sticky",
)


class VariantFormSet(BaseInlineFormSet[Variant, Experiment, ModelForm[Variant]]):
    """Numbers the variants in the order they are written, control first."""

    def save(self, commit: bool = True) -> list[Variant]:  # noqa: FBT002
        """Save, then give each its letter."""
        saved = super().save(commit=commit)
        if commit:
            order = sorted(
                self.instance.variants.all(), key=lambda v: (not v.is_control, v.pk)
            )
            for position, variant in enumerate(order):
                Variant.objects.filter(pk=variant.pk).update(position=position)
        return saved


class DraftInline(TabularInline):
    """Rows that may be edited only while the experiment is a draft."""

    extra = 0
    hide_title = True

    def has_change_permission(
        self, request: HttpRequest, obj: Experiment | None = None
    ) -> bool:
        """Only a draft's rows may be edited."""
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and _is_draft(obj)

    def has_add_permission(
        self, request: HttpRequest, obj: Experiment | None = None
    ) -> bool:
        """Only a draft may get more rows."""
        allowed: bool = super().has_add_permission(request, obj)
        return allowed and _is_draft(obj)

    def has_delete_permission(
        self, request: HttpRequest, obj: Experiment | None = None
    ) -> bool:
        """Only a draft may lose rows."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and _is_draft(obj)


def _is_draft(experiment: Experiment | None) -> bool:
    return experiment is None or experiment.status == Status.DRAFT


class VariantInline(DraftInline):
    """What is under test."""

    model = Variant
    formset = VariantFormSet
    min_num = 2
    fields = ("key", "name", "is_control", "weight", "version", "payload")
    ordering = ("position",)


class MetricInline(DraftInline):
    """What decides, what explains, what must not be harmed."""

    model = ExperimentMetric
    min_num = 1
    fields = ("metric", "role", "margin", "margin_scale")


class LayerInline(DraftInline):
    """Layers: experiments of one layer never share a shopper."""

    model = LayerMembership
    fields = ("layer", "share")


class PrerequisiteFormSet(
    BaseInlineFormSet[Prerequisite, Experiment, ModelForm[Prerequisite]]
):
    """Refuses circles and conditions that nobody can read."""

    def clean(self) -> None:
        """Look at all rows together."""
        super().clean()
        rows = [form.cleaned_data for form in self.forms if form.is_valid()]
        asked = [
            (row["placement"], row["condition"])
            for row in rows
            if row.get("placement") and not row.get("DELETE")
        ]
        if not asked or self.instance.placement_id is None:
            return
        try:
            check_prerequisites(self.instance, asked)
        except ShipworthyError as error:
            raise ValidationError(error.message) from error


class PrerequisiteInline(DraftInline):
    """What other placements must answer first."""

    model = Prerequisite
    formset = PrerequisiteFormSet
    fields = ("placement", "condition", "gate")


class ForcedInline(TabularInline):
    """Colleagues and test accounts that always get one variant; also while it runs."""

    model = ForcedVariant
    extra = 0
    hide_title = True
    fields = ("unit_id", "variant", "note")

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Variant], request: HttpRequest, **kwargs: object
    ) -> ModelChoiceField[Variant] | None:
        """Only the experiment's own variants can be chosen."""
        match = request.resolver_match
        number = match.kwargs.get("object_id") if match else None
        kwargs["queryset"] = Variant.objects.filter(experiment=number or 0)
        field: ModelChoiceField[Variant] | None = super().formfield_for_foreignkey(
            db_field, request, **kwargs
        )
        return field


def _permission(
    name: Action,
) -> Callable[[ModelAdmin[Experiment], HttpRequest, str | int | None], bool]:
    def allowed(
        self: ModelAdmin[Experiment],
        request: HttpRequest,
        object_id: str | int | None = None,
    ) -> bool:
        if not request.user.has_perm("design.change_experiment"):
            return False
        experiment = Experiment.objects.filter(pk=object_id or 0).first()
        return experiment is not None and name in allowed_actions(experiment.status)

    return allowed


@admin.register(Experiment)
class ExperimentAdmin(ModelAdmin[Experiment]):
    """The whole life of an experiment, but for the report and the shipping."""

    list_display = ("name", "show_status", "placement", "started_at", "owner")
    list_filter = ("status", "placement")
    search_fields = ("name", "key")
    inlines = (
        VariantInline,
        MetricInline,
        LayerInline,
        PrerequisiteInline,
        ForcedInline,
    )
    actions_detail = ("report", "preflight", "start", "pause", "resume", "conclude")
    fieldsets = (
        (None, {"fields": (("name", "key"), "hypothesis", ("placement", "owner"))}),
        (
            "Who takes part",
            {"fields": (("coverage", "priority"), "audience", ("tags", "sticky"))},
        ),
        (
            "Plan, fixed before the start",
            {
                "fields": (
                    ("planned_days", "looks"),
                    ("alpha", "minimum_effect"),
                    "exposure_source",
                )
            },
        ),
    )

    @display(
        description="Status",
        label={
            "draft": "info",
            "running": "success",
            "paused": "warning",
            "shipped": "success",
        },
    )
    def show_status(self, experiment: Experiment) -> str:
        """The status as a coloured word."""
        return experiment.status

    def get_readonly_fields(
        self, request: HttpRequest, obj: Experiment | None = None
    ) -> tuple[str, ...]:
        """What decides the split is frozen once started."""
        started = obj is not None and obj.status != Status.DRAFT
        return FROZEN_ONCE_STARTED if started else ()

    def get_prepopulated_fields(
        self, request: HttpRequest, obj: Experiment | None = None
    ) -> dict[str, tuple[str, ...]]:
        """Only a new experiment's key follows its name."""
        return {} if obj else {"key": ("name",)}

    def has_delete_permission(
        self, request: HttpRequest, obj: Experiment | None = None
    ) -> bool:
        """A started experiment is evidence: archive it instead."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (obj is None or obj.status == Status.DRAFT)

    def save_model(
        self,
        request: HttpRequest,
        obj: Experiment,
        form: ModelForm[Experiment],
        change: bool,
    ) -> None:
        """Save and keep what changed in the history."""
        if obj.owner is None:
            obj.owner = person(request.user)
        super().save_model(request, obj, form, change)
        record_change(
            obj,
            action="edit" if change else "create",
            summary=("Edited " + ", ".join(form.changed_data)) if change else "Created",
            by=person(request.user),
            before={
                n: str(form.initial.get(n, "")) for n in form.changed_data if change
            },
            after={n: str(form.cleaned_data.get(n, "")) for n in form.changed_data},
        )

    def save_related(
        self,
        request: HttpRequest,
        form: ModelForm[Experiment],
        formsets: Iterable[BaseInlineFormSet[Model, Experiment, ModelForm[Model]]],
        change: bool,
    ) -> None:
        """Save the rows, and tell the fronts of forced variants."""
        super().save_related(request, form, formsets, change)
        publish_plan()

    @action(description="Report", url_path="report", icon="monitoring")
    def report(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Open the report page."""
        key = Experiment.objects.values_list("key", flat=True).get(pk=object_id)
        return HttpResponseRedirect(reverse("analysis:report", args=(key,)))

    @action(description="Check", url_path="check", icon="checklist")
    def preflight(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Run the pre-flight list and show each line."""
        experiment = Experiment.objects.get(pk=object_id)
        for finding in check_experiment(experiment):
            level = messages.SUCCESS if finding.ok else messages.ERROR
            messages.add_message(request, level, finding.sentence)
        return self._back(object_id)

    @action(
        description="Start", url_path="start", icon="play_arrow", permissions=["start"]
    )
    def start(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Open the first phase: shoppers are split from now on."""
        return self._move(request, object_id, Action.START)

    @action(description="Pause", url_path="pause", icon="pause", permissions=["pause"])
    def pause(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Give everybody the placement's default for now."""
        return self._move(request, object_id, Action.PAUSE)

    @action(
        description="Resume",
        url_path="resume",
        icon="play_arrow",
        permissions=["resume"],
    )
    def resume(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Split shoppers again, everyone as before."""
        return self._move(request, object_id, Action.RESUME)

    @action(
        description="Conclude",
        url_path="conclude",
        icon="flag",
        permissions=["conclude"],
    )
    def conclude(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """End it with the control for everybody."""
        return self._move(request, object_id, Action.CONCLUDE)

    has_start_permission = _permission(Action.START)
    has_pause_permission = _permission(Action.PAUSE)
    has_resume_permission = _permission(Action.RESUME)
    has_conclude_permission = _permission(Action.CONCLUDE)

    def _move(self, request: HttpRequest, object_id: int, name: Action) -> HttpResponse:
        experiment = Experiment.objects.get(pk=object_id)
        try:
            moved = transition(experiment, name, by=person(request.user))
        except ShipworthyError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"{moved.name} is {moved.status}.")
        return self._back(object_id)

    @staticmethod
    def _back(object_id: int) -> HttpResponse:
        return HttpResponseRedirect(
            reverse("admin:design_experiment_change", args=(object_id,))
        )
