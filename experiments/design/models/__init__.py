"""What can be asked (placements), what is tested, and what keeps tests apart."""

from experiments.design.models.eligibility import ForcedVariant, Prerequisite
from experiments.design.models.exclusion import (
    Holdout,
    Layer,
    LayerMembership,
    LayerSegment,
)
from experiments.design.models.experiment import (
    Experiment,
    ExperimentMetric,
    ExposureSource,
    MarginScale,
    MetricRole,
    Variant,
)
from experiments.design.models.history import Change, Epoch, Phase
from experiments.design.models.placement import Placement, ValueType

__all__ = [
    "Change",
    "Epoch",
    "Experiment",
    "ExperimentMetric",
    "ExposureSource",
    "ForcedVariant",
    "Holdout",
    "Layer",
    "LayerMembership",
    "LayerSegment",
    "MarginScale",
    "MetricRole",
    "Phase",
    "Placement",
    "Prerequisite",
    "ValueType",
    "Variant",
]
