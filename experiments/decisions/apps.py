from django.apps import AppConfig


class DecisionsConfig(AppConfig):
    """The rule, the verdict, ship and roll back."""

    name = "experiments.decisions"
    label = "decisions"
    verbose_name = "Decisions"
    default_auto_field = "django.db.models.BigAutoField"
