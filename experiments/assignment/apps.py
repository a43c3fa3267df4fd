from django.apps import AppConfig


class AssignmentConfig(AppConfig):
    """Who gets what, and why."""

    name = "experiments.assignment"
    label = "assignment"
    verbose_name = "Assignment"
    default_auto_field = "django.db.models.BigAutoField"
