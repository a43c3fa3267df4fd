"""Answers comparisons with another tool; runs in the environment of the peers.

Reads a JSON list of questions, writes one JSON object of answers. Only the tool's own
work is timed, one call a question, as its users make it. Sums of an arm by kind:

- mean: n, sum, sum of squares;
- proportion: n, events;
- ratio and cuped: n, sum y, squares y, sum x, squares x, sum of products;
- quantile: n, estimate, lower and upper order statistics; ``level`` in extra.

gbstats answers by its always-valid test where extra holds ``tuning``, and by its
Bayesian one where it holds ``prior_variance`` (0: none; the p-value is then the chance
that the treatment is better).
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
    from gbstats.frequentist.tests import (
        FrequentistConfig,
        SequentialConfig,
        SequentialTwoSidedTTest,
        TwoSidedTTest,
    )
    from gbstats.models.statistics import compute_theta

    def answer(question: Question) -> Answer:
        extra, scale = dict(question["extra"]), question["scale"]
        a, b = (_gbstats_arm(question, name) for name in ("control", "treatment"))
        if question["kind"] == "cuped":
            a.theta = b.theta = compute_theta(a, b)
        if "prior_variance" in extra:
            return _gbstats_belief(a, b, scale, extra)
        if "tuning" in extra:
            config = SequentialConfig(
                difference_type=scale, sequential_tuning_parameter=extra["tuning"]
            )
            found = SequentialTwoSidedTTest(a, b, config).compute_result()
        else:
            config = FrequentistConfig(difference_type=scale)
            found = TwoSidedTTest(a, b, config).compute_result()
        return found.expected, found.ci[0], found.ci[1], found.p_value

    return answer


def _gbstats_arm(question: Question, name: str) -> Any:
    from gbstats.models.statistics import (
        ProportionStatistic,
        QuantileStatistic,
        RatioStatistic,
        RegressionAdjustedStatistic,
        SampleMeanStatistic,
    )

    kind, (n, *sums) = question["kind"], question[name]
    if kind == "mean":
        return SampleMeanStatistic(int(n), *sums)
    if kind == "proportion":
        return ProportionStatistic(int(n), *sums)
    if kind == "quantile":
        return QuantileStatistic(
            int(n), int(n), dict(question["extra"])["level"], *sums
        )
    y, yy, x, xx, xy = sums
    one, two = SampleMeanStatistic(int(n), y, yy), SampleMeanStatistic(int(n), x, xx)
    if kind == "ratio":
        return RatioStatistic(int(n), one, two, xy)
    return RegressionAdjustedStatistic(int(n), one, two, xy, 0.0)


def _gbstats_belief(a: Any, b: Any, scale: str, extra: dict[str, float]) -> Answer:
    from gbstats.bayesian.tests import (
        EffectBayesianABTest,
        EffectBayesianConfig,
        GaussianPrior,
    )

    variance = extra["prior_variance"]
    prior = GaussianPrior(extra["prior_mean"], variance or 1.0, variance > 0)
    config = EffectBayesianConfig(
        difference_type=scale, prior_type=scale, prior_effect=prior
    )
    found = EffectBayesianABTest(a, b, config).compute_result()
    return found.expected, found.ci[0], found.ci[1], found.chance_to_win


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
