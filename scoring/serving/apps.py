from django.apps import AppConfig


class ServingConfig(AppConfig):
    """Lists for shoppers."""

    name = "scoring.serving"
    label = "serving"
    verbose_name = "Serving"
    default_auto_field = "django.db.models.BigAutoField"
