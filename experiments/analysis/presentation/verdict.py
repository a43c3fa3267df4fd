"""The verdict's sentence, reason, figures and actions, for every state of a report."""

from collections.abc import Sequence

from experiments.analysis.presentation import numbers, wording
from experiments.analysis.presentation.banner import (
    Banner,
    Button,
    Decided,
    Fact,
    Facts,
    Reader,
)
from experiments.analysis.results import MetricResult, VariantInfo, VariantResult


def banner(facts: Facts, decided: Decided | None, reader: Reader) -> Banner:
    """The banner of a report, or of what was decided about it."""
    if decided is not None and decided.action != "roll_back":
        return _decided(facts, decided, reader)
    if facts.broken:
        return _no_verdict(facts)
    build = {
        "ship": _ship,
        "not_distinguishable": _not_distinguishable,
        "keep_control": _keep_control,
    }.get(facts.content.verdict.decision, _keep_running)
    return build(facts, reader)


def _ship(facts: Facts, reader: Reader) -> Banner:
    winner = facts.by_key[facts.content.verdict.winner or ""]
    result = facts.result(facts.primary, winner.key)
    effect = result.relative if result else None
    gain = (
        wording.clause(facts.primary, effect.estimate)
        if facts.primary and effect
        else "it does best"
    )
    reasons = []
    if effect and effect.lower is not None and effect.upper is not None:
        reasons.append(
            f"The true gain plausibly lies between {numbers.change(effect.lower)} and "
            f"{numbers.change(effect.upper)}."
        )
    reasons.extend(_guardrail_sentence(facts, winner.key))
    reasons.extend(_others(facts, winner))
    return Banner(
        tone="good",
        icon="check",
        kicker="Ready to ship",
        sentence=f"Ship {wording.named(winner)}: {gain}",
        reasons=tuple(reasons),
        facts=_effect_facts(facts, winner),
        buttons=_buttons(
            reader, Button(f"Ship {winner.label}…", dialog="ship", style="main")
        ),
    )


def _not_distinguishable(facts: Facts, reader: Reader) -> Banner:
    candidates = [
        facts.by_key[key]
        for key in facts.content.verdict.candidates
        if key in facts.by_key
    ]
    letters = wording.listed([v.letter for v in candidates])
    both = "Both" if len(candidates) == 2 else "All"
    reasons = [_effect_sentence(facts, v) for v in candidates]
    reasons.extend(_duel_sentence(facts, candidates))
    reasons.append("Nothing moves until a person chooses.")
    return Banner(
        tone="info",
        icon="user",
        kicker="A person must decide",
        sentence=f"{both} beat control, but nothing tells {letters} apart",
        reasons=tuple(reasons),
        facts=tuple(
            _fact_of(facts.primary, facts.result(facts.primary, v.key), v)
            for v in candidates[:2]
            if facts.primary
        )
        + _guardrail_fact(facts, [v.key for v in candidates]),
        buttons=_buttons(
            reader, Button("Choose a variant…", dialog="choose", style="main")
        ),
    )


def _keep_control(facts: Facts, reader: Reader) -> Banner:
    worse = [
        v
        for v in facts.challengers
        if (r := facts.result(facts.primary, v.key)) and r.reading == "worse"
    ]
    if worse and len(worse) == len(facts.challengers):
        does = "does" if len(worse) == 1 else "do"
        sentence = (
            f"Keep {facts.control.label}: "
            f"{wording.listed([v.letter for v in worse])} {does} worse"
        )
    elif any(_harms(facts, v.key) for v in facts.challengers):
        sentence = f"Keep {facts.control.label}: no variant gains without harm"
    else:
        sentence = f"No clear difference: keep {facts.control.label}"
    return Banner(
        tone="quiet",
        icon="minus",
        kicker="Keep control",
        sentence=sentence,
        reasons=tuple(_effect_sentence(facts, v) for v in facts.challengers),
        facts=_effect_facts(facts, _best(facts)) if facts.challengers else (),
        buttons=_buttons(reader, Button("Keep control…", dialog="keep", style="main")),
    )


def _keep_running(facts: Facts, reader: Reader) -> Banner:
    plan = facts.content.plan
    left = max(0, round(plan.planned_days - plan.days))
    if plan.days < plan.minimum_days:
        reasons = [
            f"Day {_day_of(plan.days)} of {plan.planned_days}.",
            (
                f"There is no verdict before {plan.minimum_days} full days, so that "
                "each weekday counts once."
            ),
        ]
    else:
        reasons = [
            f"Day {_day_of(plan.days)} of {plan.planned_days}. {_looks_done(facts)}",
            "Nothing is wrong; no variant has cleared the bar of a planned look yet.",
        ]
    more = f"at most {numbers.plural(left, 'more day')}" if left else "await the look"
    collected = min(1.0, plan.information)
    return Banner(
        tone="quiet",
        icon="clock",
        kicker="Keep running",
        sentence=f"Too early to tell: {more}",
        reasons=tuple(reasons),
        facts=(
            Fact(
                "Data so far",
                numbers.percent(collected, 0),
                f"of the planned sample, {numbers.count(facts.content.users)} shoppers",
            ),
            *_guardrail_fact(facts, [v.key for v in facts.challengers]),
        ),
        buttons=_buttons(reader, None),
    )


def _no_verdict(facts: Facts) -> Banner:
    bad = [check for check in facts.content.checks if check.state == "bad"]
    worst = bad[0] if bad else None
    shares = " / ".join(
        numbers.percent(v.users / facts.content.users) if facts.content.users else "–"
        for v in facts.by_key.values()
    )
    planned = " / ".join(numbers.percent(v.weight, 0) for v in facts.by_key.values())
    title = wording.trouble(worst) if worst else "a check failed"
    return Banner(
        tone="bad",
        icon="x",
        kicker="No decision possible",
        sentence=f"Do not read these results: {title}",
        reasons=(
            *(check.sentence for check in bad[:2]),
            "We hide the effects until this is repaired, so that nothing is misread.",
        ),
        facts=(
            Fact(
                f"Split, planned {planned}",
                shares,
                " / ".join(
                    f"{numbers.count(v.users)} in {v.letter}"
                    for v in facts.by_key.values()
                ),
            ),
            Fact(
                "Checks that failed",
                f"{len(bad)} of {len(facts.content.checks)}",
                wording.listed([wording.trouble(c) for c in bad]),
            ),
        ),
        buttons=(Button("See the cause and the remedy", href="#fix", style="main"),),
    )


def _decided(facts: Facts, decided: Decided, reader: Reader) -> Banner:
    when = numbers.moment(decided.at)
    who = decided.by or "An API key"
    reasons = []
    if decided.against_rule:
        reasons.append("Decided against the rule.")
    if decided.reason:
        reasons.append(f"Reason: {decided.reason}")
    if decided.report is not None:
        reasons.append(f"Decided on report {decided.report}, which is kept.")
    if decided.action == "ship":
        variant = facts.by_key.get(decided.variant)
        name = wording.named(variant) if variant else decided.variant
        back = Button("Roll back…", dialog="roll-back", style="danger")
        return Banner(
            tone="good",
            icon="check",
            kicker="Shipped",
            sentence=f"{who} shipped {name} on {when}",
            reasons=tuple(reasons),
            facts=_effect_facts(facts, variant) if variant and not facts.broken else (),
            buttons=(back,) if reader.may_roll_back else (),
        )
    return Banner(
        tone="quiet",
        icon="flag",
        kicker="Concluded",
        sentence=f"{who} kept control, {facts.control.label}, on {when}",
        reasons=tuple(reasons),
        facts=()
        if facts.broken or not facts.challengers
        else _effect_facts(facts, _best(facts)),
        buttons=_buttons(reader, None),
    )


def _buttons(reader: Reader, first: Button | None) -> tuple[Button, ...]:
    """The verdict's own button where it is allowed, then the way to differ."""
    may = {"ship": reader.may_ship, "choose": reader.may_ship, "keep": reader.may_keep}
    found: tuple[Button, ...] = (first,) if first and may[first.dialog] else ()
    if reader.may_ship or reader.may_keep:
        found += (Button("Decide otherwise…", dialog="otherwise", style="link"),)
    return found


def _best(facts: Facts) -> VariantInfo:
    sign = 1 if facts.primary is None or facts.primary.direction == "increase" else -1

    def effect(variant: VariantInfo) -> float:
        result = facts.result(facts.primary, variant.key)
        estimate = result.relative.estimate if result and result.relative else None
        return float("-inf") if estimate is None else sign * estimate

    return max(facts.challengers, key=effect)


def _effect_facts(facts: Facts, variant: VariantInfo) -> tuple[Fact, ...]:
    shown = [m for m in (facts.primary, _money(facts.secondary)) if m is not None]
    return tuple(
        _fact_of(metric, facts.result(metric, variant.key), variant) for metric in shown
    ) + _guardrail_fact(facts, [variant.key])


def _money(metrics: Sequence[MetricResult]) -> MetricResult | None:
    money = [m for m in metrics if numbers.is_currency(m.unit)]
    return next(iter(money or metrics), None)


def _fact_of(
    metric: MetricResult | None, result: VariantResult | None, variant: VariantInfo
) -> Fact:
    effect = result.relative if result else None
    return Fact(
        label=f"{metric.name if metric else ''}, {variant.letter}",
        figure=numbers.change(effect.estimate if effect else None),
        note=f"95% interval {wording.bounds(effect)}" if effect else "not computed",
        meaning=metric.description if metric else "",
    )


def _guardrail_fact(facts: Facts, variants: Sequence[str]) -> tuple[Fact, ...]:
    if not facts.guardrails:
        return ()
    held = [
        metric
        for metric in facts.guardrails
        if all(
            (r := facts.result(metric, v)) is not None and r.reading == "holds"
            for v in variants
        )
    ]
    total = len(facts.guardrails)
    return (
        Fact(
            "Guardrails",
            f"{len(held)} of {total} hold",
            wording.listed([metric.name for metric in facts.guardrails[:3]]),
        ),
    )


def _harms(facts: Facts, variant: str) -> bool:
    return any(
        (r := facts.result(metric, variant)) is not None and r.reading == "harmed"
        for metric in facts.guardrails
    )


def _guardrail_sentence(facts: Facts, variant: str) -> list[str]:
    if not facts.guardrails:
        return []
    open_ones = [
        metric.name
        for metric in facts.guardrails
        if (r := facts.result(metric, variant)) is None or r.reading != "holds"
    ]
    if not open_ones:
        held = (
            "Every guardrail holds"
            if len(facts.guardrails) > 1
            else ("The guardrail holds")
        )
        return [f"{held}."]
    return [f"Not shown safe: {wording.listed(open_ones)}."]


def _others(facts: Facts, winner: VariantInfo) -> list[str]:
    says = {
        "better": "also beats control, but by less",
        "worse": "does worse than control",
        "unclear": "shows no clear difference",
    }
    sentences = []
    for variant in facts.challengers:
        result = facts.result(facts.primary, variant.key)
        if variant.key != winner.key and result and result.reading in says:
            sentences.append(f"{wording.named(variant)}, {says[result.reading]}.")
    return sentences


def _effect_sentence(facts: Facts, variant: VariantInfo) -> str:
    result = facts.result(facts.primary, variant.key)
    effect = result.relative if result else None
    if effect is None or effect.estimate is None:
        return f"{wording.named(variant)}: too few shoppers."
    return (
        f"{wording.named(variant)}: {numbers.change(effect.estimate)} "
        f"({wording.bounds(effect)})."
    )


def _duel_sentence(facts: Facts, candidates: Sequence[VariantInfo]) -> list[str]:
    """The two best against each other, when they were compared."""
    two = {v.key for v in candidates[:2]}
    for pair in facts.content.pairs:
        if {pair.variant, pair.other} == two:
            one, other = facts.by_key[pair.variant], facts.by_key[pair.other]
            return [
                f"{one.letter} against {other.letter}: {wording.bounds(pair.effect)}."
            ]
    return ["The data cannot say which of them is better."]


def _looks_done(facts: Facts) -> str:
    plan = facts.content.plan
    if plan.look == 0:
        return f"None of {numbers.plural(plan.looks, 'planned look')} is due yet."
    return f"Look {plan.look} of {plan.looks} is done."


def _day_of(days: float) -> int:
    return max(1, int(days))
