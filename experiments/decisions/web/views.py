"""Thin: check the role, call the service, come back with what happened."""

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from experiments.analysis.models import Report
from experiments.decisions import services
from experiments.design.models import Experiment
from experiments.gateway.roles import person, role_required
from models_registry.errors import ShipworthyError


def _report(request: HttpRequest, experiment: Experiment) -> Report | None:
    number = request.POST.get("report", "")
    if not number.isdigit():
        return None
    return get_object_or_404(Report, experiment=experiment, number=int(number))


def _answer(
    request: HttpRequest, key: str, act: Callable[[Experiment], str]
) -> HttpResponse:
    experiment = get_object_or_404(Experiment, key=key)
    try:
        messages.success(request, act(experiment))
    except ShipworthyError as error:
        messages.error(request, error.message)
    return redirect("analysis:report", key=key)


@login_required
@role_required("growth")
@require_POST
def ship_view(request: HttpRequest, key: str) -> HttpResponse:
    """Ship the named variant on the named report."""

    def act(experiment: Experiment) -> str:
        variant = get_object_or_404(
            experiment.variants, key=request.POST.get("variant", "")
        )
        services.ship(
            experiment,
            variant,
            report=_report(request, experiment),
            by=person(request.user),
            reason=request.POST.get("reason", ""),
        )
        return f"Shipped: {variant} is what shoppers get now."

    return _answer(request, key, act)


@login_required
@role_required("growth")
@require_POST
def keep_view(request: HttpRequest, key: str) -> HttpResponse:
    """End with the control for everybody."""

    def act(experiment: Experiment) -> str:
        services.keep_control(
            experiment,
            report=_report(request, experiment),
            by=person(request.user),
            reason=request.POST.get("reason", ""),
        )
        return "Concluded: the control stays."

    return _answer(request, key, act)


@login_required
@role_required("growth")
@require_POST
def roll_back_view(request: HttpRequest, key: str) -> HttpResponse:
    """Undo a shipping."""

    def act(experiment: Experiment) -> str:
        services.roll_back(
            experiment, by=person(request.user), reason=request.POST.get("reason", "")
        )
        return "Rolled back: the former champion answers again."

    return _answer(request, key, act)
