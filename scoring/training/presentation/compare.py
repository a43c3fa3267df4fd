"""The comparison of versions: a claim with its interval, then the figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from experiments.analysis.presentation import numbers, wording
from experiments.analysis.presentation.banner import Banner, Button
from experiments.analysis.presentation.banner import Fact as BannerFact
from experiments.analysis.presentation.table import IntervalBar, interval_bar
from experiments.analysis.presentation.wording import Tag
from models_registry.models import Evaluation
from scoring.engine.paired import paired_difference
from scoring.training.presentation.facts import Fact, facts
from scoring.training.presentation.scores import (
    MEASURES,
    Score,
    interval_of,
    label,
    length,
    score_of,
    written,
)
from scoring.training.selectors import Registered

MAIN = "ndcg"
COLUMNS = ("precision", "recall", "f1", "hit_rate", "coverage")
