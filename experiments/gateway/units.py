"""Unit ids become unit keys: a keyed hash, so that no raw id is ever written (pure)."""

import hashlib

UNIT_KEY_BYTES = 16


class UnitHasher:
    """Turns a raw unit id into its 16-byte unit key.

    BLAKE2b in keyed mode (RFC 7693) under the installation's secret: without the
    secret, nobody can test whether an id is in the log.
    """

    def __init__(self, key: str) -> None:
        self._keyed = hashlib.blake2b(
            digest_size=UNIT_KEY_BYTES, key=hashlib.sha256(key.encode()).digest()
        )

    def hash(self, unit_id: str) -> bytes:
        """The unit key of an id; equal ids, also across processes, have equal keys."""
        keyed = self._keyed.copy()
        keyed.update(unit_id.encode("utf-8", "surrogatepass"))
        return keyed.digest()
