"""The registry in the admin: evidence is read only, what changes goes by services."""

from typing import TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Model as DatabaseModel
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from models_registry import jobs
from models_registry.errors import ShipworthyError
from models_registry.models import Alias, AliasMove, Evaluation, Job, Model, Version
from models_registry.selectors import live_version
from models_registry.services import CHAMPION, move_alias, publish_plan

Row = TypeVar("Row", bound=DatabaseModel)


class ReadOnly:
    """Rows that are evidence: nobody adds, changes or deletes them here."""

    def has_add_permission(self, *_: object, **__: object) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, *_: object, **__: object) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, *_: object, **__: object) -> bool:
        """Nobody."""
        return False


class AliasInline(ReadOnly, TabularInline):
    """Where the model's aliases point."""

    model = Alias
    fields = ("name", "version", "updated_at")
    readonly_fields = fields
    extra = 0


class VersionInline(ReadOnly, TabularInline):
    """The model's versions, newest first."""

    model = Version
    fields = ("number", "kind", "size_bytes", "created_at")
    readonly_fields = fields
    extra = 0
    show_change_link = True


class MoveInline(ReadOnly, TabularInline):
    """Who moved an alias, and why."""

    model = AliasMove
    verbose_name_plural = "alias moves"
    fields = (
        "moved_at",
        "alias_name",
        "from_version",
        "to_version",
        "moved_by",
        "reason",
        "report",
    )
    readonly_fields = fields
    extra = 0


@admin.register(Model)
class RegisteredModelAdmin(ModelAdmin[Model]):
    """A name, what is live under it, and how it got there."""

    list_display = ("name", "show_champion", "description", "created_at")
    search_fields = ("name", "description")
    inlines = (AliasInline, VersionInline, MoveInline)

    @display(description="Champion")
    def show_champion(self, model: Model) -> str:
        """The live version."""
        return str(live_version(model, CHAMPION) or "none")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        """Logs and shops refer to the name: it stays."""
        return ("name", "created_at") if obj else ("created_at",)

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        """A model with versions is evidence."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (obj is None or not obj.versions.exists())


class EvaluationInline(ReadOnly, TabularInline):
    """How the version did on later time."""

    model = Evaluation
    fields = ("created_at", "figures", "protocol")
    readonly_fields = fields
    extra = 0


class ReasonForm(forms.Form):
    """Why an alias moves."""

    reason = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        max_length=1000,
        help_text="Kept for ever beside your name, the old and the new version.",
    )


@admin.register(Version)
class VersionAdmin(ReadOnly, ModelAdmin[Version]):
    """An immutable version; it can be made the champion of its model."""

    list_display = ("model", "number", "kind", "size_bytes", "created_at")
    list_filter = ("model", "kind")
    list_select_related = ("model",)
    inlines = (EvaluationInline,)
    actions_detail = ("make_champion",)

    def has_make_champion_permission(
        self, request: HttpRequest, object_id: str | int | None = None
    ) -> bool:
        """Whoever may move aliases, for a version that is not the champion."""
        if not request.user.has_perm("models_registry.change_alias"):
            return False
        version = Version.objects.filter(pk=object_id or 0).first()
        return version is not None and version != live_version(version.model, CHAMPION)

    @action(
        description="Make champion",
        url_path="make-champion",
        icon="trophy",
        permissions=["make_champion"],
    )
    def make_champion(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask for the reason, show what changes, then move the alias."""
        version = Version.objects.select_related("model").get(pk=object_id)
        present = live_version(version.model, CHAMPION)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            seen = Version.objects.filter(pk=request.POST.get("seen") or 0).first()
            try:
                move_alias(
                    version.model,
                    CHAMPION,
                    version,
                    by=request.user if isinstance(request.user, User) else None,
                    reason=form.cleaned_data["reason"],
                    expected_version=seen,
                )
            except ShipworthyError as error:
                messages.error(request, error.message)
            else:
                publish_plan()
                messages.success(
                    request, f"{version} is the champion of {version.model}."
                )
            url = reverse("admin:models_registry_version_change", args=(object_id,))
            return HttpResponseRedirect(url)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Make {version} the champion of {version.model}",
            "opts": self.opts,
            "version": version,
            "present": present,
            "form": form,
        }
        return TemplateResponse(request, "models_registry/make_champion.html", context)


@admin.register(AliasMove)
class AliasMoveAdmin(ReadOnly, ModelAdmin[AliasMove]):
    """The history of what was live, append only."""

    list_display = (
        "moved_at",
        "alias_model",
        "alias_name",
        "from_version",
        "to_version",
        "moved_by",
        "reason",
    )
    list_filter = ("alias_model", "alias_name")
    list_select_related = ("alias_model", "from_version", "to_version", "moved_by")


@admin.register(Job)
class JobAdmin(ReadOnly, ModelAdmin[Job]):
    """Long work: how far it is, what it said, how it ended."""

    list_display = (
        "title",
        "show_state",
        "show_progress",
        "message",
        "created_by",
        "created_at",
    )
    list_filter = ("state", "kind")
    list_select_related = ("created_by",)
    search_fields = ("title",)
    exclude = ("lease",)
    actions = ("cancel_selected",)

    @display(
        description="State",
        label={
            "queued": "info",
            "running": "warning",
            "succeeded": "success",
            "failed": "danger",
        },
    )
    def show_state(self, job: Job) -> str:
        """The state as a coloured word."""
        return job.state

    @display(description="Progress")
    def show_progress(self, job: Job) -> str:
        """The share done."""
        return f"{job.progress:.0%}"

    def has_cancel_permission(self, request: HttpRequest, *_: object) -> bool:
        """Whoever may change jobs."""
        return request.user.has_perm("models_registry.change_job")

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Ask the chosen jobs to stop."""
        for job in queryset:
            try:
                jobs.cancel(job)
            except ShipworthyError as error:
                messages.error(request, error.message)
            else:
                messages.success(request, f"{job.title}: asked to stop.")
