"""Thin: read the plan, walk the shopper through it, render."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from experiments.assignment.answers import UnitContext
from experiments.assignment.attributes import read_attributes
from experiments.assignment.compiled import CompiledPlan
from experiments.assignment.explanation import explain
from experiments.assignment.selectors import answering_plan
from experiments.assignment.web.walk import present
from experiments.gateway.roles import role_required
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
