"""API keys in the admin: made, shown once, revoked; nothing else changes."""

from typing import ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from experiments.gateway import services
from experiments.gateway.keys import SCOPES
from experiments.gateway.models import ApiKey
from experiments.gateway.roles import person
from models_registry.errors import ShipworthyError


class LinesField(forms.CharField):
    """A list, one entry a line."""

    widget = forms.Textarea

    def clean(self, value: object) -> list[str]:
        """The non-empty lines."""
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]


class NewKeyForm(forms.ModelForm[ApiKey]):
    """What a new key needs."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
    )
    origins = LinesField(
        required=False, help_text="Origins a publishable key works from, one a line."
    )
    event_names = LinesField(
        required=False, help_text="Event names it may send, one a line; empty: default."
    )

    class Meta:
        model = ApiKey
        fields = (
            "label",
            "client",
            "kind",
            "scopes",
            "origins",
            "event_names",
            "rate_per_minute",
            "remote_only",
            "expires_at",
        )

    def clean(self) -> dict[str, object]:
        """Ask the service, so that a refusal stands in the form."""
        cleaned = super().clean() or {}
        if {"client", "kind", "scopes"} <= set(cleaned):
            try:
                services.check_new_key(
                    client=cleaned["client"],
                    kind=cleaned["kind"],
                    scopes=cleaned["scopes"],
                    origins=cleaned.get("origins", ()),
                )
            except ShipworthyError as error:
                raise forms.ValidationError(error.message) from None
        return cleaned


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """Keys by recency; a key's rights never change, a new key replaces it."""

    form = NewKeyForm
    list_display = (
        "label",
        "client",
        "kind",
        "start",
        "scopes",
        "created_at",
        "expires_at",
        "revoked_at",
    )
    list_filter = ("kind",)
    search_fields = ("label", "client", "start")
    actions: ClassVar = ["revoke"]

    def has_change_permission(
        self, request: HttpRequest, obj: ApiKey | None = None
    ) -> bool:
        """A key may be seen and revoked, not edited."""
        return obj is None and bool(super().has_change_permission(request, obj))

    def has_delete_permission(
        self, request: HttpRequest, obj: ApiKey | None = None
    ) -> bool:
        """Keys are revoked, so that the log's key ids keep their meaning."""
        return False

    def save_model(
        self, request: HttpRequest, obj: ApiKey, form: NewKeyForm, change: bool
    ) -> None:
        """Make the key and show it, this once."""
        made, plain = services.create_key(
            **form.cleaned_data, created_by=person(request.user)
        )
        obj.pk = made.pk
        obj.start = made.start
        messages.warning(request, f"Copy the key now, it is not shown again: {plain}")

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Make the selected keys worthless."""
        for key in queryset:
            services.revoke_key(key)
        messages.success(request, f"Revoked {len(queryset)}.")
