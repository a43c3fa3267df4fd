"""Where a published plan lies in Redis (pure)."""

import msgspec

from experiments.assignment.plan import Plan

PLAN_KEY = "shipworthy:plan"
HEAD_KEY = "shipworthy:plan:head"
CHANNEL = "shipworthy:plan:changed"

_PLAN_DECODER = msgspec.json.Decoder(Plan)
_HEAD_DECODER = msgspec.json.Decoder(tuple[str, float])


def encode_plan(plan: Plan) -> bytes:
    """A plan as it lies in Redis and on disk: JSON."""
    return msgspec.json.encode(plan)


def decode_plan(text: bytes | str) -> Plan:
    """The plan of a text.

    Raises:
        msgspec.MsgspecError: It is none.
    """
    return _PLAN_DECODER.decode(text)


def encode_head(plan: Plan) -> bytes:
    """Revision and time: enough to see whether the plan itself must be read."""
    return msgspec.json.encode((plan.revision, plan.built_at))


def decode_head(text: bytes | str) -> tuple[str, float]:
    """Revision and time of building, unix seconds."""
    return _HEAD_DECODER.decode(text)
