"""Runs the main job in the installation's environment (``-m config.demo.main``)."""

import argparse
import errno
import json
import sys
import time
from pathlib import Path
from typing import Any

import django

django.setup()

from rich.console import Console  # noqa: E402 - Django must be ready first

from config.demo.api import ApiError  # noqa: E402
from config.demo.job import (  # noqa: E402
    EXPERIMENT,
    PRIMARY,
    DemoError,
    MainJob,
    Plan,
    Summary,
    credentials,
    data_dir,
)
from config.demo.retail import TEST_DAYS, RetailWorld  # noqa: E402
from config.demo.shop import Shop, ShopParameters  # noqa: E402
from config.demo.storefront import StorefrontError  # noqa: E402
from config.demo.synthetic import SyntheticWorld  # noqa: E402
from config.demo.truth import true_values  # noqa: E402
from config.demo.world import World  # noqa: E402
from config.provision import provision_simulation  # noqa: E402
from experiments.analysis.services import resplit  # noqa: E402
from experiments.design.models import Experiment  # noqa: E402
from experiments.events.selectors import count_events  # noqa: E402
from models_registry.errors import ShipworthyError  # noqa: E402

SEQUENCE = {
    "width": 48,
    "epochs": 4,
    "learning_rate": 0.004,
    "dropout": 0.1,
    "embedding_dropout": 0.1,
}


def main() -> int:
    """Run the job and print the summary; the last line is JSON."""
    arguments = _arguments()
    console = Console(stderr=False, soft_wrap=True)
    provision_simulation(data_dir() / "credentials.json")
    known = credentials(data_dir() / "credentials.json")
    world, plan = _world(arguments)
    job = MainJob(world, plan, url=known["url"], keys=known["keys"], console=console)
    try:
        report = job.run()
        truth = _truth(world, job, console)
    except (ApiError, DemoError, StorefrontError, ShipworthyError) as error:
        console.print(f"[bold]The demo stopped:[/bold] {error}")
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        console.print(
            f"[bold]No disk space is left[/bold] in {data_dir()}: free some, then run "
            "the demo again; it starts from a clean shop."
        )
        return 1
    summary = _summary(report, truth, known["url"], time.time() - arguments.started)
    _print(console, report, truth, summary)
    (data_dir() / "summary.json").write_text(summary.as_json() + "\n")
    if truth:
        (data_dir() / "truth.json").write_text(json.dumps(truth) + "\n")
    if arguments.resplits:
        _resplit(console, arguments.resplits)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a real log: Online Retail II")
    parser.add_argument("--aa", action="store_true", help="three variants, one model")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--resplits", type=int, default=0)
    parser.add_argument("--started", type=float, default=time.time())
    parser.add_argument("--shoppers", type=int, default=ShopParameters.shoppers)
    return parser.parse_args()


def _world(arguments: argparse.Namespace) -> tuple[World, Plan]:
    folder = data_dir() / "import"
    if arguments.data:
        rankers: dict[str, dict[str, float | int | str]] = {
            "popularity": {"window_days": 30},
            "item_knn": {},
            "transformer": {**SEQUENCE, "epochs": 3},
        }
        plan = Plan(
            rankers,
            days=TEST_DAYS,
            looks=6,
            same_model=arguments.aa,
        )
        return RetailWorld(arguments.data, folder), plan
    parameters = ShopParameters(seed=arguments.seed, shoppers=arguments.shoppers)
    rankers = {"popularity": {}, "item_knn": {}, "transformer": dict(SEQUENCE)}
    plan = Plan(rankers, days=parameters.test_days, looks=2, same_model=arguments.aa)
    return SyntheticWorld(Shop(parameters), folder), plan


def _truth(world: World, job: MainJob, console: Console) -> dict[str, float] | None:
    """Each variant's true value, where the tastes are known."""
    if not isinstance(world, SyntheticWorld) or job.plan.same_model:
        return None
    console.print("Compute each variant's true value from the known tastes ...")
    return true_values(world.shop, job.scorers())


def _resplit(console: Console, times: int) -> None:
    """Deal the logged shoppers anew: how often does the rule name a winner?"""
    experiment = Experiment.objects.get(key=EXPERIMENT)
    verdicts = resplit(experiment, [f"again-{number}" for number in range(times)])
    winners = sum(verdict.decision == "ship" for verdict in verdicts.values())
    console.print(f"Dealt anew {times} times, {winners} name a winner.")
    found = {"splits": times, "winners": winners}
    (data_dir() / "resplits.json").write_text(json.dumps(found) + "\n")


def _summary(
    report: dict[str, Any], truth: dict[str, float] | None, url: str, seconds: float
) -> Summary:
    content = report["content"]
    verdict = content["verdict"]
    primary = next(m for m in content["metrics"] if m["role"] == "primary")
    treatments = [v for v in primary["variants"] if v["relative"]]
    named = verdict["winner"]
    shown = next((v for v in treatments if v["variant"] == named), None) or max(
        treatments, key=lambda v: v["value"] or 0.0
    )
    effect = shown["relative"]
    return Summary(
        experiment=EXPERIMENT,
        decision=verdict["decision"],
        winner=named if verdict["decision"] == "ship" else None,
        primary_metric=PRIMARY,
        lift=effect["estimate"],
        ci_low=effect["lower"],
        ci_high=effect["upper"],
        p_value=effect["p_value"],
        true_best=max(truth, key=truth.__getitem__) if truth else None,
        users=content["users"],
        events=count_events(),
        seconds=round(seconds, 1),
        report_url=f"{url}/experiments/{EXPERIMENT}/?report={report['number']}",
    )


def _print(
    console: Console,
    report: dict[str, Any],
    truth: dict[str, float] | None,
    summary: Summary,
) -> None:
    content = report["content"]
    primary = next(m for m in content["metrics"] if m["role"] == "primary")
    console.print()
    console.print(f"[bold]{content['title']}[/bold], report {report['number']}")
    for variant in primary["variants"]:
        line = f"  {variant['variant']:<12} {variant['value'] or 0.0:.4f}"
        effect = variant["relative"]
        if effect:
            bounds = f"{_signed(effect['lower'])} to {_signed(effect['upper'])}"
            line += f"  {_signed(effect['estimate'])} ({bounds})"
        if effect and effect["p_value"] is not None:
            line += f", p {effect['p_value']:.2g}"
        console.print(line, highlight=False)
    if truth:
        console.print("True values, from the known tastes:")
        ranked = sorted(truth.items(), key=lambda item: -item[1])
        control = truth[primary["variants"][0]["variant"]]
        for name, value in ranked:
            gap = _signed(value / control - 1)
            console.print(f"  {name:<12} {value:.4f}  {gap}", highlight=False)
        lead = _signed(ranked[0][1] / ranked[1][1] - 1)
        console.print(f"  The best leads the second by {lead}.", highlight=False)
    said = summary.decision.replace("_", " ")
    console.print(f"Decision: {said} {summary.winner or ''}")
    console.print(f"Report: {summary.report_url}")
    console.print(
        f"{summary.users:,} shoppers, {summary.events:,} events, {summary.seconds} s"
    )


def _signed(share: float | None) -> str:
    return "unknown" if share is None else f"{share:+.1%}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except MemoryError:
        sys.stderr.write("No memory left: close other programs, then run again.\n")
        sys.exit(1)
