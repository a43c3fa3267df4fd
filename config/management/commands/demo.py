import shutil
import signal
import time
from argparse import ArgumentParser
from pathlib import Path

from django.conf import settings
from django.core.management import BaseCommand, CommandError

from config.env import Environment
from config.installation import Installation, InstallationBusyError
from config.memory import free_mb
from config.process import ProcessError
from config.supervisor import Supervisor, interruptible

LEAST_DISK_MB = 600
LEAST_MEMORY_MB = 2_400


class Command(BaseCommand):
    """From a log to a shipped model on a fresh demonstration shop."""

    help = "Run the main job on a clean demo shop, then serve it until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the shop, the seed and whether to stay."""
        env = Environment({})
        parser.add_argument("--data", type=Path, help="a real log (Online Retail II)")
        parser.add_argument("--aa", action="store_true", help="A/A: one model thrice")
        parser.add_argument("--exit", action="store_true", help="end after the summary")
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--shoppers", type=int, default=0)
        parser.add_argument(
            "--resplits", type=int, default=0, help="A/A: deal the logged anew so often"
        )
        parser.add_argument(
            "--data-dir", type=Path, default=settings.BASE_DIR / "var" / "demo"
        )
        parser.add_argument("--host", default=env.text("SHIPWORTHY_HOST"))
        parser.add_argument("--port", type=int, default=env.count("SHIPWORTHY_PORT"))

    def handle(
        self,
        *,
        data: Path | None,
        data_dir: Path,
        host: str,
        port: int,
        **options: object,
    ) -> None:
        """Run everything; whatever happens, no process is left.

        Raises:
            CommandError: Something did not work, in words.
        """
        if data is not None and not data.is_file():
            raise CommandError(f"{data} is no file; give the path of a log to import.")
        self._need_disk(data_dir)
        self._need_memory()
        arguments = [f"--seed={options['seed']}", f"--started={time.time():.3f}"]
        arguments += ["--aa"] if options["aa"] else []
        arguments += [f"--data={data.resolve()}"] if data else []
        for name in ("shoppers", "resplits"):
            arguments += [f"--{name}={options[name]}"] if options[name] else []
        installation = Installation(data_dir, given={})
        try:
            with installation.exclusively():
                installation.clear()
            with (
                interruptible(),
                Supervisor(installation, host=host, port=port) as product,
            ):
                product.launch()
                self._run(product, arguments)
                self._close(product, stay=not options["exit"])
        except (InstallationBusyError, ProcessError, OSError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stderr.write("Stopped; the next run starts from a clean demo shop.")
            raise SystemExit(130) from None

    @staticmethod
    def _need_disk(data_dir: Path) -> None:
        place = next(p for p in (data_dir, *data_dir.parents) if p.exists())
        free_mb = shutil.disk_usage(place).free // 2**20
        if free_mb < LEAST_DISK_MB:
            raise CommandError(
                f"{place} has {free_mb:,} MB left, the demo needs {LEAST_DISK_MB:,}. "
                "Free some, or name another folder with --data-dir."
            )

    @staticmethod
    def _need_memory() -> None:
        free = free_mb()
        if free < LEAST_MEMORY_MB:
            raise CommandError(
                f"{free:,.0f} MB of memory are free, the demo needs "
                f"{LEAST_MEMORY_MB:,}. Close other programs or raise the limit."
            )

    def _run(self, product: Supervisor, arguments: list[str]) -> None:
        """The main job in a process of its own, on this terminal."""
        status = product.run("-m", "config.demo.main", *arguments)
        if status < 0:
            raise CommandError(
                f"The main job was ended by {signal.Signals(-status).name}, most "
                f"often because no memory was left ({free_mb():,.0f} MB are free "
                f"now, the demo needs {LEAST_MEMORY_MB:,}): close other programs, "
                "then run again; the next run starts from a clean demo shop. Logs: "
                f"{product.installation.logs}."
            )
        if status != 0:
            raise CommandError(
                f"The main job ended with status {status}; the logs of every process "
                f"are in {product.installation.logs}."
            )

    def _close(self, product: Supervisor, *, stay: bool) -> None:
        memory = f"Peak memory of all processes together: {product.peak_mb:,.0f} MB"
        self.stdout.write(memory)
        (product.installation.data_dir / "peak_mb").write_text(
            f"{product.peak_mb:.0f}\n"
        )
        self.stdout.write(f"Users and keys: {product.installation.credentials}")
        if stay:
            self.stdout.write(f"Shipworthy is at {product.url}, Ctrl-C ends it.")
            self.stdout.flush()
            while True:
                time.sleep(1)
        summary = product.installation.data_dir / "summary.json"
        self.stdout.write(summary.read_text().strip())
