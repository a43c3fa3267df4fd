"""What can go wrong in the engine, each with the remedy in its message."""


class EngineError(Exception):
    """Base of every error the engine raises on purpose."""


class InvalidInteractionsError(EngineError):
    """The training data break a rule or hold too little to learn from."""


class InvalidParametersError(EngineError):
    """A hyper-parameter is unknown, of the wrong type or out of its range."""


class TrainingDivergedError(EngineError):
    """The loss left the finite numbers; no model was made."""


class EvaluationError(EngineError):
    """An evaluation or a split was asked of data that cannot give it."""
