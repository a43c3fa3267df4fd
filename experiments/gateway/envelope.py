"""The error envelope of DESIGN section 10 (pure)."""

from collections.abc import Iterable

from models_registry.errors import Detail


def envelope(
    code: str, message: str, details: Iterable[Detail], request_id: str
) -> dict[str, object]:
    """What every API answers with when it cannot do what was asked."""
    return {
        "error": {
            "code": code,
            "message": message,
            "details": [
                {"field": d.field, "code": d.code, "message": d.message}
                for d in details
            ],
            "request_id": request_id,
        }
    }
