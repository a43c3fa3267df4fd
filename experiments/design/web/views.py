"""Thin: check the role, call the service, come back with what happened."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from experiments.design.lifecycle import Action
from experiments.design.models import Experiment
from experiments.design.services import transition
from experiments.gateway.roles import person, role_required
from models_registry.errors import ShipworthyError

# Shipping and rolling back carry a report and a reason: the decisions wing's pages.
OFFERED = frozenset({Action.START, Action.PAUSE, Action.RESUME, Action.ARCHIVE})


@login_required
@role_required("growth")
@require_POST
def transition_view(request: HttpRequest, key: str, action: str) -> HttpResponse:
    """Start, pause, resume or archive an experiment."""
    experiment = get_object_or_404(Experiment, key=key)
    try:
        if action not in OFFERED:
            messages.error(request, f"{action} is not done here.")
        else:
            moved = transition(
                experiment,
                action,
                by=person(request.user),
                reason=request.POST.get("reason", ""),
            )
            messages.success(request, f"{moved.name} is {moved.status}.")
    except ShipworthyError as error:
        messages.error(request, error.message)
    return redirect("analysis:report", key=key)
