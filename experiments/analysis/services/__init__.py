"""Looks at experiments: asked for, computed from the log, kept as reports."""

from experiments.analysis.services.looks import (
    KIND,
    reproduce,
    request_analysis,
    request_due_analyses,
    run_analysis,
)

__all__ = [
    "KIND",
    "reproduce",
    "request_analysis",
    "request_due_analyses",
    "run_analysis",
]
