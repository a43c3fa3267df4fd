"""Creating and editing placements, experiments, layers and holdouts without code."""

from experiments.design.admin.exclusion import HoldoutAdmin, LayerAdmin
from experiments.design.admin.experiment import ExperimentAdmin
from experiments.design.admin.placement import PlacementAdmin

__all__ = ["ExperimentAdmin", "HoldoutAdmin", "LayerAdmin", "PlacementAdmin"]
