"""What the event path refuses, each with its status and a stable code."""

from models_registry.errors import Detail, InvalidError, UnavailableError


class StreamUnavailableError(UnavailableError):
    """Events can't be made durable now; nothing was taken.

    Attributes:
        retry_after: Whole seconds after which trying again is worth it.
    """

    code = "stream_unavailable"

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StreamFullError(StreamUnavailableError):
    """The stream is at its cap: the collector is behind or stopped."""

    code = "stream_full"


class NothingAcceptedError(InvalidError):
    """Every event of a request was bad."""

    code = "nothing_accepted"

    def __init__(self, details: tuple[Detail, ...]) -> None:
        first = details[0]
        super().__init__(
            f"None of the {len({d.field.partition('.')[0] for d in details})} events "
            f"was accepted; the first: {first.message}",
            details=details,
        )
