"""Event ids of rows that bring none: from their content (pure).

So the same row of a corrected or longer export is the same event. Identical rows of
a file are told apart by counting them. UUID version 8, RFC 9562.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from experiments.events.imports.columns import Text

Words = npt.NDArray[np.uint64]
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def _mix(x: Words) -> Words:
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return x ^ (x >> np.uint64(31))


class ContentIds:
    """Gives rows their ids, chunk after chunk of one file."""

    def __init__(self) -> None:
        self._seen: Words = np.empty(0, np.uint64)

    def ids(self, parts: Sequence[npt.NDArray[np.int64] | Words | Text]) -> list[str]:
        """The ids of a chunk's rows.

        Args:
            parts: What identifies a row: columns of numbers or texts, always the
                same columns in the same order.
        """
        high = low = np.zeros(1, np.uint64)
        for part in parts:
            words = _words(part)
            high = _mix(high * _MULTIPLIERS[0] + words[0])
            low = _mix(low * _MULTIPLIERS[1] + words[1])
        copies = self._count(high)
        return uuid_texts(_mix(high + copies * _MULTIPLIERS[0]), low ^ _mix(copies))

    def _count(self, hashes: Words) -> Words:
        """Of each row, how many equal ones came before it in the file."""
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        starts = np.searchsorted(ordered, ordered, "left")
        before = np.searchsorted(self._seen, ordered, "right") - np.searchsorted(
            self._seen, ordered, "left"
        )
        copies = np.empty(len(hashes), np.uint64)
        copies[order] = (np.arange(len(ordered)) - starts + before).astype(np.uint64)
        self._seen = np.sort(np.concatenate([self._seen, ordered]), kind="stable")
        return copies


def _words(part: npt.NDArray[np.int64] | Words | Text) -> tuple[Words, Words]:
    """Two independent 64-bit words of each row's value."""
    if isinstance(part, Text):
        digests = b"".join(
            hashlib.blake2b((value or "").encode(), digest_size=16).digest()
            for value in part.values
        )
        words = np.frombuffer(digests, "<u8").reshape(-1, 2)[part.index]
        return words[:, 0], words[:, 1]
    plain: Words = part.astype(np.uint64)
    return plain, plain


def uuid_texts(high: Words, low: Words) -> list[str]:
    """128 bits a row as the canonical text of a UUID of version 8."""
    version, variant = np.uint64(0x8000), np.uint64(0x8000_0000_0000_0000)
    high = (high & ~np.uint64(0xF000)) | version
    low = (low & np.uint64(0x3FFF_FFFF_FFFF_FFFF)) | variant
    digits = np.stack([high, low], axis=1).astype(">u8").tobytes().hex()
    return [
        f"{digits[i : i + 8]}-{digits[i + 8 : i + 12]}-{digits[i + 12 : i + 16]}-"
        f"{digits[i + 16 : i + 20]}-{digits[i + 20 : i + 32]}"
        for i in range(0, len(digits), 32)
    ]
