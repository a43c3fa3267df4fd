"""Thin: read, present, render."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from experiments.gateway.roles import has_role, role_required
from models_registry import jobs
from models_registry.errors import ShipworthyError
from scoring.training import registered
from scoring.training.presentation import compare as comparison
from scoring.training.presentation import runs as runs_view
from scoring.training.presentation import versions

MOST_COMPARED = 6
CANCELS = ("engineer", "growth", "analyst")


@login_required
@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """Every model with its versions."""
    found = registered.versions_of_all_models()
    return render(
        request,
        "training/models.html",
        {
            "cards": versions.cards(list(registered.models()), found),
            "section": "models",
        },
    )


@login_required
@require_safe
def version(request: HttpRequest, model: str, number: int) -> HttpResponse:
    """One version: facts, evaluation, lineage, where it is used."""
    found = registered.version(model, number)
    if found is None:
        raise Http404(f"There is no version {number} of {model!r}.")
    page = versions.page(found, registered.moves_of(found.version))
    return render(request, "training/version.html", {"page": page, "section": "models"})


@login_required
@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """Versions side by side: ``?v=model/number&v=model/number``."""
    found = registered.versions_named(_asked(request.GET.getlist("v")))
    return render(
        request,
        "training/compare.html",
        {"page": comparison.compare(found) if found else None, "section": "models"},
    )


def _asked(values: list[str]) -> list[tuple[str, int]]:
    names: list[tuple[str, int]] = []
    for value in values[:MOST_COMPARED]:
        model, _, number = value.rpartition("/")
        if model and number.isdecimal() and (model, int(number)) not in names:
            names.append((model, int(number)))
    return names


@login_required
@require_safe
def runs(request: HttpRequest) -> HttpResponse:
    """The newest runs of every kind."""
    rows = runs_view.rows(list(registered.latest_jobs()), timezone.now())
    return render(request, "training/runs.html", {"rows": rows, "section": "runs"})


@login_required
@require_safe
@vary_on_headers("HX-Request")
def run(request: HttpRequest, job_id: int) -> HttpResponse:
    """A run; htmx asks for the moving part alone."""
    job = registered.job(job_id)
    if job is None:
        raise Http404(f"There is no run {job_id}.")
    page = runs_view.page(job, timezone.now())
    partial = request.headers.get("HX-Request") == "true"
    context: dict[str, object] = {
        "job": job,
        "page": page,
        "made": registered.versions_made_by(job) if not page.going_on else [],
        "may_cancel": has_role(request.user, *CANCELS),
        "section": "runs",
    }
    template = "partials/run_progress.html" if partial else "training/run.html"
    return render(request, template, context)


@login_required
@role_required(*CANCELS)
@require_POST
def cancel(request: HttpRequest, job_id: int) -> HttpResponse:
    """Ask a run to stop at its next safe point."""
    job = registered.job(job_id)
    if job is None:
        raise Http404(f"There is no run {job_id}.")
    try:
        jobs.cancel(job)
        messages.success(request, "The run stops at its next safe point.")
    except ShipworthyError as error:
        messages.error(request, error.message)
    return redirect("training:run", job_id=job_id)
