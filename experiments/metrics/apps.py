from django.apps import AppConfig


class MetricsConfig(AppConfig):
    """What counts."""

    name = "experiments.metrics"
    label = "metrics"
    verbose_name = "Metrics"
    default_auto_field = "django.db.models.BigAutoField"
