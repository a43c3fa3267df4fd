"""A small plan with keys of every sort, made without PostgreSQL."""

import uuid
from dataclasses import dataclass, field

import msgspec
import redis

from experiments.assignment.bucketing import bucket_ranges
from experiments.assignment.plan import (
    ExperimentPlan,
    PlacementPlan,
    Plan,
    VariantPlan,
    VersionPlan,
)
from experiments.assignment.publication import (
    CHANNEL,
    HEAD_KEY,
    PLAN_KEY,
    encode_head,
    encode_plan,
)
from experiments.gateway import keys

ORIGIN = "https://shop.example"


@dataclass(frozen=True)
class Keys:
    """The plain keys of a plan."""

    server: str = field(default_factory=lambda: keys.generate("secret"))
    catalogue: str = field(default_factory=lambda: keys.generate("secret"))
    simulate: str = field(default_factory=lambda: keys.generate("secret"))
    expired: str = field(default_factory=lambda: keys.generate("secret"))
    limited: str = field(default_factory=lambda: keys.generate("secret"))
    browser: str = field(default_factory=lambda: keys.generate("publishable"))

    def live(self) -> dict[str, keys.Key]:
        """The keys as a plan carries them."""
        made = (
            _key(1, self.server, ("evaluate", "recommend", "events")),
            _key(2, self.catalogue, ("catalogue",)),
            _key(3, self.simulate, ("evaluate", "events", "simulate")),
            _key(4, self.expired, ("evaluate",), expires_at=1.0),
            _key(5, self.limited, ("evaluate",), rate_per_minute=3),
            _key(6, self.browser, ("evaluate", "events"), origins=(ORIGIN,)),
        )
        return {key.digest: key for key in made}


def _key(
    number: int, plain: str, scopes: tuple[str, ...], **fields: object
) -> keys.Key:
    kind = "publishable" if plain.startswith("sw_pk_") else "secret"
    given = {
        "id": number,
        "digest": keys.digest(plain),
        "kind": kind,
        "label": f"key {number}",
        "scopes": scopes,
    }
    return msgspec.convert(given | fields, keys.Key)


def experiment(key: str = "home-test", **fields: object) -> ExperimentPlan:
    """A running test of two versions, half and half."""
    ranges = bucket_ranges(2)
    variants = tuple(
        VariantPlan(key=name, start=start, end=end, weight=0.5, version_id=number)
        for number, (name, (start, end)) in enumerate(
            zip(("control", "treatment"), ranges, strict=True), start=1
        )
    )
    made = ExperimentPlan(
        id=1,
        key=key,
        status="running",
        phase=1,
        epoch=1,
        seed=key,
        coverage=1.0,
        control="control",
        variants=variants,
    )
    return msgspec.structs.replace(made, **fields)


def plan(plain: Keys, *, built_at: float = 1_000.0) -> Plan:
    """A plan with a model placement under test and a placement of plain values."""
    home = PlacementPlan(
        key="home",
        value_type="model",
        experiments=(experiment(),),
        default_version_id=1,
    )
    colour = PlacementPlan(key="colour", value_type="string", default_payload='"blue"')
    return Plan(
        revision=uuid.uuid4().hex[:16],
        built_at=built_at,
        placements={"home": home, "colour": colour},
        keys=plain.live(),
        versions={
            number: VersionPlan(
                id=number,
                model="home",
                number=number,
                kind="popularity",
                artifact_digest=f"{number:064x}",
            )
            for number in (1, 2)
        },
    )


def publish(client: "redis.Redis", made: Plan) -> None:
    """Publish a plan as the service does."""
    client.set(PLAN_KEY, encode_plan(made))
    client.set(HEAD_KEY, encode_head(made))
    client.publish(CHANNEL, made.revision)
