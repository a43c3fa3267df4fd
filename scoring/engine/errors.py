"""What can go wrong in the engine, each with the remedy in its message."""


class EngineError(Exception):
    """Base of every error the engine raises on purpose."""


class InvalidInteractionsError(EngineError):
    """The training data break a rule or hold too little to learn from."""


class InvalidParametersError(EngineError):
    """A hyper-parameter is unknown, of the wrong type or out of its range."""


class TrainingDivergedError(EngineError):
    """The loss left the finite numbers; no model was made."""


class ArtifactError(EngineError):
    """An artifact's files are missing, altered or not what the manifest says."""


class EvaluationError(EngineError):
    """An evaluation or a split was asked of data that cannot give it."""


class TrainingCancelled(EngineError):  # noqa: N818 - an outcome, not a fault
    """Training stopped because the context said so; the checkpoint is kept."""
