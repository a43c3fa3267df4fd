"""Create what is asked and tested, and move it through its life."""

from experiments.design.services.changes import record_change
from experiments.design.services.creation import (
    ExperimentSpec,
    MetricSpec,
    PrerequisiteSpec,
    VariantSpec,
    create_experiment,
)
from experiments.design.services.experiments import (
    audience_finding,
    check_experiment,
    transition,
)
from experiments.design.services.holdouts import end_holdout, open_holdout
from experiments.design.services.layers import create_layer, free_segments
from experiments.design.services.phases import Mode, change_coverage, change_split
from experiments.design.services.placements import ensure_placement
from experiments.design.services.prerequisites import check_prerequisites

__all__ = [
    "ExperimentSpec",
    "MetricSpec",
    "Mode",
    "PrerequisiteSpec",
    "VariantSpec",
    "audience_finding",
    "change_coverage",
    "change_split",
    "check_experiment",
    "check_prerequisites",
    "create_experiment",
    "create_layer",
    "end_holdout",
    "ensure_placement",
    "free_segments",
    "open_holdout",
    "record_change",
    "transition",
]
