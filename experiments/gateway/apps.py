from django.apps import AppConfig


class GatewayConfig(AppConfig):
    """How shops reach us."""

    name = "experiments.gateway"
    label = "gateway"
    verbose_name = "API keys"
    default_auto_field = "django.db.models.BigAutoField"
