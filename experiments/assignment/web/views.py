"""Thin: read the plan, walk the shopper through it, render."""

import json

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from experiments.assignment.answers import UnitContext
from experiments.assignment.attributes import read_attributes
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.explanation import explain
from experiments.assignment.previews import preview_split
from experiments.assignment.selectors import answering_plan
from experiments.assignment.web.edits import Edit, read_edit
from experiments.assignment.web.walk import present
from experiments.design.models import Experiment
from experiments.design.services import change_coverage, change_split
from experiments.gateway.roles import person, role_required
from models_registry.errors import InvalidError, ShipworthyError


@login_required
@role_required()
@require_safe
def explain_view(request: HttpRequest) -> HttpResponse:
    """Why did this shopper get what they got? The unit stands in the address."""
    names = ("unit_id", "placement", "attributes")
    asked = {name: request.GET.get(name, "").strip() for name in names}
    compiled = answering_plan()
    context: dict[str, object] = {
        "section": "explain",
        "asked": asked,
        "placements": sorted(compiled.plan.placements),
    }
    status = 200
    if asked["unit_id"]:
        try:
            context["walk"] = _walk(compiled, asked)
        except ShipworthyError as error:
            context["problem"], status = error.message, 400
    return render(request, "assignment/explain.html", context, status=status)


def _walk(compiled: CompiledPlan, asked: dict[str, str]) -> object:
    placements = compiled.plan.placements
    if asked["placement"] not in placements:
        raise InvalidError(f"There is no placement {asked['placement'][:100]!r}.")
    unit = UnitContext(
        unit_id=asked["unit_id"],
        attributes=read_attributes(asked["attributes"]),
        now=timezone.now().timestamp(),
    )
    found = explain(compiled, asked["placement"], unit)
    return present(found, placements[asked["placement"]])


@login_required
@role_required("growth")
@require_http_methods(["GET", "POST"])
def split_view(request: HttpRequest, key: str) -> HttpResponse:
    """Change who takes part in a running experiment, told beforehand whom it moves."""
    experiment = get_object_or_404(Experiment, key=key)
    phase = experiment.phases.filter(ended_at=None).first()
    if phase is None:
        messages.error(request, f"{experiment.name} does not run; edit the draft.")
        return redirect("analysis:report", key=key)
    form = {
        "coverage": f"{experiment.coverage * 100:g}",
        "audience": json.dumps(phase.audience) if phase.audience else "",
        "mode": "continue",
        **{f"weight-{name}": f"{w * 100:g}" for name, w in phase.weights.items()},
        **request.POST.dict(),
    }
    context: dict[str, object] = {
        "section": "experiments",
        "experiment": experiment,
        "phase": phase,
        "form": form,
        "weights": [
            {"key": name, "percent": form[f"weight-{name}"]} for name in phase.weights
        ],
    }
    status = 200
    if request.method == "POST":
        try:
            edit = read_edit(experiment, form)
            if form.get("do") == "apply":
                _apply(experiment, edit, request)
                return redirect("analysis:report", key=key)
            context["told"] = preview_split(
                experiment,
                weights=edit.weights,
                audience=edit.audience,
                coverage=edit.coverage,
                mode=edit.mode,
            )
        except ShipworthyError as error:
            context["problem"], status = error.message, 400
    return render(request, "assignment/split.html", context, status=status)


def _apply(experiment: Experiment, edit: Edit, request: HttpRequest) -> None:
    by = person(request.user)
    if edit.coverage is not None:
        change_coverage(experiment, edit.coverage, by=by)
        said = f"Coverage is {edit.coverage:.0%} now."
    else:
        phase = change_split(
            experiment,
            weights=edit.weights,
            audience=edit.audience,
            mode=edit.mode,
            by=by,
        )
        said = f"Phase {phase.number} is open."
    messages.success(request, said)
