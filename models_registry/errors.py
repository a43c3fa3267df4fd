"""The shared kernel of errors: a stable code, a sentence, and details by field."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Detail:
    """One thing that is wrong.

    Attributes:
        field: Where, as a path a client can find (``events[3].timestamp``).
        code: Stable, machine-readable.
        message: The offending value and the remedy, for a person.
    """

    field: str
    code: str
    message: str


class ShipworthyError(Exception):
    """Base of every anticipated error; the interfaces turn it into an answer.

    Attributes:
        code: Stable, machine-readable name of the problem.
        status: HTTP status an API answers with.
        message: What is wrong and what to do.
        details: Field by field, when there is more than one thing to mend.
    """

    code = "error"
    status = 400

    def __init__(self, message: str, *, details: tuple[Detail, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidError(ShipworthyError):
    """The input is wrong; the message says which value and what is allowed."""

    code = "invalid"
    status = 400


class NotFoundError(ShipworthyError):
    """The named thing does not exist."""

    code = "not_found"
    status = 404


class ConflictError(ShipworthyError):
    """The thing has changed, or its present state does not allow this."""

    code = "conflict"
    status = 409


class UnavailableError(ShipworthyError):
    """A part we need is away; trying again later may work."""

    code = "unavailable"
    status = 503
