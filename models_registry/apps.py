from django.apps import AppConfig


class ModelsRegistryConfig(AppConfig):
    """What exists and what is live."""

    name = "models_registry"
    label = "models_registry"
    verbose_name = "Models"
    default_auto_field = "django.db.models.BigAutoField"
