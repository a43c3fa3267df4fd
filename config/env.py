"""Settings from the environment: one table, typed readers, loud refusals.

``SETTINGS`` is the single list of what can be configured; ``docs/settings.md`` is
made from it. A wrong value, or an unknown ``SHIPWORTHY_*`` name, stops the start.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "flag", "count", "number", "list"]
PREFIX = "SHIPWORTHY_"


class SettingError(Exception):
    """A setting is wrong; the message names it, the value and what is allowed."""


@dataclass(frozen=True)
class Setting:
    """One thing that can be configured.

    Attributes:
        name: The environment variable.
        kind: How the text is read.
        default: As it would stand in the environment; None: no default.
        allowed: What is allowed, in words, for the error and the docs.
        meaning: What it does, in one sentence.
        choices: The only values allowed, if there are few.
        least: Smallest value of a count or number.
        secret: Its value is never printed.
    """

    name: str
    kind: Kind
    default: str | None
    allowed: str
    meaning: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "SHIPWORTHY_ENVIRONMENT",
        "text",
        "development",
        "development, test or production",
        "What may be assumed: production refuses embedded servers and weak secrets.",
        choices=("development", "test", "production"),
    ),
    Setting(
        "SHIPWORTHY_DATA_DIR",
        "text",
        "var/shop",
        "a folder that can be written",
        "Where the embedded servers, the log, artifacts and the saved plan live.",
    ),
    Setting(
        "DATABASE_URL",
        "text",
        "",
        "postgresql://user:password@host:port/name; empty: the embedded server",
        "The control plane's PostgreSQL.",
        secret=True,
    ),
    Setting(
        "REDIS_URL",
        "text",
        "",
        "redis://host:port/0 or unix:///path; empty: the embedded server",
        "Event stream, broker, recent history and notices.",
        secret=True,
    ),
    Setting(
        "LAKE_URL",
        "text",
        "",
        "a folder, file:///path or s3://bucket/prefix; empty: <data dir>/lake",
        "Where the event log's Delta tables lie.",
    ),
    Setting(
        "ARTIFACTS_URL",
        "text",
        "",
        "a folder, file:///path or s3://bucket/prefix; empty: <data dir>/artifacts",
        "Where model artifacts lie.",
    ),
    Setting(
        "SHIPWORTHY_SECRET_KEY",
        "text",
        "",
        "at least 32 characters; empty outside production: one is made and kept",
        "Signs sessions and tokens.",
        secret=True,
    ),
    Setting(
        "SHIPWORTHY_UNIT_KEY",
        "text",
        "",
        "at least 32 characters; empty outside production: one is made and kept",
        "Keys the hash that turns unit ids into unit keys.",
        secret=True,
    ),
    Setting(
        "SHIPWORTHY_ALLOWED_HOSTS",
        "list",
        "localhost,127.0.0.1,[::1],site",
        "host names, comma separated",
        "Names the site answers to.",
    ),
    Setting(
        "SHIPWORTHY_TRUSTED_ORIGINS",
        "list",
        "",
        "origins with scheme, comma separated",
        "Origins from which the admin's forms may be sent.",
    ),
    Setting(
        "SHIPWORTHY_HTTPS",
        "flag",
        "false",
        "true or false",
        "Shoppers and staff come by HTTPS: secure cookies, HSTS, redirects.",
    ),
    Setting(
        "SHIPWORTHY_HOST",
        "text",
        "127.0.0.1",
        "an address of this machine",
        "Address the front listens on.",
    ),
    Setting(
        "SHIPWORTHY_PORT",
        "count",
        "8000",
        "1 to 65535",
        "Port the front listens on; a used one gives the next free one.",
        least=1,
    ),
    Setting(
        "SHIPWORTHY_FRONT_WORKERS",
        "count",
        "2",
        "at least 1",
        "Processes that answer storefronts.",
        least=1,
    ),
    Setting(
        "SHIPWORTHY_SITE_SOCKET",
        "text",
        "",
        "a path of at most 100 characters; empty: one under the temporary folder",
        "Unix socket between front and site.",
    ),
    Setting(
        "SHIPWORTHY_STREAM_CAP",
        "count",
        "200000",
        "at least 1",
        "Entries waiting in the event stream at which new events are refused (503).",
        least=1,
    ),
    Setting(
        "SHIPWORTHY_STREAM_SHARDS",
        "count",
        "1",
        "1 to 64",
        "Shards of the event stream; each is drained on its own.",
        least=1,
    ),
    Setting(
        "SHIPWORTHY_PLAN_POLL_SECONDS",
        "number",
        "1.0",
        "at least 0.1",
        "How often a process looks for a new plan when no notice came.",
        least=0.1,
    ),
    Setting(
        "SHIPWORTHY_STREAMS_PER_KEY",
        "count",
        "5000",
        "at least 1",
        "Streams of changes a key may have open in one front process (429 beyond).",
        least=1,
    ),
    Setting(
        "SHIPWORTHY_WITHDRAWN_SECONDS",
        "number",
        "60",
        "at least 0",
        "A plan older than this serves no variant that was withdrawn for harm, but the "
        "placement's default.",
        least=0,
    ),
    Setting(
        "SHIPWORTHY_LOG_LEVEL",
        "text",
        "INFO",
        "DEBUG, INFO, WARNING or ERROR",
        "How much is logged.",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
    ),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}
# Read by tests and tools, not by the product.
_ALSO_KNOWN = {"SHIPWORTHY_REQUIRE_TOOLS"}


class Environment:
    """Typed readers over environment variables; every name must be in the table."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        unknown = sorted(
            name
            for name in variables
            if name.startswith(PREFIX)
            and name not in _BY_NAME
            and name not in _ALSO_KNOWN
        )
        if unknown:
            known = ", ".join(n for n in _BY_NAME if n.startswith(PREFIX))
            raise SettingError(
                f"{unknown[0]} is not a setting of Shipworthy. Known: {known}."
            )

    def _raw(self, name: str) -> tuple[Setting, str]:
        setting = _BY_NAME[name]
        value = self._variables.get(name, setting.default or "")
        if setting.choices and value not in setting.choices:
            raise self._refusal(setting, value)
        return setting, value

    @staticmethod
    def _refusal(setting: Setting, value: str) -> SettingError:
        shown = "(hidden)" if setting.secret else repr(value)
        return SettingError(f"{setting.name} is {shown}; allowed: {setting.allowed}.")

    def text(self, name: str) -> str:
        """The value as it stands."""
        return self._raw(name)[1]

    def flag(self, name: str) -> bool:
        """True or false."""
        setting, value = self._raw(name)
        if value.lower() in {"true", "1", "yes"}:
            return True
        if value.lower() in {"false", "0", "no"}:
            return False
        raise self._refusal(setting, value)

    def number(self, name: str) -> float:
        """A number, not below the setting's least."""
        setting, value = self._raw(name)
        try:
            number = float(value)
        except ValueError:
            raise self._refusal(setting, value) from None
        if setting.least is not None and not number >= setting.least:
            raise self._refusal(setting, value)
        return number

    def count(self, name: str) -> int:
        """A whole number, not below the setting's least."""
        setting, value = self._raw(name)
        number = self.number(name)
        if number != int(number):
            raise self._refusal(setting, value)
        return int(number)

    def items(self, name: str) -> list[str]:
        """A comma-separated list without empty parts."""
        return [part.strip() for part in self.text(name).split(",") if part.strip()]


def settings_table() -> str:
    """The settings as a Markdown table, for ``docs/settings.md``."""
    lines = ["| name | default | allowed | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{s.name}` | {f'`{s.default}`' if s.default else '-'} | {s.allowed} "
        f"| {s.meaning} |"
        for s in SETTINGS
    ]
    return "\n".join(lines) + "\n"
