"""Which segments of a layer an experiment gets (pure).

An experiment gets whole segments, drawn from the free ones by a hash of the layer's
generation: after each return they are drawn anew, so that the shoppers of a finished
experiment are spread over those that follow.

References:
    Bakshy, Eckles, Bernstein (2014), "Designing and deploying online field
    experiments", WWW, section 4.2 (PlanOut's namespaces).
"""

from collections.abc import Collection, Iterable
from hashlib import blake2b

SEGMENTS = 100
"""Segments of a layer: shares are whole percent."""


def draw(
    layer: str, generation: int, free: Collection[int], wanted: int
) -> tuple[int, ...]:
    """The segments an experiment gets, in rising order; fewer where fewer are free.

    Args:
        layer: Key of the layer.
        generation: How often segments came back to it.
        free: Segments without an owner.
        wanted: How many are asked for.
    """

    def place(segment: int) -> bytes:
        text = f"{layer}/{generation}/{segment}"
        return blake2b(text.encode(), digest_size=8).digest()

    return tuple(sorted(sorted(free, key=place)[:wanted]))


def bucket_ranges(segments: Iterable[int]) -> tuple[tuple[float, float], ...]:
    """The segments as half-open bucket ranges, 0 to 1, neighbours joined."""
    joined: list[list[int]] = []
    for segment in sorted(segments):
        if joined and joined[-1][1] == segment:
            joined[-1][1] = segment + 1
        else:
            joined.append([segment, segment + 1])
    return tuple((start / SEGMENTS, end / SEGMENTS) for start, end in joined)
