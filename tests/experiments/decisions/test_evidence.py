"""Evidence that contradicts itself is refused, with the field named."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.decisions.evidence import (
    DecisionError,
    Evidence,
    GuardrailResult,
    HeadToHead,
    PrimaryResult,
    QualityCheck,
)
from experiments.statistics.guardrails import Outcome

NAN, INF = float("nan"), float("inf")
B = PrimaryResult("b", 0.10, 0.04, 0.16)
C = PrimaryResult("c", 0.15, 0.09, 0.21)
FACTS = Evidence((B, C), (), (), look=1, planned_looks=2, days_run=7.0)


def guard(variant: str, outcome: str = "pass", metric: str = "refunds") -> object:
    return GuardrailResult(variant, metric, outcome)  # type: ignore[arg-type]  # drawn


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"primary": ()}, "primary must hold one result a treatment variant"),
        ({"primary": (B, B)}, "primary must hold one result a treatment variant"),
        ({"primary": (B, replace(C, direction="decrease"))}, "one direction"),
        ({"primary": (B, replace(C, scale="absolute"))}, "one scale"),
        ({"guardrails": (guard("z"),)}, "'z'.* have no primary result"),
        ({"guardrails": (guard("b"),)}, "'refunds' for every variant, 'c' has none"),
        (
            {"guardrails": (guard("b"), guard("c"), guard("b"))},
            r"guardrails must hold one result .*\('b', 'refunds'\)",
        ),
        ({"guardrails": (guard("b", "ok"), guard("c"))}, "outcome must be .*'ok'"),
        ({"head_to_head": (HeadToHead("c", "z", 0, -1, 1),)}, "'z'"),
        (
            {"head_to_head": (HeadToHead("c", "b", 0, -1, 1),) * 2},
            r"head_to_head must hold one comparison a pair, \['b', 'c'\]",
        ),
        ({"quality": (QualityCheck("split", "bad", ""),)}, "split: state must .*'bad'"),  # type: ignore[arg-type]  # the point
        ({"look": -1}, "look must be finite and >= 0, got -1"),
        ({"look": 3}, r"look must be <= planned_looks \(2\), got 3"),
        ({"planned_looks": 0}, "planned_looks must be finite and >= 1"),
        ({"days_run": NAN}, "days_run must be finite"),
        ({"days_run": INF}, "days_run must be finite"),
        ({"minimum_days": NAN}, "minimum_days must be finite"),
        ({"minimum_effect": NAN}, "minimum_effect must be finite"),
        ({"alpha": NAN}, r"alpha must lie in \(0, 1\), got nan"),
        ({"sharing": "tukey"}, "sharing must be one of .*'tukey'"),
        ({"sharing": "dunnett"}, "needs a plan with one look, got 2"),
        (
            {
                "primary": (replace(B, alpha=0.05), replace(C, alpha=0.05)),
                "alpha": 0.05,
            },
            r"spend an error of 0.1 together, more than alpha \(0.05\)",
        ),
    ],
)
def test_contradicting_evidence_is_refused(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(DecisionError, match=said):
        replace(FACTS, **changes)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lower": 0.2}, r"lower must be <= upper, got \(0.2, 0.16\)"),
        ({"lower": NAN}, "must both be known or both NaN"),
        ({"upper": NAN}, "must both be known or both NaN"),
        ({"estimate": -0.1}, "estimate -0.1 lies on the other side of zero"),
        ({"direction": "up"}, "direction must be one of .*'up'"),
        ({"alpha": NAN}, r"alpha must lie in \[0, 1\], got nan"),
        ({"alpha": 0.05, "p_value": 1.2}, r"p_value must lie in \[0, 1\]"),
        ({"alpha": 0.05, "p_value": 0.3}, "p_value 0.3 and interval .* disagree"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(DecisionError, match=said) as caught:
        replace(B, **changes)  # type: ignore[arg-type]  # wrong on purpose
    assert "primary result of b" in str(caught.value)


def test_a_comparison_with_itself_is_refused() -> None:
    with pytest.raises(DecisionError, match="a variant cannot be compared with itself"):
        HeadToHead("b", "b", 0, -1, 1)
    with pytest.raises(DecisionError, match="head_to_head of b and c: lower must be"):
        HeadToHead("b", "c", 0, 1, -1)


def test_what_is_unknown_is_no_contradiction() -> None:
    unknown = PrimaryResult("b", np.nan, np.nan, np.nan)
    unbounded = PrimaryResult("c", 0.5, -INF, INF, alpha=0.05, p_value=0.01)
    endless = PrimaryResult("d", np.nan, 0.5, INF, alpha=0.05, p_value=0.01)
    facts = replace(FACTS, primary=(unknown, unbounded, endless))
    assert facts.primary[0].is_unbounded
    assert facts.primary[1].is_unbounded
    assert not facts.primary[2].is_unbounded


def test_an_outcome_may_be_given_by_its_word() -> None:
    guards = (guard("b", "pass"), guard("c", Outcome.FAIL))
    assert replace(FACTS, guardrails=guards).guardrails == guards  # type: ignore[arg-type]  # words
