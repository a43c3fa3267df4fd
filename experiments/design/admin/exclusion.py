"""Layers and holdouts in the admin."""

from django.contrib import admin, messages
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from experiments.design.models import Holdout, Layer, LayerMembership
from experiments.design.services import end_holdout, free_segments
from models_registry.errors import ShipworthyError
from models_registry.services import publish_plan


class MemberInline(TabularInline):
    """Which experiments take part, to read."""

    model = LayerMembership
    extra = 0
    hide_title = True
    fields = ("experiment", "share", "owned")
    readonly_fields = fields
    can_delete = False

    def has_add_permission(
        self, request: HttpRequest, obj: Layer | None = None
    ) -> bool:
        """An experiment joins on its own page."""
        return False

    @admin.display(description="Percent it owns now")
    def owned(self, membership: LayerMembership) -> int:
        """Its segments."""
        return membership.segments.count()


@admin.register(Layer)
class LayerAdmin(ModelAdmin[Layer]):
    """Experiments of one layer never share a shopper."""

    list_display = ("name", "key", "show_free")
    search_fields = ("name", "key")
    fields = (("name", "key"), "description")
    inlines = (MemberInline,)

    @display(description="Free, percent")
    def show_free(self, layer: Layer) -> int:
        """Percent of shoppers that no experiment owns now."""
        return free_segments(layer)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Layer | None = None
    ) -> tuple[str, ...]:
        """The key is in seeds: it stays."""
        return ("key",) if obj else ()

    def get_prepopulated_fields(
        self, request: HttpRequest, obj: Layer | None = None
    ) -> dict[str, tuple[str, ...]]:
        """Only a new layer's key follows its name."""
        return {} if obj else {"key": ("name",)}


@admin.register(Holdout)
class HoldoutAdmin(ModelAdmin[Holdout]):
    """Shoppers kept out of a set of experiments."""

    list_display = ("name", "key", "share", "tags", "started_at", "ended_at")
    search_fields = ("name", "key")
    fields = (("name", "key"), "description", ("share", "tags"))
    actions_detail = ("end",)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Holdout | None = None
    ) -> tuple[str, ...]:
        """What decides who is out is frozen: end it and open another."""
        return ("key", "share", "tags") if obj else ()

    def get_prepopulated_fields(
        self, request: HttpRequest, obj: Holdout | None = None
    ) -> dict[str, tuple[str, ...]]:
        """Only a new holdout's key follows its name."""
        return {} if obj else {"key": ("name",)}

    def has_delete_permission(
        self, request: HttpRequest, obj: Holdout | None = None
    ) -> bool:
        """It is evidence: end it instead."""
        return False

    def save_model(
        self,
        request: HttpRequest,
        obj: Holdout,
        form: ModelForm[Holdout],
        change: bool,
    ) -> None:
        """A new one opens now, and the fronts are told."""
        super().save_model(request, obj, form, change)
        publish_plan()

    @action(description="End", url_path="end", icon="lock_open")
    def end(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Let experiments that start from now on have its shoppers again."""
        try:
            ended = end_holdout(Holdout.objects.get(pk=object_id))
        except ShipworthyError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"{ended.name} has ended.")
        return HttpResponseRedirect(
            reverse("admin:design_holdout_change", args=(object_id,))
        )
