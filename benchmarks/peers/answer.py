"""Answers comparisons with another tool; runs in the environment of the peers.

Reads a JSON list of questions, writes one JSON object of answers. Only the tool's own
work is timed, one call a question, as its users make it. Sums of an arm by kind:

- mean: n, sum, sum of squares;
- proportion: n, events;
- ratio and cuped: n, sum y, squares y, sum x, squares x, sum of products;
- quantile: n, estimate, lower and upper order statistics.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Question: TypeAlias = dict[str, Any]
Answer: TypeAlias = tuple[float, float, float, float]


def gbstats() -> Callable[[Question], Answer]:
    """Return a function that answers with gbstats."""
    from gbstats.frequentist.tests import FrequentistConfig, TwoSidedTTest
    from gbstats.models.statistics import (
        ProportionStatistic,
        QuantileStatistic,
        RatioStatistic,
        RegressionAdjustedStatistic,
        SampleMeanStatistic,
        compute_theta,
    )

    def pair(sums: list[float]) -> tuple[Any, Any, float]:
        n, y, yy, x, xx, xy = sums
        one = SampleMeanStatistic(n=int(n), sum=y, sum_squares=yy)
        return one, SampleMeanStatistic(n=int(n), sum=x, sum_squares=xx), xy

    def arm(kind: str, sums: list[float], extra: dict[str, float]) -> Any:
        n = int(sums[0])
        if kind == "mean":
            return SampleMeanStatistic(n=n, sum=sums[1], sum_squares=sums[2])
        if kind == "proportion":
            return ProportionStatistic(n=n, sum=sums[1])
        if kind == "quantile":
            return QuantileStatistic(n, n, extra["level"], *sums[1:])
        one, two, products = pair(sums)
        if kind == "ratio":
            return RatioStatistic(n, one, two, products)
        return RegressionAdjustedStatistic(n, one, two, products, 0.0)

    def answer(question: Question) -> Answer:
        extra = dict(question["extra"])
        a, b = (
            arm(question["kind"], question[name], extra)
            for name in ("control", "treatment")
        )
        if question["kind"] == "cuped":
            a.theta = b.theta = compute_theta(a, b)
        config = FrequentistConfig(difference_type=question["scale"])
        found = TwoSidedTTest(a, b, config).compute_result()
        return found.expected, found.ci[0], found.ci[1], found.p_value

    return answer


def tea_tasting() -> Callable[[Question], Answer]:
    """Return a function that answers with tea-tasting; it knows no quantiles."""
    from tea_tasting.aggr import Aggregates
    from tea_tasting.metrics import Mean, RatioOfMeans

    metrics = {
        "mean": Mean("y"),
        "ratio": RatioOfMeans("y", "x"),
        "cuped": Mean("y", "x"),
    }

    def arm(sums: list[float]) -> Any:
        n, y, yy, *rest = sums
        mean, variance, covariance = {"y": y / n}, {"y": (yy - y * y / n) / (n - 1)}, {}
        if rest:
            x, xx, xy = rest
            mean["x"], variance["x"] = x / n, (xx - x * x / n) / (n - 1)
            covariance["x", "y"] = (xy - x * y / n) / (n - 1)
        return Aggregates(int(n), mean, variance, covariance)

    def answer(question: Question) -> Answer:
        found = metrics[question["kind"]].analyze_aggregates(
            arm(question["control"]), arm(question["treatment"])
        )
        if question["scale"] == "relative":
            names = ("rel_effect_size", "rel_effect_size_ci_lower")
            ends = (*names, "rel_effect_size_ci_upper")
        else:
            ends = ("effect_size", "effect_size_ci_lower", "effect_size_ci_upper")
        estimate, lower, upper = (float(getattr(found, name)) for name in ends)
        return estimate, lower, upper, float(found.pvalue)

    return answer


def main() -> None:
    """Answer the questions on the standard input."""
    answer = {"gbstats": gbstats, "tea_tasting": tea_tasting}[sys.argv[1]]()
    questions: list[Question] = json.load(sys.stdin)
    answer(questions[0])
    began = time.perf_counter()
    answers = [answer(question) for question in questions]
    seconds = time.perf_counter() - began
    columns: Iterator[tuple[float, ...]] = zip(*answers, strict=True)
    names = ("estimate", "lower", "upper", "p_value")
    found = {
        name: list(map(float, column))
        for name, column in zip(names, columns, strict=True)
    }
    print(json.dumps(found | {"seconds": seconds}))


if __name__ == "__main__":
    main()
