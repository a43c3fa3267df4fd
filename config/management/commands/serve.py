import os
import time
from argparse import ArgumentParser
from pathlib import Path

from django.conf import settings
from django.core.management import BaseCommand, CommandError

from config.env import Environment
from config.installation import Installation, InstallationBusyError
from config.process import ProcessError
from config.reload import Watch
from config.supervisor import Supervisor, interruptible

LOOK_EVERY_S = 0.5


class Command(BaseCommand):
    """Run the product until Ctrl-C: servers, site, front, workers and beat."""

    help = "Run the product on its lasting data until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare where the data lies and where the front listens."""
        env = Environment(os.environ)
        parser.add_argument("--data-dir", type=Path, default=settings.DATA_DIR)
        parser.add_argument("--host", default=env.text("SHIPWORTHY_HOST"))
        parser.add_argument("--port", type=int, default=env.count("SHIPWORTHY_PORT"))
        parser.add_argument(
            "--reload", action="store_true", help="start again when code changes"
        )

    def handle(
        self,
        *,
        data_dir: Path,
        host: str,
        port: int,
        reload: bool,
        **_options: object,
    ) -> None:
        """Serve; Ctrl-C and SIGTERM end everything.

        Raises:
            CommandError: Something did not start, in words.
        """
        installation = Installation(data_dir)
        try:
            with (
                interruptible(),
                Supervisor(installation, host=host, port=port) as product,
            ):
                product.launch()
                self.stdout.write(f"Shipworthy is at {product.url}, Ctrl-C ends it.")
                self.stdout.write(f"Users and keys: {installation.credentials}")
                self.stdout.write(f"Logs: {installation.logs}")
                self._serve(product, reload=reload)
        except (InstallationBusyError, ProcessError, OSError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def _serve(self, product: Supervisor, *, reload: bool) -> None:
        watch = Watch(Path(settings.BASE_DIR))
        while True:
            time.sleep(LOOK_EVERY_S)
            if reload and (changed := watch.changed()):
                self.stdout.write(f"{changed} changed: starting again.")
                product.restart_programs()
