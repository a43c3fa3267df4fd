from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Wiring and the commands that run the product."""

    name = "config"
    label = "config"
