"""Creating and editing placements and experiments without code."""

from experiments.design.admin.experiment import ExperimentAdmin
from experiments.design.admin.placement import PlacementAdmin

__all__ = ["ExperimentAdmin", "PlacementAdmin"]
