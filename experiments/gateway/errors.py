"""What the gateway refuses, each with its status and a stable code."""

from models_registry.errors import ShipworthyError


class UnauthorizedError(ShipworthyError):
    """No key, or none that is known and live."""

    code = "key_unknown"
    status = 401

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class ForbiddenError(ShipworthyError):
    """The key is live but may not do this."""

    code = "forbidden"
    status = 403

    def __init__(self, message: str, *, code: str = "forbidden") -> None:
        super().__init__(message)
        self.code = code


class MalformedError(ShipworthyError):
    """The body cannot be read at all."""

    code = "malformed"
    status = 400

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class MethodNotAllowedError(ShipworthyError):
    """The address exists, the method does not."""

    code = "method_not_allowed"
    status = 405


class TooLargeError(ShipworthyError):
    """The decoded body is larger than the route accepts."""

    code = "body_too_large"
    status = 413


class UnknownEncodingError(ShipworthyError):
    """The body's content encoding is none we read."""

    code = "encoding_unknown"
    status = 415


class RateLimitedError(ShipworthyError):
    """The key has used up its requests of this minute.

    Attributes:
        retry_after: Whole seconds to wait.
    """

    code = "rate_limited"
    status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
