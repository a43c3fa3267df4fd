"""The management API's router: every resource by its plural name."""

from rest_framework.routers import DefaultRouter

from experiments.analysis.api.views import AnalysisViewSet, ReportViewSet
from experiments.decisions.api.views import DecisionViewSet
from experiments.design.api.views import (
    ExperimentViewSet,
    HoldoutViewSet,
    LayerViewSet,
    PlacementViewSet,
)
from experiments.gateway.api.views import KeyViewSet
from experiments.metrics.api.views import MetricViewSet
from models_registry.api.views import (
    AliasViewSet,
    JobViewSet,
    ModelViewSet,
    VersionViewSet,
)

router = DefaultRouter()
router.register("placements", PlacementViewSet)
router.register("experiments", ExperimentViewSet)
router.register("layers", LayerViewSet)
router.register("holdouts", HoldoutViewSet)
router.register("metrics", MetricViewSet)
router.register("analyses", AnalysisViewSet, basename="analysis")
router.register("reports", ReportViewSet)
router.register("decisions", DecisionViewSet)
router.register("models", ModelViewSet)
router.register("versions", VersionViewSet)
router.register("aliases", AliasViewSet)
router.register("jobs", JobViewSet)
router.register("keys", KeyViewSet)
