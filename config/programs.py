"""The product's processes, as a table."""

import sys
from collections.abc import Mapping
from pathlib import Path

from config.process import Command

ROOT = Path(__file__).resolve().parent.parent
GRANIAN = ("-m", "granian", "--no-ws", "--workers-kill-timeout", "2")
CELERY = ("-m", "celery", "-A", "config.celery")
# A pool of one process each: training must not wait for analysis, nor the other way.
# A trained model's gigabyte goes back to the system with its process.
FRESH = ("--max-tasks-per-child", "1")
WORKERS = {
    "collect": ("-Q", "collect", "--pool", "solo"),
    "train": ("-Q", "train,score", "--pool", "prefork", "--concurrency", "1", *FRESH),
    "analyse": ("-Q", "analyse,default", "--pool", "prefork", "--concurrency", "1"),
}
# SIGTERM then asks for a short soft shutdown: the task goes back to its queue.
SOFT = {"REMAP_SIGTERM": "SIGQUIT"}
FRONT_WORKERS = "2"
# A worker holds each open stream as a connection; by default it stops accepting, also
# ordinary calls, at 512 of them.
FRONT_CONNECTIONS = ("--backlog", "4096", "--backpressure", "20000")


def product(
    env: Mapping[str, str], *, host: str, port: int, site_socket: Path
) -> list[Command]:
    """Every process of the product but its servers.

    Args:
        env: The installation's environment.
        host: Address the front listens on.
        port: Port the front listens on; it must be free.
        site_socket: Unix socket between front and site.
    """
    env = {**env, "SHIPWORTHY_HOST": host, "SHIPWORTHY_PORT": str(port)}
    site = (
        *(*GRANIAN, "--interface", "wsgi", "--uds", str(site_socket)),
        *("--uds-permissions", "600", "--workers", "1", "--blocking-threads", "4"),
        "config.wsgi:application",
    )
    front = (
        *(*GRANIAN, "--interface", "rsgi", "--host", host, "--port", str(port)),
        *("--workers", env.get("SHIPWORTHY_FRONT_WORKERS", FRONT_WORKERS)),
        # One crashed worker must not take the other's open streams with it.
        *(
            *FRONT_CONNECTIONS,
            "--loop",
            "uvloop",
            "--respawn-failed-workers",
            "--respawn-interval",
            "1",
        ),
        "config.front:app",
    )
    beat = (*CELERY, "beat", "--schedule", f"{env['SHIPWORTHY_DATA_DIR']}/beat")
    return [
        _python("site", site, env),
        _python("front", front, env),
        *(
            _python(name, _worker(name, options), {**env, **SOFT}, grace_s=8)
            for name, options in WORKERS.items()
        ),
        _python("beat", (*beat, "--pidfile="), env),
    ]


def _worker(name: str, options: tuple[str, ...]) -> tuple[str, ...]:
    return (
        *(*CELERY, "worker", "--hostname", f"{name}@%h", *options),
        *("--loglevel", "INFO", "--without-gossip", "--without-mingle"),
    )


def _python(
    name: str, arguments: tuple[str, ...], env: Mapping[str, str], grace_s: float = 5
) -> Command:
    return Command(name, (sys.executable, *arguments), env, cwd=ROOT, grace_s=grace_s)
