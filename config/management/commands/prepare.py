from argparse import ArgumentParser
from pathlib import Path

from django.core.management import BaseCommand, call_command

from config.provision import provision


class Command(BaseCommand):
    """Bring the database up to date and, on the first run, provide access to it."""

    help = "Migrate; on the first run make one user per role and the API keys."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare where credentials go and what address they name."""
        parser.add_argument("--credentials", type=Path, required=True)
        parser.add_argument("--url", required=True)

    def handle(self, *, credentials: Path, url: str, **_options: object) -> None:
        """Do both; a second run changes nothing but the address."""
        call_command("migrate", interactive=False, verbosity=0)
        provision(credentials=credentials, url=url)
