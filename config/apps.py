from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Wiring and the commands that run the product."""

    name = "config"
    label = "config"

    def ready(self) -> None:
        """Make our Celery the current app, so that services can send messages."""
        import config.celery  # noqa: F401 - imported for its effect
