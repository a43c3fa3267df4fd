"""The main job, step by step, through the public interfaces."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from config.demo.api import ManagementApi
from config.demo.storefront import Storefront, Tally
from config.demo.world import World
from experiments.design.services import ensure_placement
from experiments.events.imports.services import import_events, import_items
from experiments.events.selectors import count_lists
from experiments.metrics.presets import PRESETS
from experiments.metrics.services import ensure_metric
from models_registry import artifacts
from models_registry.models import Version
from models_registry.services import ensure_model
from scoring.engine.artifact import Artifact
from scoring.engine.protocol import Scorer
from scoring.engine.registry import load_scorer
from scoring.training.services import request_training

MODEL = "home"
EXPERIMENT = "home-page-recommender"
PLACEMENT = "home"
PRIMARY = "recommended_click_share"
COLLECT_WITHIN_S = 120.0


class DemoError(Exception):
    """A step of the main job did not do what it promises; the message says what."""


@dataclass(frozen=True)
class Plan:
    """What the demo trains and how long it tests.

    Attributes:
        rankers: Kind -> hyper-parameters, control first.
        days: Length of the experiment.
        looks: Planned looks.
        same_model: A/A: every variant carries the first version.
        fallback_margin: Points by which the share of shoppers with an empty or
            fallback list may rise beyond the share of newcomers to expect: a model
            that needs a history cannot serve those.
    """

    rankers: Mapping[str, Mapping[str, float | int | str]]
    days: int
    looks: int
    same_model: bool = False
    fallback_margin: float = 0.05


@dataclass(frozen=True)
class Summary:
    """The last line of ``make demo EXIT=1``."""

    experiment: str
    decision: str
    winner: str | None
    primary_metric: str
    lift: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    true_best: str | None
    users: int
    events: int
    seconds: float
    report_url: str

    def as_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


class MainJob:
    """From a log to a shipped model.

    Args:
        world: The shop.
        plan: What to train and test.
        url: Address of the product.
        keys: API keys by kind, from the credentials file.
        console: Where progress is shown.
    """

    def __init__(
        self,
        world: World,
        plan: Plan,
        *,
        url: str,
        keys: Mapping[str, str],
        console: Console,
    ) -> None:
        self.world = world
        self.plan = plan
        self.url = url
        self.api = ManagementApi(url, keys["manage"])
        self.storefront = Storefront(url, keys["simulate"], world)
        self.console = console
        self.versions: dict[str, Version] = {}
        self.imported = 0

    def run(self) -> dict[str, Any]:
        """All seven steps; the last report's content and what was decided."""
        self.import_log()
        self.train()
        self.create_experiment()
        report = self.run_storefront()
        return self.decide(report)

    @contextmanager
    def _step(self, title: str) -> Iterator[Callable[[float, str], None]]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}", style="dim"),
        )
        with Progress(*columns, console=self.console) as progress:
            task: TaskID = progress.add_task(title, total=1.0, said="")

            def report(fraction: float, said: str) -> None:
                progress.update(task, completed=fraction, said=said[:60])

            yield report
            progress.update(task, completed=1.0)

    def import_log(self) -> None:
        """Step 1: the shop's catalogue and log."""
        with self._step("1 Import the shop's log and catalogue") as report:
            catalogue = self.world.catalogue_file()
            if catalogue is not None:
                import_items(*catalogue)
            path, mapping = self.world.log_file()
            done = import_events(
                path,
                mapping,
                progress=report,
            )
            self.imported = done.accepted
            report(1.0, f"{done.read:,} rows read, {done.accepted:,} events logged")
        for reason, count in done.rejected_by_reason.items():
            self.console.print(f"  {count:,} rows rejected: {reason}")
        if not done.accepted:
            raise DemoError(f"Nothing of {path.name} could be imported.")

    def train(self) -> None:
        """Step 2: train, evaluate and register in a Celery worker."""
        ensure_model(MODEL, description="What the home page recommends.")
        until = datetime.fromtimestamp(self.world.starts_at, UTC)
        for kind, parameters in self.plan.rankers.items():
            with self._step(f"2 Train {kind.replace('_', '-')}") as report:
                job = request_training(
                    MODEL, kind, dict(parameters), seed=1, until=until
                )
                result = self.api.finish(job.pk, report)["result"]
                version = Version.objects.get(pk=result["version_id"])
                self.versions[kind] = version
                figures = version.evaluations.get().figures
                report(1.0, f"{version}: NDCG@10 {figures['ndcg@10']['value']:.4f}")

    def scorers(self) -> dict[str, Scorer]:
        """The registered artifacts, loaded as the front does, by variant key."""
        return {
            kind.replace("_", "-"): load_scorer(
                Artifact.from_files(artifacts.fetch(version.artifact_digest))
            )
            for kind, version in self.versions.items()
        }

    def create_experiment(self) -> None:
        """Step 3: the placement, the metrics, the experiment; then start it."""
        with self._step("3 Create and start the experiment") as report:
            ensure_placement(key=PLACEMENT, name="Home page", model=ensure_model(MODEL))
            for key in (PRIMARY, "revenue_per_shopper", "fallback_share"):
                preset = PRESETS[key]
                ensure_metric(
                    key,
                    name=preset.name,
                    description=preset.description,
                    definition=preset.definition_in(self.world.currency),
                )
            self.api.post("/api/v1/experiments/", self._experiment())
            started = datetime.fromtimestamp(self.world.starts_at, UTC)
            self.api.post(
                f"/api/v1/experiments/{EXPERIMENT}/transition/",
                {"action": "start", "at": started.isoformat()},
            )
            report(1.0, f"{len(self.versions)} variants at {PLACEMENT!r}")

    def _experiment(self) -> dict[str, object]:
        first = next(iter(self.versions.values()))
        names = list(self.versions)
        weight = 1.0 / len(names)
        weights = [round(weight, 6)] * (len(names) - 1)
        weights.append(round(1.0 - sum(weights), 6))
        return {
            "key": EXPERIMENT,
            "name": "Home-page recommender",
            "hypothesis": "A list that follows what a shopper did last is clicked by "
            "more shoppers than the shop's bestsellers.",
            "placement": PLACEMENT,
            "planned_days": self.plan.days,
            "looks": self.plan.looks,
            "variants": [
                {
                    "key": f"same-{i + 1}"
                    if self.plan.same_model
                    else name.replace("_", "-"),
                    "weight": weights[i],
                    "version": (first if self.plan.same_model else version).pk,
                }
                for i, (name, version) in enumerate(self.versions.items())
            ],
            "metrics": [
                {"metric": PRIMARY, "role": "primary"},
                {"metric": "revenue_per_shopper", "role": "secondary"},
                {
                    "metric": "fallback_share",
                    "role": "guardrail",
                    "margin": self.plan.fallback_margin + self.world.newcomers,
                    "margin_scale": "absolute",
                },
            ],
        }

    def run_storefront(self) -> dict[str, Any]:
        """Steps 4 to 6: shoppers come; at each planned look their events are read."""
        self._wait_for_plan()
        visits = self.world.visits()
        background = self.world.background()
        report: dict[str, Any] = {}
        weeks = [
            round((i + 1) * self.plan.days / 7 / self.plan.looks) * 7
            for i in range(self.plan.looks)
        ]
        since = self.world.starts_at
        for look, day in enumerate(weeks, start=1):
            until = self.world.starts_at + day * 86_400.0
            chosen = [v for v in visits if since <= v.at < until]
            held = _Until(background, until)
            with self._step(f"4 Storefront, to day {day}") as said:
                before = self.storefront.tally.visits

                def tell(tally: Tally, n: int = len(chosen), b: int = before) -> None:
                    said((tally.visits - b) / max(1, n), f"{tally.visits:,} visits")

                self.storefront.open_for(chosen, held, tell)
            background = held.rest()
            self._collect()
            report = self._analyse(look, until)
            since = until
        return report

    def _wait_for_plan(self) -> None:
        """Until the fronts serve the experiment (a change shows within a second)."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if self._ask("nobody-in-particular")["experiment"] == EXPERIMENT:
                return
            time.sleep(0.1)
        raise DemoError("The fronts do not serve the experiment after 30 s.")

    def _ask(self, unit_id: str) -> dict[str, Any]:
        """A dry run of a recommendation: computed, not logged."""
        shop = ManagementApi(self.url, self.storefront_key)
        return shop.post(
            "/api/v1/recommendations",
            {"unit_id": unit_id, "placement": PLACEMENT, "dry_run": True},
        )

    @property
    def storefront_key(self) -> str:
        """The shop's own key."""
        return self.storefront.key

    def _collect(self) -> None:
        """Step 5: until every list that was served lies in the event log."""
        wanted = self.storefront.tally.visits
        until = time.monotonic() + COLLECT_WITHIN_S
        with self._step("5 Collect into the event log") as report:
            while (found := count_lists(PLACEMENT)) < wanted:
                report(found / wanted, f"{found:,} of {wanted:,} lists")
                if time.monotonic() > until:
                    raise DemoError(
                        f"{found:,} of {wanted:,} lists are in the log after "
                        f"{COLLECT_WITHIN_S:.0f} s; see the collector's log."
                    )
                time.sleep(0.3)

    def _analyse(self, look: int, until: float) -> dict[str, Any]:
        """Step 6: a look at the log."""
        with self._step(f"6 Analyse, look {look} of {self.plan.looks}") as report:
            as_of = datetime.fromtimestamp(until, UTC)
            job = self.api.post(
                "/api/v1/analyses/",
                {"experiment": EXPERIMENT, "as_of": as_of.isoformat()},
            )["job"]
            done = self.api.finish(job, report)
            number = done["result"]["report"]
            listed = self.api.get(
                f"/api/v1/reports/?experiment__key={EXPERIMENT}&number={number}"
            )
            found: dict[str, Any] = listed["results"][0]
            report(1.0, found["content"]["verdict"]["decision"])
        return found

    def decide(self, report: dict[str, Any]) -> dict[str, Any]:
        """Step 7: follow the rule, and see the next shopper served accordingly."""
        verdict = report["content"]["verdict"]
        if verdict["decision"] != "ship":
            return report
        with self._step(f"7 Ship {verdict['winner']}") as said:
            self.api.post(
                "/api/v1/decisions/ship/",
                {
                    "experiment": EXPERIMENT,
                    "variant": verdict["winner"],
                    "report": report["number"],
                    "at": (
                        datetime.fromtimestamp(self.world.ends_at, UTC)
                        + timedelta(seconds=1)
                    ).isoformat(),
                },
            )
            won = next(
                v
                for v in report["content"]["variants"]
                if v["key"] == verdict["winner"]
            )
            until = time.monotonic() + 10
            while True:
                answer = self._ask("a-shopper-nobody-has-seen")
                if answer["version"] == won["model_version"]:
                    break
                if time.monotonic() > until:
                    raise DemoError(f"{won['label']} was shipped, but is not served.")
                time.sleep(0.05)
            said(1.0, f"{won['label']} serves everybody")
        return report


class _Until:
    """The events up to a moment; the others stay for the next stretch."""

    def __init__(self, events: Iterator[Mapping[str, object]], until: float) -> None:
        self._events = events
        self._until = datetime.fromtimestamp(until, UTC).isoformat()
        self._held: list[Mapping[str, object]] = []

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        for event in self._events:
            if str(event["timestamp"]) >= self._until:
                self._held.append(event)
                return
            yield event

    def rest(self) -> Iterator[Mapping[str, object]]:
        """What comes after."""
        yield from self._held
        yield from self._events


def credentials(path: Path) -> dict[str, Any]:
    """Address, passwords and keys of the installation."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def data_dir() -> Path:
    """Where this installation lives."""
    return Path(settings.DATA_DIR)
