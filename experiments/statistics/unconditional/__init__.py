"""Two proportions with few events: the exact unconditional test and its interval."""

from experiments.statistics.unconditional.hypotheses import Effect, Table
from experiments.statistics.unconditional.interval import exact, exact_above
from experiments.statistics.unconditional.options import barnard, boschloo, fisher

__all__ = ["Effect", "Table", "barnard", "boschloo", "exact", "exact_above", "fisher"]
