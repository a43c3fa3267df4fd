from importlib import import_module

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    """How shops reach us."""

    name = "experiments.gateway"
    label = "gateway"
    verbose_name = "API keys"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make our key scheme known to drf-spectacular, which finds it by import."""
        import_module("experiments.gateway.schema")
