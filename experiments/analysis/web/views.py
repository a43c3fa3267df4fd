"""Thin: read, present, render."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from experiments.analysis import selectors
from experiments.analysis.presentation import history as history_view
from experiments.analysis.presentation import overview as overview_view
from experiments.analysis.presentation import situation
from experiments.analysis.presentation.banner import Reader
from experiments.analysis.presentation.report import present
from experiments.analysis.presentation.variants import planned_variants
from experiments.analysis.services import request_analysis
from experiments.design.lifecycle import Action, Status, allowed_actions
from experiments.design.models import Experiment, Placement
from experiments.gateway.roles import has_role, person, role_required
from models_registry.errors import ShipworthyError


def _experiment(key: str) -> Experiment:
    experiment = selectors.experiment_by_key(key)
    if experiment is None:
        raise Http404(f"There is no experiment {key!r}.")
    return experiment


def _reader(request: HttpRequest, experiment: Experiment) -> Reader:
    decides = has_role(request.user, "growth")
    allowed = allowed_actions(experiment.status)
    running = experiment.status in {Status.RUNNING, Status.PAUSED}
    return Reader(
        may_ship=decides and Action.SHIP in allowed,
        may_keep=decides and Action.CONCLUDE in allowed,
        may_roll_back=decides and Action.ROLL_BACK in allowed,
        may_analyse=running and (decides or has_role(request.user, "analyst")),
        may_change=decides,
    )


@login_required
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """What needs attention, then every experiment."""
    asked = {
        name: request.GET.get(name, "").strip() for name in ("q", "state", "placement")
    }
    found = selectors.experiments_matching(
        asked["q"], asked["state"], asked["placement"]
    )
    pages = Paginator(found, selectors.PAGE_SIZE)
    page = pages.get_page(request.GET.get("page"))
    listed = selectors.listed(page)
    waiting = selectors.listed(selectors.experiments_splitting())
    return render(
        request,
        "analysis/overview.html",
        {
            "rows": overview_view.rows(listed),
            "cards": overview_view.attention(waiting, timezone.now()),
            "counts": overview_view.counts(selectors.counts_by_status()),
            "asked": asked,
            "query": request.GET.urlencode() if any(asked.values()) else "",
            "states": [(s.value, situation.status_tag(s).word) for s in Status],
            "placements": Placement.objects.order_by("key"),
            "page": page,
            "may_create": has_role(request.user, "growth"),
            "section": "experiments",
        },
    )


@login_required
@require_safe
def report(request: HttpRequest, key: str) -> HttpResponse:
    """The latest report of an experiment, or a frozen one (``?report=n``)."""
    experiment = _experiment(key)
    asked = request.GET.get("report", "")
    if asked and not asked.isdecimal():
        raise Http404(f"report={asked!r} is no report number.")
    numbers = selectors.report_numbers(experiment)
    shown = selectors.report_of(experiment, int(asked) if asked else None)
    if asked and shown is None:
        raise Http404(f"There is no report {asked} of {experiment.key}.")
    content = selectors.content_of(shown) if shown else None
    reader = _reader(request, experiment)
    job = selectors.running_analysis(experiment)
    decided = situation.decided(selectors.decisions_of(experiment))
    context: dict[str, object] = {
        "experiment": experiment,
        "report": shown,
        "numbers": numbers,
        "reader": reader,
        "tag": situation.status_tag(experiment.status),
        "meta": situation.meta(experiment, shown, content),
        "transitions": situation.transitions(experiment, reader),
        "notices": situation.notices(
            experiment,
            report=shown,
            latest=numbers[0][0] if numbers else None,
            job=job,
            undone=decided,
            now=timezone.now(),
        ),
        "section": "experiments",
        "champion": selectors.champion_of(experiment),
    }
    if content is None:
        context["banner"] = situation.without_report(experiment, job, reader)
        context["variants"] = planned_variants(experiment.variants.all())
        return render(request, "analysis/no_report.html", context)
    context["page"] = present(
        content,
        offline=selectors.offline_of(list(experiment.variants.all())),
        decided=decided,
        reader=reader,
    )
    return render(request, "analysis/report.html", context)


@login_required
@require_safe
def history(request: HttpRequest, key: str) -> HttpResponse:
    """Who changed what, every report and every decision of an experiment."""
    experiment = _experiment(key)
    entries = history_view.entries(
        changes=list(selectors.changes_of(experiment)),
        decisions=selectors.decisions_of(experiment),
        reports=selectors.reports_made(experiment),
    )
    return render(
        request,
        "analysis/history.html",
        {
            "experiment": experiment,
            "tag": situation.status_tag(experiment.status),
            "entries": entries,
            "section": "experiments",
        },
    )


@login_required
@role_required("growth", "analyst")
@require_POST
def analyse(request: HttpRequest, key: str) -> HttpResponse:
    """Ask for a report now."""
    experiment = _experiment(key)
    try:
        request_analysis(experiment, as_of=None, by=person(request.user))
        messages.success(request, "A new report was asked for.")
    except ShipworthyError as error:
        messages.error(request, error.message)
    return redirect("analysis:report", key=key)
