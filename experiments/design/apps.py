from django.apps import AppConfig


class DesignConfig(AppConfig):
    """What can be asked and tested."""

    name = "experiments.design"
    label = "design"
    verbose_name = "Experiments"
    default_auto_field = "django.db.models.BigAutoField"
