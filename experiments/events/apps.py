from django.apps import AppConfig


class EventsConfig(AppConfig):
    """What happened."""

    name = "experiments.events"
    label = "events"
    verbose_name = "Events and catalogue"
    default_auto_field = "django.db.models.BigAutoField"
