from django.apps import AppConfig


class AnalysisConfig(AppConfig):
    """One look at the log."""

    name = "experiments.analysis"
    label = "analysis"
    verbose_name = "Reports"
    default_auto_field = "django.db.models.BigAutoField"
