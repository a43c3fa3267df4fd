"""Looks at experiments: asked for, computed from the log, kept as reports."""

from experiments.analysis.services.looks import (
    KIND,
    reproduce,
    request_analysis,
    request_due_analyses,
    run_analysis,
)
from experiments.analysis.services.resplits import resplit

__all__ = [
    "KIND",
    "reproduce",
    "request_analysis",
    "request_due_analyses",
    "resplit",
    "run_analysis",
]
