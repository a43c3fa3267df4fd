"""The decision checklist: the rule's criteria in the pages' words and numbers."""

import re
from dataclasses import dataclass

from experiments.analysis.presentation import numbers
from experiments.analysis.presentation.banner import Facts
from experiments.analysis.presentation.wording import Tag
from experiments.analysis.results import ReasonResult

CRITERIA = {
    "met": Tag("good", "check", "Met"),
    "unmet": Tag("quiet", "minus", "Not met"),
    "waiting": Tag("warn", "clock", "Waiting"),
    "failed": Tag("bad", "x", "Failed"),
}
UNEVALUATED = {
    "better_than_control": "A variant is better than control",
    "guardrail": "No guardrail is harmed",
    "clear_winner": "One variant is clearly the best",
}
SHIPPING = frozenset({"ship", "not_distinguishable"})


@dataclass(frozen=True)
class Line:
    """A check or a criterion: icon and word, title, sentence."""

    tag: Tag
    title: str
    sentence: str
    remedy: str = ""


def lines(facts: Facts) -> tuple[Line, ...]:
    """Every criterion once, in the rule's order."""
    reasons = facts.content.verdict.reasons
    return tuple(dict.fromkeys(_line(reason, facts) for reason in reasons))


def against(facts: Facts) -> tuple[str, ...]:
    """What speaks against shipping, where the rule says so; the calendar does not."""
    verdict = facts.content.verdict
    if verdict.decision not in SHIPPING:
        return ()
    calendar = {r.sentence for r in verdict.reasons if r.code == "planned_looks"}
    return tuple(
        _lettered(said, facts) for said in verdict.against if said not in calendar
    )


def _line(reason: ReasonResult, facts: Facts) -> Line:
    tag = CRITERIA.get(reason.state, CRITERIA["waiting"])
    if reason.code == "data_quality":
        return Line(tag, "Quality checks pass", reason.figure)
    if facts.broken:
        title = UNEVALUATED.get(reason.code, reason.sentence)
        return Line(Tag("quiet", "minus", "Not evaluated"), title, "")
    return Line(tag, _lettered(reason.sentence, facts), _figure(reason, facts))


def _figure(reason: ReasonResult, facts: Facts) -> str:
    plan = facts.content.plan
    if reason.code == "guardrail":  # a code that the sentence already spells out
        return ""
    if reason.code == "minimum_days":
        return f"{numbers.plural(int(plan.days), 'day')} so far"
    if reason.code == "planned_looks":
        planned = numbers.plural(plan.looks, "planned look")
        return (
            f"look {plan.look} of {plan.looks}" if plan.look else f"none of {planned}"
        )
    figure = re.sub(r"(?<=\d) %", "%", _lettered(reason.figure, facts))
    return re.sub(r"(?<![\w])-(?=\d)", numbers.MINUS, figure)


def _lettered(sentence: str, facts: Facts) -> str:
    """The rule names variants by key; pages by letter."""
    for variant in facts.challengers:
        key = rf"(?<![\w.-]){re.escape(variant.key)}(?![\w-])"
        sentence = re.sub(key, variant.letter, sentence)
    return sentence
